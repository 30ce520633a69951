"""Write both lock files anew from pyproject.toml: pinned, with hashes, without any address."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = [
    "--universal", "--generate-hashes", "--no-emit-index-url", "--no-header",
    "--python-version", "3.11", "--upgrade", "--quiet",
]  # fmt: skip


def main() -> None:
    """Resolve the runtime first, and the tools to fit it."""
    _compile("requirements.lock")
    _compile("requirements-dev.lock", "--group", "dev", "--constraint", "requirements.lock")


def _compile(target: str, *more: str) -> None:
    subprocess.run(
        [
            *(sys.executable, "-m", "uv", "pip", "compile", *OPTIONS, *more),
            *("pyproject.toml", "--output-file", target),
        ],
        cwd=ROOT,
        check=True,
    )


if __name__ == "__main__":
    main()
