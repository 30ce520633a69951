"""The engine loads no framework and nothing that reaches the world, however it is imported."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "orchestrator" / "engine"
FORBIDDEN = {"django", "rest_framework", "guardian", "celery", "kombu", "redis", "psycopg", "httpx"}
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in ENGINE.rglob("*.py")
)


def test_every_module_of_the_engine_is_looked_at():
    assert "orchestrator.engine.states" in MODULES
    assert "orchestrator.engine" in MODULES


def test_importing_the_whole_engine_loads_no_framework():
    program = (
        "import importlib, sys\n"
        f"for name in {MODULES!r}: importlib.import_module(name)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) & FORBIDDEN == set()


@pytest.mark.parametrize("name", ["orchestrator", "orchestrator.worker", "orchestrator.engine"])
def test_package_can_be_imported_without_django(name):
    program = f"import {name}, sys; print('django' in sys.modules, 'celery' in sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.stdout.split() == ["False", "False"]


def test_supervisor_loads_neither_django_nor_celery():
    program = (
        "import orchestrator.worker.supervisor, sys\n"
        "print('django' in sys.modules, 'celery' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.stdout.split() == ["False", "False"]
