"""`make dev`: like `make run`, and started again whenever a source file changes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WATCHED = ("orchestrator", "designer", "approvals", "templates", "manage.py")
SUFFIXES = {".py", ".html", ".json"}
PAUSE_SECONDS = 0.5
STOP_SECONDS = 10


def main() -> None:
    """Run the server until Ctrl-C; start it again after a change."""
    os.environ.setdefault("DEBUG", "1")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        before = _newest()
        server = subprocess.Popen([sys.executable, str(ROOT / "scripts" / "run.py")])
        try:
            while _newest() == before:
                time.sleep(PAUSE_SECONDS)
        finally:
            _stop(server)


def _stop(server: "subprocess.Popen[bytes]") -> None:
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _newest() -> tuple[int, float]:
    """Return count and latest change of all sources, which any edit changes."""
    times = [
        path.stat().st_mtime
        for name in WATCHED
        for path in ([ROOT / name] if (ROOT / name).is_file() else (ROOT / name).rglob("*"))
        if path.suffix in SUFFIXES and path.exists()
    ]
    return len(times), max(times)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
