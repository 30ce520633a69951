"""Where the peers' packages are: in environments of the benchmark's own, never in the project's.

They stay in `.data/bench-peers` (or `AMENDS_BENCH_PEERS`) for the next time. A peer that cannot be
installed is not measured, and the report says why.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(os.environ.get("AMENDS_BENCH_PEERS") or ROOT / ".data" / "bench-peers")
INSTALL_SECONDS = 600

DBOS = ("dbos==3.4.0", "psycopg[binary]==3.3.9")
RESTATE = ("restate-sdk==1.3.0", "granian==2.8.7", "aiohttp>=3.12,<4")
RESTATE_NPM = ("@restatedev/restate-server@1", "@restatedev/restate-sdk@1")


class Missing(Exception):
    """A peer cannot be installed here; the message says why."""


def python(name: str, packages: tuple[str, ...]) -> Path:
    """Return the interpreter of an environment that has these packages.

    Raises:
        Missing: They cannot be installed.
    """
    folder = FOLDER / name
    interpreter = folder / "bin" / "python"
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(interpreter), "-m", "pip", "install", "--quiet", *packages])
        (folder / "done").touch()
    return interpreter


def npm(name: str, packages: tuple[str, ...]) -> Path:
    """Return a folder whose `node_modules` has these packages.

    Raises:
        Missing: They cannot be installed, or there is no Node.
    """
    if not shutil.which("node") or not shutil.which("npm"):
        raise Missing("there is no Node on this machine")
    folder = FOLDER / name
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "package.json").write_text('{"private": true}\n', encoding="utf-8")
        _run(["npm", "install", "--no-fund", "--no-audit", *packages], cwd=folder)
        (folder / "done").touch()
    return folder


def _run(command: list[str], cwd: Path | None = None) -> None:
    try:
        subprocess.run(
            command,
            cwd=cwd,
            check=True,
            timeout=INSTALL_SECONDS,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
    except (subprocess.SubprocessError, OSError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise Missing(f"{command[0]} failed: {said[-1] if said else error}") from error
