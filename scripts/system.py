"""Programs that tests need beside Python: found, installed by apt-get where allowed, or named."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

DEBIAN_POSTGRESQL = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One program, the commands it may have, and Debian's package for it."""

    commands: tuple[str, ...]
    package: str
    people: str


PROGRAMS = {
    "postgresql": Program(commands=("initdb",), package="postgresql", people="PostgreSQL >= 14"),
    "redis": Program(
        commands=("redis-server", "valkey-server"), package="redis-server", people="Redis >= 6.2"
    ),
    "chromium": Program(
        commands=("chromium", "chromium-browser", "google-chrome"),
        package="chromium",
        people="Chromium",
    ),
}


def find(name: str) -> Path | None:
    """Return the path of a program, or None."""
    for command in PROGRAMS[name].commands:
        found = shutil.which(command) or _debian_postgresql(command)
        if found:
            return Path(found)
    return None


def _debian_postgresql(command: str) -> str | None:
    """Debian keeps the server's own commands off the path; take the newest version."""
    versions = sorted(DEBIAN_POSTGRESQL.glob(f"*/bin/{command}"), key=_version)
    return str(versions[-1]) if versions else None


def _version(path: Path) -> int:
    name = path.parts[len(DEBIAN_POSTGRESQL.parts)]
    return int(name) if name.isdigit() else 0


def main() -> None:
    """Make sure that the named programs (all of them without a name) are there."""
    names = sys.argv[1:] or list(PROGRAMS)
    missing = [name for name in names if find(name) is None]
    if missing:
        _apt_install(missing)
    still = [PROGRAMS[name].people for name in names if find(name) is None]
    if still:
        sys.exit(
            f"Please install: {', '.join(still)}. The tests need them and cannot install them."
        )


def _apt_install(names: list[str]) -> None:
    prefix = _root_prefix()
    if prefix is None or shutil.which("apt-get") is None:
        return
    packages = [PROGRAMS[name].package for name in names]
    print(f"Installing with apt-get: {' '.join(packages)} ...", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        subprocess.run(
            [*prefix, "apt-get", "-qq", *arguments],
            env=environment,
            stdout=subprocess.DEVNULL,
            check=False,
        )


def _root_prefix() -> list[str] | None:
    """Return what to put before a command that needs root; None where that is not allowed."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if (
        sudo
        and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return [sudo, "-n"]
    return None


if __name__ == "__main__":
    main()
