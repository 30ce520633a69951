"""Under which trigger an entry came into the plan, also after the plan was extended (§5).

An undo is told the reason it was asked for, and who asked must not approve it (§7): neither may
change because somebody else has more undone.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from orchestrator.engine.snapshot import PlanView, StepRun
from orchestrator.engine.work import Work


def plan_of(work: Work, entry: StepRun) -> PlanView | None:
    """Return the active plan with the trigger, reason and person that brought this entry in."""
    plan = work.active_plan()
    earlier = (work.frontier.get("undo") or {}).get("earlier")
    key = earlier["entries"].get(entry.id) if earlier else None
    if plan is None or earlier is None or key is None:
        return plan
    return replace(plan, **earlier["plans"][key])


def told_to_child(work: Work, plan: PlanView) -> dict[str, Any]:
    """Return what a child is told that must be undone; what two persons agreed on goes with it."""
    override = bool((work.frontier.get("undo") or {}).get("override"))
    return {"reason": plan.reason, "by": plan.triggered_by, "override": override}


def keep(work: Work, entries: Collection[str], plan: PlanView) -> None:
    """Remember which plan these entries came with, before another one takes its place."""
    undo = work.frontier["undo"]
    earlier = undo.setdefault("earlier", {"plans": {}, "entries": {}})
    earlier["plans"][plan.id] = {
        "trigger": plan.trigger,
        "reason": plan.reason,
        "triggered_by": plan.triggered_by,
    }
    earlier["entries"] |= {key: plan.id for key in entries if key not in earlier["entries"]}
