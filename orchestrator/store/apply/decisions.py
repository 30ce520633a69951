"""Decisions into rows: everything that a transition writes, for many executions at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, assert_never
from uuid import uuid4

from django.db import connection

from orchestrator import gate
from orchestrator.engine.commands import (
    ChangeAttempt,
    ClearTimer,
    CloseApproval,
    Command,
    Decision,
    EndPlan,
    OpenApproval,
    RecordLate,
    SendNotice,
    SetTimer,
    StartAttempt,
    StartChild,
    StorePlan,
)
from orchestrator.engine.snapshot import StepRun
from orchestrator.failpoints import failpoint
from orchestrator.models import (
    Attempt,
    CompensationPlan,
    Execution,
    ExecutionEvent,
    Notice,
    Timer,
)
from orchestrator.models import (
    StepRun as StepRow,
)
from orchestrator.store import statements
from orchestrator.store.apply import children, revisions
from orchestrator.store.load import Loaded
from orchestrator.store.rows import STEP_COLUMNS
from orchestrator.store.statements import table_of

Rare = RecordLate | StorePlan | EndPlan | OpenApproval | CloseApproval
"""Commands written one by one: they come once in a run, or less."""

ATTEMPT_COUNTERS = frozenset({"poll_count"})


@dataclass(slots=True, kw_only=True)
class Written:
    """Rows gathered from decisions, and whom to wake once they are committed."""

    now: datetime
    wake_now: bool
    """True where nobody reads what this process publishes: repair may ring at once."""
    new_executions: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Rows that are inserted as they are after their first decision."""
    executions: list[dict[str, Any]] = field(default_factory=list)
    created: list[dict[str, Any]] = field(default_factory=list)
    updated: list[dict[str, Any]] = field(default_factory=list)
    new_attempts: dict[str, dict[str, Any]] = field(default_factory=dict)
    attempts: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    timers: dict[tuple[str, str, str], datetime | None] = field(default_factory=dict)
    notices: list[dict[str, Any]] = field(default_factory=list)
    to_advance: set[str] = field(default_factory=set)
    """Executions that have something to take: children, and receivers of notices."""
    children: list[tuple[Loaded, StartChild]] = field(default_factory=list)
    rare: list[tuple[str, Rare]] = field(default_factory=list)

    def add(self, loaded: Loaded, decision: Decision) -> None:
        """Gather what one decision writes."""
        execution_id = loaded.view.id
        for run in decision.created:
            self.created.append(self._step_row(execution_id, run))
        for run, names in decision.updated:
            row = {name: getattr(run, name) for name in names}
            if self.wake_now and row.get("wake_at") is not None:
                row["wake_at"] = min(row["wake_at"], run.due_at or self.now)
            self.updated.append({"id": run.id, **row})
        for command in decision.commands:
            self._add_command(loaded, command)
        self._add_execution(decision)

    def _step_row(self, execution_id: str, run: StepRun) -> dict[str, Any]:
        row = {name: getattr(run, name) for name in STEP_COLUMNS}
        row["execution_id"] = execution_id
        if self.wake_now and run.wake_at is not None:
            row["wake_at"] = run.due_at or self.now
        return row

    def _add_execution(self, decision: Decision) -> None:
        execution = decision.execution
        head = execution.head
        for event in decision.events:
            head += 1
            self.events.append(
                {
                    "execution_id": execution.id,
                    "seq": head,
                    "at": self.now,
                    "type": event.type,
                    "reference": event.reference,
                    "step_run_id": event.step_run_id,
                    "data": event.data,
                }
            )
        if decision.is_empty:
            return
        row = {name: getattr(execution, name) for name in decision.changed}
        row |= {
            "id": execution.id,
            "head": head,
            "revision": execution.revision + 1,
            "updated_at": self.now,
        }
        if execution.id in self.new_executions:
            self.new_executions[execution.id] |= row
        else:
            self.executions.append(row)
        execution.head = head
        execution.revision += 1
        if execution.wake_at is not None:
            self.to_advance.add(execution.id)

    def _add_command(self, loaded: Loaded, command: Command) -> None:
        execution_id = loaded.view.id
        match command:
            case StartAttempt():
                self._start_attempt(execution_id, command)
            case ChangeAttempt(attempt_id=key, changes=changes):
                target = self.new_attempts if key in self.new_attempts else self.attempts
                target.setdefault(key, {"id": key}).update(changes)
            case SetTimer(purpose=purpose, subject=subject, due_at=due_at):
                self.timers[execution_id, purpose, subject] = due_at
            case ClearTimer(purpose=purpose, subject=subject):
                self.timers[execution_id, purpose, subject] = None
            case SendNotice():
                self._send(command)
            case StartChild():
                self.children.append((loaded, command))
                self.to_advance.add(command.id)
            case RecordLate() | StorePlan() | EndPlan() | OpenApproval() | CloseApproval():
                self.rare.append((execution_id, command))
            case _:
                assert_never(command)

    def _start_attempt(self, execution_id: str, command: StartAttempt) -> None:
        self.new_attempts[command.attempt_id] = {
            "id": command.attempt_id,
            "step_run_id": command.step_run_id,
            "execution_id": execution_id,
            "number": command.number,
            "state": command.state,
            "reason": "",
            "output": None,
            "worker": "",
            "poll_count": 0,
            "callback_after": command.callback_after,
            "scheduled_at": self.now,
            "started_at": None,
            "ended_at": None,
            "late": None,
        }

    def _send(self, command: SendNotice) -> None:
        self.notices.append(
            {
                "id": str(uuid4()),
                "execution_id": command.execution_id,
                "kind": command.kind,
                "data": command.data,
                "wake_at": self.now,
            }
        )
        self.to_advance.add(command.execution_id)


