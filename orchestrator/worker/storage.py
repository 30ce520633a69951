"""What the data folder must be for one process to work in it safely."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NETWORK_FILE_SYSTEMS = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ceph",
        "glusterfs",
        "fuse.sshfs",
        "lustre",
    }
)
MOUNTS = Path("/proc/self/mountinfo")
LOCK_NAME = "serve.lock"


class StorageError(Exception):
    """The data folder cannot be used by this process."""


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; raise `StorageError` if another process does.

    The kernel frees the lock with the process, however it ends.
    """
    with (folder / LOCK_NAME).open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StorageError(
                f"Another `serve` already works in {folder}; stop it, or set AMENDS_DATA_DIR."
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def refuse_network_file_system(folder: Path) -> None:
    """Raise `StorageError` where SQLite's locks cannot be trusted."""
    kind = file_system_of(folder)
    if kind in NETWORK_FILE_SYSTEMS:
        raise StorageError(
            f"{folder} is on a network file system ({kind}), where SQLite is not safe; "
            "use a local folder, or PostgreSQL."
        )


def file_system_of(folder: Path) -> str:
    """Return the type of file system that holds the folder, or an empty string if nobody knows."""
    if not MOUNTS.exists():
        return ""
    best, kind = -1, ""
    for line in MOUNTS.read_text(encoding="utf-8").splitlines():
        left, _, right = line.partition(" - ")
        mount = left.split()[4].encode().decode("unicode_escape")
        if folder.resolve().is_relative_to(mount) and len(mount) > best:
            best, kind = len(mount), right.split()[0]
    return kind
