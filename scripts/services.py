"""PostgreSQL and Redis for tests and benchmarks, on free ports, in a folder that goes away.

`python -m scripts.services` takes one of

* `run [--durable] -- COMMAND`: start both, run the command with their addresses in its environment,
  and stop them whatever happens. Inside another `run` it only runs the command.
* `start [--durable]`: print the lines of the environment and stay until a signal.

Python code uses `running_services()`.
"""

import argparse
import base64
import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from scripts import system

SERVER_USER = "postgres"
START_SECONDS = 30
MARK = "AMENDS_TEST_SERVICES"
TEST_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


def free_port() -> int:
    """Ask the machine for a port nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_services(*, durable: bool = False) -> Iterator[dict[str, str]]:
    """Yield the environment of a PostgreSQL and a Redis that run as long as the block does."""
    folder = Path(tempfile.mkdtemp(prefix="amends-services-"))
    folder.chmod(0o755)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        database_url = stack.enter_context(_postgresql(folder / "pg", durable=durable))
        redis_url = stack.enter_context(_redis(folder / "redis"))
        key = base64.b64encode(secrets.token_bytes(32)).decode()
        yield {
            MARK: "1",
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            # A shared broker means several processes, which must agree on these.
            "SECRET_KEY": secrets.token_urlsafe(48),
            "AMENDS_ENCRYPTION_KEYS": f"k1:{key}",
        }


@contextlib.contextmanager
def _postgresql(folder: Path, *, durable: bool) -> Iterator[str]:
    found = system.find("postgresql")
    if found is None:
        sys.exit("PostgreSQL is missing; `make test` installs it, or install it by hand.")
    # The commands stand beside each other only where the link, if it is one, leads.
    initdb = found.resolve()
    # The server refuses to run as root; Debian's package brings a user for it.
    user = SERVER_USER if os.geteuid() == 0 else None
    folder.mkdir()
    if user:
        owner = pwd.getpwnam(user)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    data, port = folder / "data", free_port()
    _must_run(
        [
            initdb,
            "--pgdata",
            data,
            "--username=amends",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        ],
        user=user,
    )
    arguments = [
        f"port={port}",
        "listen_addresses=127.0.0.1",
        f"unix_socket_directories={folder}",
        "max_connections=200",
        "shared_buffers=128MB",
        "logging_collector=off",
        *(() if durable else TEST_SETTINGS),
    ]
    command: list[str | Path] = [initdb.with_name("postgres"), "-D", data]
    for argument in arguments:
        command += ["-c", argument]
    with _process(command, folder / "log", user=user, stop=signal.SIGINT) as process:
        _wait_open(port, process, folder / "log")
        _wait_ready(initdb.with_name("pg_isready"), port)
        yield f"postgres://amends@127.0.0.1:{port}/postgres"


@contextlib.contextmanager
def _redis(folder: Path) -> Iterator[str]:
    server = system.find("redis")
    if server is None:
        sys.exit("Redis is missing; `make test` installs it, or install it by hand.")
    folder.mkdir()
    port = free_port()
    command: list[str | Path] = [
        server,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--dir",
        folder,
        "--save",
        "",
        "--appendonly",
        "no",
        "--maxmemory-policy",
        "noeviction",
    ]
    with _process(command, folder / "log", user=None, stop=signal.SIGTERM) as process:
        _wait_open(port, process, folder / "log")
        yield f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def _process(
    command: list[str | Path], log: Path, *, user: str | None, stop: signal.Signals
) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            # Ctrl-C is for us: the servers stop when the work on them has ended.
            process_group=0,
            user=user,
            group=user,
            extra_groups=[] if user else None,
        )
    try:
        yield process
    finally:
        process.send_signal(stop)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _must_run(command: list[str | Path], *, user: str | None) -> None:
    done = subprocess.run(
        command,
        cwd="/",
        user=user,
        group=user,
        extra_groups=[] if user else None,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed:\n{done.stderr}")


def _wait_open(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    sys.exit(f"a server did not start:\n{log.read_text(errors='replace')}")


def _wait_ready(probe: Path, port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    command: list[str | Path] = [probe, "--host=127.0.0.1", f"--port={port}", "--quiet"]
    while time.monotonic() < deadline:
        if subprocess.run(command, cwd="/", check=False).returncode == 0:
            return
        time.sleep(0.1)
    sys.exit("PostgreSQL did not get ready in time.")


def _run(command: list[str], *, durable: bool) -> int:
    if not command:
        sys.exit("services.py run needs a command after --")
    if os.environ.get(MARK):
        return subprocess.run(command, check=False).returncode
    with running_services(durable=durable) as environment:
        process = subprocess.Popen(command, env={**os.environ, **environment})
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise


def _start(*, durable: bool) -> int:
    with running_services(durable=durable) as environment:
        for name, value in environment.items():
            print(f"export {name}='{value}'", flush=True)
        signal.pause()
    return 0


def main() -> None:
    """Serve the two commands of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["run", "start"])
    parser.add_argument("--durable", action="store_true", help="fsync on, as in production")
    parser.add_argument("command", nargs="*")
    options = parser.parse_args()
    # So that the blocks above are left, and with them the servers, at whatever ends us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.action == "run":
        sys.exit(_run(options.command, durable=options.durable))
    sys.exit(_start(durable=options.durable))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
