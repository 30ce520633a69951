"""Every failpoint of the code, with its row of the crash table (saga-semantics §13)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A moment at which a process may die."""

    name: str
    row: str
    """The row of the crash table, in its words."""
    count: int = 1
    """At which passing the process dies; the first is not always one that matters."""
    refuse: str = "finish"
    """Which step is refused in the run that is undone."""
    workflow: str = "everything"
    """Of the run that is undone."""
    meet: str = ""
    """Two steps, the second of which is refused while the first is in flight."""


MOMENTS = (
    Moment(name="advance.before_commit", row='before commit of "schedule step"', count=2),
    Moment(name="advance.after_commit", row="after it, before the message is sent", count=2),
    Moment(name="publish.before", row="after it, before the message is sent"),
    Moment(name="scripts.before_evaluate", row='before commit of "schedule step"'),
    Moment(name="call.before", row="worker dies before the call"),
    Moment(name="call.after", row="worker dies after the call, before reporting"),
    Moment(name="record.before", row="engine dies after receiving the result, before commit"),
    Moment(name="record.after", row="after it, before the message is sent"),
    Moment(
        name="stop.after_commit",
        row='after "step failed", before the plan',
        refuse="pack",
        meet="pay,pack",
    ),
    Moment(name="plan.while_written", row="while the plan is being written"),
    Moment(name="epoch.before_commit", row="in the middle of epoch change", workflow="again"),
    Moment(name="undo_call.before", row="after dispatch of an undo, no answer"),
    Moment(name="undo_call.after", row="after dispatch of an undo, no answer"),
    Moment(name="undo_record.before", row="undo answered, commit lost"),
    Moment(name="undo_record.after", row="between two undos"),
    Moment(name="timer.before_commit", row="timer fired, commit lost"),
)
"""Met by a worker that carries out runs."""

TOGETHER = (
    ("advance.before_commit", "call.before", "record.before", "timer.before_commit"),
    ("advance.after_commit", "publish.before", "call.after", "scripts.before_evaluate"),
    ("record.after", "plan.while_written", "epoch.before_commit"),
    # Two calls must meet in flight: another process killed meanwhile would part them.
    ("stop.after_commit",),
    ("undo_call.before", "undo_call.after", "undo_record.before", "undo_record.after"),
)
"""Moments that processes of one test die at, one after the other."""

ELSEWHERE = {
    "approval.after_commit": "after approval commit, before dispatch",
}
"""Met elsewhere; each has a test of its own."""

NOT_HERE = {
    "restore from an older backup": "nothing dies here",
    "worker with an old build": "a late result, tested on rows",
}
"""Rows of the crash table without a moment in the code."""
