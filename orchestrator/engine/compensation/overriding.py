"""What a wish to undo goes past: a pivot, a seal, the order (saga-semantics §5, §10.4, §11).

None of it is forbidden for good; all of it takes two persons who hold the right.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.engine.compensation import pivots, plan
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import EntryState
from orchestrator.engine.steps import windows


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """The entries of a plan that only two persons may have undone, by what stands in the way."""

    pivot: StepRun | None = None
    before_pivot: tuple[StepRun, ...] = ()
    """Entries before or beside the completed pivot."""
    sealed: tuple[StepRun, ...] = ()
    skipped_over: tuple[StepRun, ...] = ()
    """Entries that came after a chosen one and are left standing."""

    def __bool__(self) -> bool:
        return bool(self.before_pivot or self.sealed or self.skipped_over)

    def to_public(self) -> list[dict[str, Any]]:
        """Return them as the API shows them."""
        reasons = (
            ("PIVOT", self.before_pivot),
            ("SEALED", self.sealed),
            ("ORDER", self.skipped_over),
        )
        return [
            {
                "id": run.id,
                "taskReferenceName": run.reference,
                "iteration": run.iteration,
                "because": because,
            }
            for because, runs in reasons
            for run in runs
        ]


def needed(
    runs: Mapping[str, StepRun],
    node_of: plan.NodeOf,
    made: plan.Plan,
    chosen: Collection[str],
    *,
    now: datetime,
) -> Overrides:
    """Return what must be overridden for these entries of a plan to be undone."""
    picked = [runs[entry["id"]] for entry in made.entries if entry["id"] in chosen]
    pivot = pivots.last_pivot(runs, node_of)
    allowed = pivots.allowed(runs, node_of)
    return Overrides(
        pivot=pivot,
        before_pivot=tuple(run for run in picked if allowed is not None and run.id not in allowed),
        sealed=tuple(
            run
            for run in picked
            if run.entry_state is EntryState.SEALED or windows.is_overdue(run, now)
        ),
        skipped_over=made.missing,
    )
