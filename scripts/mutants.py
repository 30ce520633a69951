"""Break the rules of the engine on purpose, one at a time, and see which tests notice.

Each mutant is a small edit of a copy of the tree; nothing here is changed. For each, the model's
plays (`tests/model/test_seeded.py`) and the tests of the engine (`tests/unit/engine`) run on the
copy. Written to `docs/mutants.md`; a mutant that nobody notices, or that no longer fits the code,
is an error.

    .venv/bin/python -m scripts.mutants [NAME …]
"""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scripts.broken_rules import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "mutants.md"
LEFT_OUT = (".git", ".venv", ".data", "__pycache__", "node_modules", "static", ".*_cache", "bench")
SUITES = ("tests/model/test_seeded.py", "tests/unit/engine")
SECONDS = 900
HEAD = """# Rules broken on purpose

Made by `python -m scripts.mutants` ({date}); [proof](proof.md) says what this shows. *Plays* is how
many random plays the model needed until it met the broken rule.

| rule broken | where | the model says | plays | tests of the engine that fail first |
|--|--|--|--|--|
"""


@dataclasses.dataclass(frozen=True)
class Caught:
    """What one suite said about a mutant; empty where it noticed nothing."""

    by: str
    plays: str = ""


class MutantDoesNotFit(Exception):
    """The text that a mutant replaces is not in the code (any more), or stands there twice."""


def main(wanted: Sequence[str]) -> int:
    """Run all mutants, or those named; 1 if one lived."""
    rows, alive = [], []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        # One copy for all: what is edited meanwhile belongs to the next time.
        sound = Path(folder, "sound")
        copy_tree(ROOT, sound)
        for mutant in MUTANTS:
            if wanted and mutant.name not in wanted:
                continue
            tree = Path(folder, mutant.name)
            copy_tree(sound, tree)
            break_rule(tree, mutant)
            with ThreadPoolExecutor(2) as both:
                model, unit = both.map(run, (tree, tree), SUITES)
            shutil.rmtree(tree)
            row = f"| {mutant.rule} | `{mutant.where}` | {model.by} | {model.plays} | {unit.by} |"
            print(row, flush=True)
            rows.append(row)
            if not (model.by or unit.by):
                alive.append(mutant.name)
    if not wanted:
        date = time.strftime("%Y-%m-%d")
        TABLE.write_text(HEAD.format(date=date) + "\n".join(rows) + "\n", encoding="utf-8")
    for name in alive:
        print(f"nobody notices: {name}", file=sys.stderr)
    return 1 if alive else 0


def copy_tree(source: Path, tree: Path) -> None:
    """Copy what the tests of the engine need."""
    shutil.copytree(source, tree, ignore=shutil.ignore_patterns(*LEFT_OUT))


def break_rule(tree: Path, mutant: Mutant) -> None:
    """Make the edits of a mutant; each must fit exactly once."""
    for edit in mutant.edits:
        path = tree / edit.path
        text = path.read_text(encoding="utf-8")
        if text.count(edit.old) != 1:
            raise MutantDoesNotFit(f"{mutant.name}: {text.count(edit.old)} places in {edit.path}")
        path.write_text(text.replace(edit.old, edit.new), encoding="utf-8")


def run(tree: Path, tests: str) -> Caught:
    """Run tests on a copy until the first failure."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", tests, "-x", "-q", "-p", "no:cacheprovider"],
        cwd=tree,
        env={**os.environ, "MODEL_SHRINK": "0", "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode == 0:
        return Caught("")
    return Caught(", ".join(_failed(done.stdout)), _plays(done.stdout))


def _failed(output: str) -> Iterator[str]:
    """Give the names of failed tests; for the machine the sentence with the number it broke."""
    for line in re.findall(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE):
        name = line.partition("::")[2] or line
        sentence = re.search(r"^E +AssertionError: (§?[\d.]+[^:\n]*):", output, re.MULTILINE)
        if "test_seeded" in line:
            error = re.search(r"^E +(\w+)(?:: (.{0,60}))?", output, re.MULTILINE)
            met = error[0][1:].strip() if error else name
            yield f"rule {sentence[1]}" if sentence else met.removeprefix("AssertionError: ")
        else:
            yield f"`{name}`"


def _plays(output: str) -> str:
    found = re.search(r"met in play (\d+)", output)
    return found[1] if found else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
