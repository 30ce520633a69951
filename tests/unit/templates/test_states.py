"""How states are shown: none is forgotten, and each has a word and an icon of the sprite."""

import re
from pathlib import Path

import pytest

from orchestrator.engine.states import AttemptState, EntryState, ExecutionState, StepState
from orchestrator.selectors import words
from orchestrator.templatetags import states

SPRITE = Path(__file__).parents[3] / "static" / "img" / "icons.svg"
ENUMS = {
    "execution": ExecutionState,
    "step": StepState,
    "entry": EntryState,
    "attempt": AttemptState,
}


@pytest.mark.parametrize("kind", ENUMS)
def test_every_state_has_a_look(kind: str) -> None:
    assert set(words.TABLES[kind]) == {state.value for state in ENUMS[kind]}


def test_every_look_has_an_icon_of_the_sprite_and_a_known_family() -> None:
    drawn = set(re.findall(r'<symbol id="([\w-]+)"', SPRITE.read_text()))
    looks = [look for table in words.TABLES.values() for look in table.values()]

    assert {look.icon for look in looks} <= drawn
    assert {look.tone for look in looks} <= {"neutral", "run", "wait", "ok", "bad", "undo"}
    assert all(look.word for look in looks)


@pytest.mark.parametrize(
    ("kind", "state", "word"),
    [
        ("execution", "COMPENSATED", "Undone"),
        ("execution", "PARTIALLY_COMPENSATED", "Partly undone"),
        ("execution", "NEEDS_ATTENTION", "Needs attention"),
        ("step", "RUNNING_BACKWARDS", "Running backwards"),
        ("entry", "RUNNING", "Undoing"),
        ("entry", "AWAITING_APPROVAL", "Needs approval"),
    ],
)
def test_state_in_words(kind: str, state: str, word: str) -> None:
    assert words.look(kind, state).word == word


def test_badge_escapes_its_detail() -> None:
    drawn = states.state_badge("execution", "RUNNING", "<b>")

    assert "&lt;b&gt;" in drawn
    assert "<b>" not in drawn
