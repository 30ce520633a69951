"""`compensationDeadlineSeconds`: an undo that takes too long is told, never stopped (§10.5)."""

from orchestrator.engine.events import Event
from orchestrator.engine.work import Work

PURPOSE = "DEADLINE"


def begin(work: Work) -> None:
    """Count from the moment at which the plan begins."""
    due_at = work.later(work.graph.definition.saga.compensation_deadline_seconds)
    work.frontier["undo"]["deadline"] = due_at.isoformat()
    work.wake_at(PURPOSE, due_at)


def passed(work: Work) -> None:
    """Raise the alarm, and leave a mark beside the plan."""
    undo = work.frontier.get("undo")
    if undo is None:
        return
    undo["overdue"] = work.now.isoformat()
    seconds = work.graph.definition.saga.compensation_deadline_seconds
    data = {"plan": undo["plan"], "seconds": seconds, "left": undo["left"]}
    work.record(Event(type="plan.deadline_passed", data=data))


def end(work: Work) -> None:
    """Forget the deadline of a plan that is over."""
    work.forget(PURPOSE)
