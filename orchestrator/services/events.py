"""Events from outside: the runs whose definition waits for one are undone (T7, §5).

Conditions are asked with no transaction open; each run then takes the event in its own. Raising an
event again is safe: a run that has taken it has nothing left to do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import transaction

from orchestrator.access import policy
from orchestrator.access.errors import Forbidden
from orchestrator.access.permissions import Permission
from orchestrator.audit import log
from orchestrator.border.input import check as check_json
from orchestrator.engine import roots
from orchestrator.engine.canonical import JSONValue, digest
from orchestrator.engine.commands import Question
from orchestrator.engine.occurrences import Triggered
from orchestrator.engine.states import TERMINAL_EXECUTIONS, ExecutionState
from orchestrator.models import Execution, VersionTrigger, Workflow
from orchestrator.services import advance, answering, versions
from orchestrator.services.errors import Invalid
from orchestrator.services.locked import problem
from orchestrator.services.subscriptions import LONGEST_NAME
from orchestrator.store import load
from orchestrator.store.load import Loaded

if TYPE_CHECKING:
    from uuid import UUID

    from django.contrib.auth.models import User

    from orchestrator.engine.snapshot import Input

AT_ONCE = 50
"""Runs looked at together."""
NAMED_AT_MOST = 200
_STANDING = (ExecutionState.COMPLETED, ExecutionState.PARTIALLY_COMPENSATED)
_LISTENING = [state.value for state in ExecutionState if state not in TERMINAL_EXECUTIONS] + [
    state.value for state in _STANDING
]


@dataclass(slots=True, kw_only=True)
class Raised:
    """What an event came to."""

    taken: int = 0
    executions: list[str] = field(default_factory=list)
    """The first of the runs that took it."""
    unanswered: int = 0
    """Runs whose condition could not be evaluated; they are left as they are."""

    def take(self, execution_id: str) -> None:
        """Count a run that takes the event."""
        self.taken += 1
        if len(self.executions) < NAMED_AT_MOST:
            self.executions.append(execution_id)


def publish_event(*, actor: "User | None", name: str, payload: JSONValue) -> Raised:
    """Tell every run that waits for an event, as far as the actor may undo it.

    Raises:
        Forbidden: Workflows that the actor sees wait for it, and the actor may undo none of them.
        Invalid: The event has no name.
    """
    if not name.strip() or len(name) > LONGEST_NAME:
        message = f"The name of an event has 1 to {LONGEST_NAME} characters."
        raise Invalid(message, problem("/event", "no usable name"))
    check_json({"payload": payload})
    found = Raised()
    version_ids = _versions(actor, name)
    after: UUID | None = None
    while page := _page(version_ids, after):
        after = page[-1]
        _tell(found, [str(key) for key in page], name, payload, actor)
    _record(actor, name, found)
    return found


def _versions(actor: "User | None", name: str) -> list[int]:
    """Return the versions that wait for the event, of workflows whose runs the actor may undo."""
    rows = VersionTrigger.objects.filter(event=name).values_list("version", "version__workflow")
    workflows = Workflow.objects.in_bulk({workflow for _, workflow in rows})
    allowed = {
        key
        for key, workflow in workflows.items()
        if policy.can(actor, Permission.COMPENSATE_EXECUTION, workflow)
    }
    visible = [
        one for one in workflows.values() if policy.can(actor, Permission.VIEW_WORKFLOW, one)
    ]
    if visible and not allowed:
        raise Forbidden(
            f"Workflows wait for {name}, but you may not undo their runs.",
            permission=Permission.COMPENSATE_EXECUTION.value,
        )
    return [version for version, workflow in rows if workflow in allowed]


def _page(version_ids: Sequence[int], after: "UUID | None") -> list["UUID"]:
    rows = Execution.objects.filter(version_id__in=version_ids, is_saga=True, state__in=_LISTENING)
    if after is not None:
        rows = rows.filter(pk__gt=after)
    return list(rows.order_by("pk").values_list("pk", flat=True)[:AT_ONCE])


def _tell(
    found: Raised, ids: Sequence[str], name: str, payload: JSONValue, actor: "User | None"
) -> None:
    """Ask the conditions of some runs together, and let each that agrees take the event."""
    loaded = load.read_executions(ids)
    questions: dict[tuple[str, int], Question | None] = {
        (key, index): _condition(one, trigger, payload)
        for key, one in loaded.items()
        for index, trigger in enumerate(one.graph.definition.saga.triggers)
        if trigger.get("event") == name
    }
    asked = [question for question in questions.values() if question is not None]
    answers = answering.evaluate({"": asked}) if asked else {}
    inputs: dict[str, list[Input]] = {}
    unanswered: set[str] = set()
    for (key, index), question in questions.items():
        answer = answers[question.id] if question is not None else None
        if answer is not None and answer.error:
            unanswered.add(key)
        elif answer is None or answer.value is True:
            item = Triggered(index=index, event=name, actor=versions.name_of(actor))
            inputs.setdefault(key, []).append(item)
    found.unanswered += len(unanswered.difference(inputs))
    for key, items in inputs.items():
        advance.drive(inputs={key: items})
        found.take(key)


def _condition(loaded: Loaded, trigger: Mapping[str, Any], payload: JSONValue) -> Question | None:
    """Return the script of a trigger's condition with what it sees; None where it has none."""
    expression = trigger.get("condition")
    if not isinstance(expression, str) or not expression.strip():
        return None
    data: JSONValue = {"event": payload, "workflow": roots.workflow_root(loaded.view)}
    key = digest(["javascript", expression, data])
    return Question(id=key, evaluator="javascript", expression=expression, data=data)


@transaction.atomic(durable=True)
def _record(actor: "User | None", name: str, found: Raised) -> None:
    changes = {"executions": found.executions, "taken": found.taken}
    log.record("event.raise", name, actor, changes=changes)
