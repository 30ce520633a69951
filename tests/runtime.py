"""Runs driven by hand: definitions published, tasks called as functions, one step at a time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from approvals.models import ApprovalRequest, ApprovalVote
from orchestrator import tasks
from orchestrator.audit.models import AuditEntry
from orchestrator.handlers import registry
from orchestrator.models import (
    Attempt,
    CompensationPlan,
    Execution,
    ExecutionEvent,
    Notice,
    StartKey,
    StepRun,
    Timer,
    Workflow,
    WorkflowVersion,
)
from orchestrator.services import executions, recovery, versions
from tests.fakes import Clock, Shop

NOBODY = str(UUID(int=0))
MOST_ROUNDS = 300
QUEUES = (registry.DEFAULT_QUEUE, registry.CALLS_QUEUE)


@dataclass
class Runtime:
    """A shop, a clock, and our own tasks and ticker, called when a test says so."""

    shop: Shop
    clock: Clock

    def handle(self, *names: str) -> None:
        """Have these steps done by our own workers, together with their undos and probes."""
        for name in names:
            registry.step(name)(_do(self.shop))
            registry.step(f"undo_{name}")(_undo(self.shop))
            registry.step(f"probe_{name}")(_probe(self.shop))

    def publish(self, document: Mapping[str, Any]) -> WorkflowVersion:
        """Register a definition."""
        return versions.register(actor=None, document=dict(document)).version

    def start(self, document: Mapping[str, Any], **given: Any) -> Execution:
        """Publish and start; the input is `{"order": 1}` unless given."""
        self.publish(document)
        return self.start_known(str(document["name"]), **given)

    def start_known(self, name: str, **given: Any) -> Execution:
        """Start a workflow that is published."""
        values: dict[str, Any] = {"input": {"order": 1}, **given}
        started = executions.start_execution(actor=None, workflow_name=name, **values)
        return Execution.objects.get(pk=started.id)

    def work(self) -> None:
        """Let ticker and workers go on until nothing is due at this moment."""
        for _ in range(MOST_ROUNDS):
            before = self._progress()
            recovery.tick()
            for queue in QUEUES:
                tasks.run_queue(queue, first=NOBODY)
            if self._progress() == before:
                return
        raise AssertionError("it never comes to rest")

    def work_for(self, seconds: int) -> None:
        """Let time pass, second by second, with ticker and workers at work."""
        self.work()
        for _ in range(seconds):
            self.clock.advance(1)
            self.work()

    def deliver(self, step: StepRun, *, v: int = 1) -> None:
        """Deliver the message that wakes a worker for a step run."""
        tasks.execute_step.apply(args=(str(step.pk),), kwargs={"v": v}, routing_key="default")

    def run(self, document: Mapping[str, Any], **given: Any) -> Execution:
        """Start a run and work until it rests."""
        started = self.start(document, **given)
        self.work()
        return self.read(started)

    def read(self, execution: Execution) -> Execution:
        """Read a run again."""
        return Execution.objects.get(pk=execution.pk)

    def steps(self, execution: Execution, direction: str = "FORWARD") -> dict[str, StepRun]:
        """Return the step runs by position."""
        rows = StepRun.objects.filter(execution=execution, direction=direction)
        return {row.position: row for row in rows.order_by("seq")}

    def states(self, execution: Execution, direction: str = "FORWARD") -> dict[str, str]:
        """Return the states of the step runs by position."""
        return {key: row.state for key, row in self.steps(execution, direction).items()}

    def ledger(self, execution: Execution) -> dict[str, str | None]:
        """Return the entries by position."""
        return {
            key: row.entry_state
            for key, row in self.steps(execution).items()
            if row.entry_state is not None
        }

    def events(self, execution: Execution) -> list[str]:
        """Return the types of the journal, in order."""
        rows = ExecutionEvent.objects.filter(execution_id=execution.pk).order_by("seq")
        return list(rows.values_list("type", flat=True))

    def _progress(self) -> Iterable[Any]:
        return sorted(Execution.objects.values_list("pk", "revision", "wake_at"))


def _do(shop: Shop) -> Any:
    def do(context: Any) -> Any:
        return shop.do(context)

    return do


def _undo(shop: Shop) -> Any:
    def undo(context: Any) -> Any:
        return shop.undo(context)

    return undo


def _probe(shop: Shop) -> Any:
    def probe(context: Any) -> Any:
        return shop.probe(context)

    return probe


def everything_stored() -> dict[str, list[Any]]:
    """Return every row that a run, a start or an act of somebody writes, to compare with later."""
    return {
        model.__name__: sorted(model._default_manager.values_list(), key=str) for model in WRITTEN
    }


WRITTEN = (
    Execution,
    StepRun,
    Attempt,
    ExecutionEvent,
    CompensationPlan,
    Timer,
    Notice,
    StartKey,
    Workflow,
    WorkflowVersion,
    AuditEntry,
    ApprovalRequest,
    ApprovalVote,
)
