"""Definition documents for tests: small builders, and the stored ones with their problems."""

import json
from pathlib import Path
from typing import Any

from orchestrator.engine.definition.validation.facts import ChildFacts, Facts

FOLDER = Path(__file__).parents[3] / "data" / "definitions"
SCHEMA = (
    Path(__file__).parents[4] / "orchestrator" / "engine" / "definition" / "definition.schema.json"
)
FACTS = Facts(
    children={
        ("child", 1): ChildFacts(has_undo=True, has_effects=True),
        ("other", 1): ChildFacts(),
        ("leads_back", 1): ChildFacts(contains=frozenset({"sample"})),
    },
    groups={"finance": frozenset({"ada", "bob"}), "leads": frozenset({"cy"})},
)
"""The world of the stored documents."""

Document = dict[str, Any]


def stored(folder: str) -> list[Path]:
    """Return the stored documents of a folder."""
    return sorted((FOLDER / folder).glob("*.json"))


def load(path: Path) -> Document:
    """Read a stored document."""
    document: Document = json.loads(path.read_text())
    return document


def at(document: Any, pointer: str) -> Any:
    """Follow a JSON pointer; fail when it leads nowhere."""
    found = document
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        found = found[int(name)] if isinstance(found, list) else found[name]
    return found


def a_workflow(*tasks: Document, **keys: Any) -> Document:
    """Build a definition."""
    return {"name": "sample", "version": 1, "tasks": list(tasks), **keys}


def a_noop(reference: str, **inputs: Any) -> Document:
    """Build a step that does nothing."""
    return {
        "name": reference,
        "taskReferenceName": reference,
        "type": "NOOP",
        "inputParameters": inputs,
    }


def a_call(reference: str, **keys: Any) -> Document:
    """Build an HTTP step."""
    request = {"uri": f"https://shop.example/{reference}", "method": "POST"}
    return {
        "name": reference,
        "taskReferenceName": reference,
        "type": "HTTP",
        "inputParameters": {"http_request": request},
        **keys,
    }


def a_reversible(reference: str, undo: Document | None = None, **keys: Any) -> Document:
    """Build an HTTP step with an undo."""
    compensation = {"tasks": [a_call(f"undo_{reference}")], "safeIfNotApplied": True}
    compensation |= undo or {}
    return a_call(reference, effect="REVERSIBLE", compensation=compensation, **keys)


def a_fork(reference: str, *branches: list[Document]) -> list[Document]:
    """Build a fork with its join."""
    fork = {"name": reference, "taskReferenceName": reference, "type": "FORK_JOIN"}
    join = {"name": "join", "taskReferenceName": f"{reference}_join", "type": "JOIN"}
    return [fork | {"forkTasks": list(branches)}, join]


def a_loop(reference: str, body: list[Document], **keys: Any) -> Document:
    """Build a loop of three rounds."""
    return {
        "name": reference,
        "taskReferenceName": reference,
        "type": "DO_WHILE",
        "loopCondition": f"$.{reference}['iteration'] < 3",
        "loopOver": body,
        **keys,
    }


def a_child(reference: str, name: str, **keys: Any) -> Document:
    """Build a sub-workflow step."""
    return {
        "name": reference,
        "taskReferenceName": reference,
        "type": "SUB_WORKFLOW",
        "subWorkflowParam": {"name": name, "version": 1},
        **keys,
    }
