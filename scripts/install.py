"""Make `.venv` and install the locked dependencies; does nothing when that is already done.

Runs on a bare Python of the machine, so it uses the standard library alone.
"""

import fcntl
import hashlib
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".venv"
PYTHON = FOLDER / "bin" / "python"
LOCKS = {"run": "requirements.lock", "dev": "requirements-dev.lock"}


def main() -> None:
    """Install what the command line asks for: `run` or `dev`."""
    kind = sys.argv[1]
    with (ROOT / ".install.lock").open("w") as guard:
        # Two `make` at once take turns; the second finds everything done.
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not _is_done(kind):
            _install(kind)


def _fingerprint(kind: str) -> str:
    content = (ROOT / LOCKS[kind]).read_bytes()
    return f"{sys.version_info[0]}.{sys.version_info[1]} {hashlib.sha256(content).hexdigest()}"


def _stamp(kind: str) -> Path:
    return FOLDER / f".installed-{kind}"


def _is_done(kind: str) -> bool:
    # What `dev` installs holds all that `run` needs.
    wanted = ["run", "dev"] if kind == "run" else ["dev"]
    return _python_works() and any(_stamp_holds(name) for name in wanted)


def _stamp_holds(kind: str) -> bool:
    stamp = _stamp(kind)
    return stamp.exists() and stamp.read_text() == _fingerprint(kind)


def _python_works() -> bool:
    if not PYTHON.exists():
        return False
    probe = "import sys; print(*sys.version_info[:2], sep='.')"
    found = subprocess.run([PYTHON, "-c", probe], capture_output=True, text=True, check=False)
    return found.stdout.strip() == f"{sys.version_info[0]}.{sys.version_info[1]}"


def _install(kind: str) -> None:
    print(f"Installing into {FOLDER.name} (once; takes about a minute) ...", flush=True)
    if not _python_works():
        _make_environment()
    for name in LOCKS:
        _stamp(name).unlink(missing_ok=True)
    command: list[str | Path] = [
        PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--no-warn-script-location", "--require-hashes", "--requirement", ROOT / LOCKS[kind],
    ]  # fmt: skip
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        sys.exit("The dependencies could not be installed; the lines above say why.")
    _stamp(kind).write_text(_fingerprint(kind))


def _make_environment() -> None:
    try:
        venv.EnvBuilder(with_pip=True, clear=True, symlinks=True).create(FOLDER)
    except subprocess.CalledProcessError:
        sys.exit(
            "Python cannot make a virtual environment here; on Debian: apt install python3-venv"
        )


if __name__ == "__main__":
    main()
