"""How much of what a definition does to the outside can be undone: "11 of 13 effects"."""

from dataclasses import dataclass

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.definition.document import parse
from orchestrator.engine.definition.model import Definition, Kind, Step
from orchestrator.engine.definition.validation import children, findings
from orchestrator.engine.definition.validation.facts import Facts
from orchestrator.engine.definition.validation.findings import Findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Effects that can be undone, of all effects; a child's count where it has no undo as a whole.

    W12 compares something narrower: pivots and retriable steps need no undo and do not count there.
    """

    undoable: int = 0
    effects: int = 0

    def plus(self, undoable: int, effects: int) -> "Coverage":
        """Return both added up."""
        return Coverage(undoable=self.undoable + undoable, effects=self.effects + effects)

    def public(self) -> dict[str, JSONValue]:
        """Return the numbers as the API shows them."""
        share = round(self.undoable / self.effects, 4) if self.effects else None
        noun = "effect" if self.effects == 1 else "effects"
        text = f"{self.undoable} of {self.effects} {noun} can be undone"
        return {
            "undoable": self.undoable,
            "effects": self.effects,
            "share": share,
            "text": text if self.effects else "There is no effect to undo",
        }


def coverage(definition: Definition, facts: Facts) -> Coverage:
    """Count the effects of a definition, those of its children included."""
    found = Coverage()
    work = findings.start(definition, facts)
    for visit in work.visits:
        once = any(around.compensate_once for around in visit.around)
        undoable, effects = _of_step(work, visit.step)
        found = found.plus(effects if once else undoable, effects)
    return found


def _of_step(work: Findings, step: Step) -> tuple[int, int]:
    has_undo = step.compensation is not None and work.definition.kind is not Kind.PLAIN
    if step.type == "SUB_WORKFLOW" and not has_undo:
        return _of_child(work, step)
    if step.type == "DO_WHILE" or not work.has_effect(step):
        # A loop has no effect of its own; what its undo covers stands in its body.
        return 0, 0
    return int(has_undo), 1


def _of_child(work: Findings, step: Step) -> tuple[int, int]:
    called = step.sub_workflow
    if called is not None and isinstance(called.definition, dict):
        inner = parse(called.definition, inline=True).definition
        found = coverage(inner, work.facts) if inner is not None else Coverage()
        return found.undoable, found.effects
    key = children.child_key(step)
    child = work.facts.children.get(key) if key is not None else None
    if child is None:
        return 0, int(work.has_effect(step))
    return child.undoable, child.effects