def write(
    written: Written, *, expected: Mapping[str, int] | None = None, last: bool = False
) -> None:
    """Write all that was gathered; a handful of statements, however many executions it is.

    Args:
        written: What is to be written.
        expected: The revision at which each execution was read, where no lock holds it since.
        last: Nothing follows in the caller's transaction.

    Raises:
        Stale: An execution is not at the expected revision any more; nothing was written.
    """
    is_alone = not written.children and all(
        isinstance(rare, StorePlan | EndPlan) for _, rare in written.rare
    )
    with (
        revisions.checked(expected or {}),
        statements.in_one_message(last=last and is_alone),
    ):
        _check(written, expected or {})
        _write_sets(written)
        for execution_id, rare in written.rare:
            _write_plan(execution_id, rare, now=written.now)
    for loaded, command in written.children:
        children.create(loaded, command, now=written.now)
    for execution_id, rare in written.rare:
        _write_rare(execution_id, rare, now=written.now)


def _check(written: Written, expected: Mapping[str, int]) -> None:
    """Have nothing be written unless the executions are what they were; lock them first."""
    if len(expected) == len(written.executions) == 1 and connection.vendor == "postgresql":
        [row] = written.executions
        revisions.update_one(row, expected[row["id"]])
        written.executions.clear()
    else:
        revisions.check(expected)


def _write_sets(written: Written) -> None:
    statements.insert(table_of(Execution), list(written.new_executions.values()))
    statements.insert(table_of(StepRow), written.created)
    statements.update(table_of(StepRow), written.updated)
    statements.insert(table_of(Attempt), list(written.new_attempts.values()))
    statements.update(table_of(Attempt), list(written.attempts.values()), counters=ATTEMPT_COUNTERS)
    statements.insert(table_of(ExecutionEvent), written.events)
    statements.update(table_of(Execution), written.executions)
    statements.insert(table_of(Notice), written.notices)
    _write_timers(written.timers)


def _write_timers(timers: Mapping[tuple[str, str, str], datetime | None]) -> None:
    """Set and clear timers: at most one live row per purpose (invariant 40)."""
    keys = ("execution_id", "purpose", "subject")
    rows = [
        dict(zip(keys, key, strict=True)) | {"due_at": due_at} for key, due_at in timers.items()
    ]
    statements.upsert(
        table_of(Timer), [row for row in rows if row["due_at"] is not None], keys=keys
    )
    cleared = [{key: row[key] for key in keys} for row in rows if row["due_at"] is None]
    statements.delete(table_of(Timer), cleared)


def _write_plan(execution_id: str, command: Rare, *, now: datetime) -> None:
    # One by one, in the order of the decision: only one plan of an execution may be active.
    match command:
        case StorePlan():
            row = {
                "id": command.id,
                "execution_id": execution_id,
                "number": command.number,
                "hash": command.hash,
                "trigger": command.trigger,
                "triggered_by": command.triggered_by,
                "triggered_by_id": None,
                "reason": command.reason,
                "entries": list(command.entries),
                "edges": [list(edge) for edge in command.edges],
                "cannot_be_undone": list(command.cannot_be_undone),
                "state": "ACTIVE",
                "created_at": now,
                "ended_at": None,
            }
            statements.insert(table_of(CompensationPlan), [row])
            failpoint("plan.while_written")
        case EndPlan(id=plan_id, state=state):
            row = {"id": plan_id, "state": state, "ended_at": now}
            statements.update(table_of(CompensationPlan), [row])
        case RecordLate() | OpenApproval() | CloseApproval():
            pass


def _write_rare(execution_id: str, command: Rare, *, now: datetime) -> None:
    match command:
        case RecordLate(attempt_id=attempt_id, result=result):
            Attempt.objects.filter(pk=attempt_id).update(late=result)
        case OpenApproval():
            gate.open_request(execution_id=execution_id, command=command, now=now)
        case CloseApproval(id=approval_id, state=state):
            gate.close_request(approval_id=approval_id, state=state, now=now)
        case StorePlan() | EndPlan():
            pass
