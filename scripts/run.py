"""What `make run` does once everything is installed: migrate, seed the demo, serve."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Prepare the data folder, then become the server."""
    os.environ["AMENDS_DEMO"] = "1"
    os.chdir(ROOT)
    for command in (["migrate", "--verbosity=0"], ["demo", "--verbosity=0"]):
        code = subprocess.run([sys.executable, "manage.py", *command], check=False).returncode
        if code != 0:
            sys.exit(code)
    port = os.environ.get("PORT") or "8000"
    # The same process from here on: signals of the terminal reach the server directly.
    command = [sys.executable, "manage.py", "serve", f"--port={port}"]
    os.execv(sys.executable, command)  # noqa: S606  no shell is needed


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
