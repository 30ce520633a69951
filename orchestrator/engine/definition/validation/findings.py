"""What every rule works with: the definition, its visits, its facts, and the list of findings."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.definition.graph import is_outside
from orchestrator.engine.definition.model import (
    Definition,
    EffectClass,
    Kind,
    Problem,
    Step,
    TaskPolicy,
)
from orchestrator.engine.definition.problems import ERROR, WARNING, pointer
from orchestrator.engine.definition.saga_keys import saga_pointer
from orchestrator.engine.definition.validation.facts import Facts
from orchestrator.engine.definition.visits import Visit, forward_visits

ALWAYS_ERRORS: Final = frozenset({"E3", "E5", "E6"})
"""Errors even where saga keys stand on tasks only."""
NOT_OUTSIDE: Final = frozenset(
    {"COMPENSATE", "TERMINATE_WORKFLOW", "WAIT_FOR_WEBHOOK", "PULL_WORKFLOW_MESSAGES"}
)


@dataclass(slots=True)
class Findings:
    """One check of one definition."""

    definition: Definition
    facts: Facts
    visits: tuple[Visit, ...]
    found: list[Problem] = field(default_factory=list)
    _seen: set[Problem] = field(default_factory=set)

    @property
    def steps(self) -> Iterable[Step]:
        """Give the forward steps in document order."""
        return (visit.step for visit in self.visits)

    def error(self, code: str, path: str, message: str, step: Step | None = None) -> None:
        """Note an E; how severe it is depends on the kind of definition."""
        is_error = self.definition.kind is Kind.SAGA or code in ALWAYS_ERRORS
        self._note(code, ERROR if is_error else WARNING, path, message, step)

    def warn(self, code: str, path: str, message: str, step: Step | None = None) -> None:
        """Note a W."""
        self._note(code, WARNING, path, message, step)

    def _note(self, code: str, severity: str, path: str, message: str, step: Step | None) -> None:
        problem = Problem(
            code=code,
            severity=severity,
            path=path,
            message=message,
            task_reference=step.reference if step is not None else "",
            waived=self._waived(code, step) if code.startswith("W") else "",
        )
        if problem not in self._seen:
            self._seen.add(problem)
            self.found.append(problem)

    def _waived(self, code: str, step: Step | None) -> str:
        reference = step.reference if step is not None else ""
        for waiver in self.definition.saga.waive:
            named = waiver.get("taskReferenceName")
            if waiver.get("code") == code and named in (None, reference):
                return str(waiver.get("reason"))
        return ""

    def effect(self, step: Step) -> EffectClass:
        """Return the effect class of a step, with the default for steps that do not say it."""
        if step.effect is not None:
            return step.effect
        if step.compensation is not None:
            return EffectClass.REVERSIBLE
        return EffectClass.IRREVERSIBLE if is_outside_step(step) else EffectClass.NONE

    def has_effect(self, step: Step) -> bool:
        """Tell whether a step does something to the outside."""
        return self.effect(step) is not EffectClass.NONE

    def policy(self, step: Step) -> TaskPolicy | None:
        """Return the task definition that a step runs by: its own, else the registered one."""
        return step.task_policy or self.facts.policies.get(step.name)


def start(definition: Definition, facts: Facts) -> Findings:
    """Begin a check."""
    return Findings(definition, facts, tuple(forward_visits(definition.tasks)))


def is_outside_step(step: Step) -> bool:
    """Tell whether a step talks to the outside."""
    return is_outside(step.type) and step.type not in NOT_OUTSIDE


def place(step: Step, key: str, *parts: str | int) -> str:
    """Return where a saga key stands; as much of the pointer as the document has."""
    path = saga_pointer(step, key)
    inside = step.document.get(key)
    for part in parts:
        if not has_part(inside, part):
            break
        inside = part_of(inside, part)
        path = pointer(path, part)
    return path


def has_part(value: JSONValue, part: str | int) -> bool:
    """Tell whether a value has something under a key or at a position."""
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)


def part_of(value: JSONValue, part: str | int) -> JSONValue:
    """Return what a value has under a key or at a position."""
    if isinstance(value, dict):
        return value.get(str(part))
    return value[part] if isinstance(value, list) and isinstance(part, int) else None
