"""Counts for the dashboard and the run list: what is stuck, wrong, or went on lately."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Count, Max, Q

from orchestrator.access import scoping
from orchestrator.engine.states import STUCK_ENTRIES, ExecutionState, StepState
from orchestrator.models import Execution, StepRun, Workflow

if TYPE_CHECKING:
    from django.contrib.auth.models import User

OPEN_STATES = tuple(state.value for state in ExecutionState if not state.is_terminal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """What only a person can move on."""

    runs: int
    failed_undos: int
    unknown_outcomes: int

    @property
    def is_quiet(self) -> bool:
        """Tell whether nobody is needed."""
        return not (self.runs or self.failed_undos or self.unknown_outcomes)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowCounts:
    """How the runs of one workflow went in a span of time."""

    name: str
    runs: int
    succeeded: int
    failed: int
    undone: int
    attention: int
    last: datetime | None

    @property
    def trouble(self) -> int:
        """Runs that did not simply succeed or go on."""
        return self.failed + self.undone + self.attention

    @property
    def failed_percent(self) -> float:
        """Share of runs that failed and were not undone."""
        return 100 * self.failed / self.runs if self.runs else 0.0

    @property
    def undone_percent(self) -> float:
        """Share of runs that were undone, wholly or partly."""
        return 100 * self.undone / self.runs if self.runs else 0.0


def open_counts(*, actor: "User | None", workflow: str = "") -> Mapping[str, int]:
    """Count runs that have not ended, by state; ended ones are too many to count on each page."""
    rows = scoping.visible_to(actor, Execution.objects.filter(state__in=OPEN_STATES))
    if workflow:
        rows = rows.filter(workflow__in=Workflow.objects.filter(name=workflow))
    counted = rows.order_by().values_list("state").annotate(Count("pk"))
    return defaultdict(int, counted)


def attention(*, actor: "User | None") -> Attention:
    """Count what waits for a person."""
    stuck = [state.value for state in STUCK_ENTRIES]
    steps = scoping.visible_to(actor, StepRun.objects.all(), path="execution__workflow")
    return Attention(
        runs=scoping.visible_to(
            actor, Execution.objects.filter(state=ExecutionState.NEEDS_ATTENTION.value)
        ).count(),
        failed_undos=steps.filter(entry_state__in=stuck).count(),
        unknown_outcomes=steps.filter(
            state=StepState.UNKNOWN.value, execution__state__in=OPEN_STATES
        ).count(),
    )


def counts_since(*, actor: "User | None", since: datetime) -> list[WorkflowCounts]:
    """Count the runs created since a moment by workflow, those with most trouble first."""
    rows = scoping.visible_to(actor, Execution.objects.filter(pk__gte=_first_id_of(since)))
    found = (
        rows.order_by()
        .values("workflow_name")
        .annotate(
            runs=Count("pk"),
            succeeded=Count("pk", filter=Q(state="COMPLETED")),
            failed=Count("pk", filter=Q(state__in=("FAILED", "TIMED_OUT", "TERMINATED"))),
            undone=Count("pk", filter=Q(state__in=("COMPENSATED", "PARTIALLY_COMPENSATED"))),
            attention=Count("pk", filter=Q(state="NEEDS_ATTENTION")),
            last=Max("created_at"),
        )
    )
    counts = [
        WorkflowCounts(
            name=row["workflow_name"],
            runs=row["runs"],
            succeeded=row["succeeded"],
            failed=row["failed"],
            undone=row["undone"],
            attention=row["attention"],
            last=row["last"],
        )
        for row in found
    ]
    return sorted(counts, key=lambda one: (-one.trouble, -one.runs, one.name))


def has_workflows(*, actor: "User | None") -> bool:
    """Tell whether there is any workflow that the actor may see."""
    return scoping.visible_to(actor, Workflow.objects.all(), path="pk").exists()


def _first_id_of(moment: datetime) -> UUID:
    """Return the lowest id that a run of this moment can have: ids begin with their millisecond."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)
