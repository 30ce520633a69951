"""Boundaries that imports cannot show, read from the syntax trees."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APPS = ("orchestrator", "designer", "approvals")
SENDING = {"on_commit", "delay", "apply_async", "send_task"}
LONGEST_FILE = 400


def _sources() -> Iterator[Path]:
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            if "migrations" not in path.parts and "node_modules" not in path.parts:
                yield path.relative_to(ROOT)


SOURCES = [path for path in _sources() if (ROOT / path).stat().st_size]


def _names_used(path: Path) -> Iterator[tuple[str, int]]:
    """Yield each attribute and each imported name, with its line."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            yield node.attr, node.lineno
        elif isinstance(node, ast.ImportFrom):
            yield from ((alias.name, node.lineno) for alias in node.names)


def _offences(names: set[str], allowed: "tuple[str, ...]") -> list[str]:
    return [
        f"{path}:{line} {name}"
        for path in SOURCES
        if not path.as_posix().startswith(allowed)
        for name, line in _names_used(path)
        if name in names
    ]


def test_only_services_open_transactions():
    allowed = (
        "orchestrator/services/",
        "orchestrator/access/grants.py",
        "orchestrator/demo/",
        "designer/services",
        "approvals/services",
    )

    assert _offences({"atomic"}, allowed) == []


def test_only_the_store_and_the_services_of_the_apps_lock_rows():
    allowed = (
        "orchestrator/store/",
        # The head of the audit chain is locked where the next row is written.
        "orchestrator/audit/log.py",
        "orchestrator/access/grants.py",
        "orchestrator/demo/",
        "designer/services",
        "approvals/services",
    )

    assert _offences({"select_for_update"}, allowed) == []


def test_only_dispatch_sends():
    assert _offences(SENDING, ("orchestrator/dispatch.py",)) == []


def _clock_readings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            spoken = ast.unparse(node.func)
            if spoken.endswith(("datetime.now", "datetime.utcnow", "date.today", "timezone.now")):
                yield f"{path}:{node.lineno} {spoken}"


def test_engine_reads_no_clock():
    engine = [path for path in SOURCES if path.as_posix().startswith("orchestrator/engine/")]

    assert [reading for path in engine for reading in _clock_readings(path)] == []


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_module_says_what_it_holds(path):
    source = (ROOT / path).read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(source))


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_file_is_not_too_long(path):
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE
