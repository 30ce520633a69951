"""Draw `docs/states.md` from the tables of `orchestrator/engine/states.py`.

`--check` changes nothing and exits with 1 when the page is not what the tables say.
"""

import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "states.md"
sys.path.insert(0, str(ROOT))

from orchestrator.engine import states  # noqa: E402 - found through the path set above

_State = TypeVar("_State", bound=StrEnum)

HEAD = """# States

Made by `scripts/state_diagrams.py` from `orchestrator/engine/states.py`, which is the only list of
states in the code; do not edit. A move that is not drawn cannot happen. What each state means for
people is in [saga-semantics.md](saga-semantics.md).
"""


def page() -> str:
    """Return the whole page."""
    return "\n".join(
        [
            HEAD,
            _section(
                "Executions",
                "*paused* is a flag beside the state: nothing new is dispatched while it is set.",
                states.EXECUTION_TRANSITIONS,
                states.TERMINAL_EXECUTIONS,
            ),
            _section(
                "Step runs",
                "One activation of one step, in either direction.",
                states.STEP_TRANSITIONS,
                states.SETTLED_STEPS,
            ),
            _section(
                "Ledger entries",
                "The undo of one step run. Entries ordered after it may go on once it is settled.",
                states.ENTRY_TRANSITIONS,
                states.SETTLED_ENTRIES,
            ),
        ]
    )


def _section(
    title: str,
    words: str,
    moves: Mapping[_State, frozenset[_State]],
    final: frozenset[_State],
) -> str:
    order = list(type(next(iter(moves))))
    lines = [f"    {first} --> {then}" for first in order for then in _sorted(moves, first, order)]
    names = ", ".join(state.value for state in order if state in final)
    return "\n".join(
        [
            f"## {title}",
            "",
            words,
            "",
            "```mermaid",
            "stateDiagram-v2",
            f"    [*] --> {order[0]}",
            *lines,
            "```",
            "",
            f"Final or settled: {names}.",
            "",
        ]
    )


def _sorted(
    moves: Mapping[_State, frozenset[_State]], first: _State, order: list[_State]
) -> list[_State]:
    return sorted(moves.get(first, frozenset()), key=order.index)


def main() -> None:
    """Write the page, or compare it."""
    if "--check" in sys.argv[1:]:
        sys.exit(0 if PAGE.read_text(encoding="utf-8") == page() else 1)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
