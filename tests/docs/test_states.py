"""The page of states says what the tables say."""

from pathlib import Path

from scripts import state_diagrams

PAGE = Path(__file__).parents[2] / "docs" / "states.md"


def test_the_diagrams_are_those_of_the_tables():
    assert PAGE.read_text(encoding="utf-8") == state_diagrams.page(), (
        "run .venv/bin/python scripts/state_diagrams.py"
    )
