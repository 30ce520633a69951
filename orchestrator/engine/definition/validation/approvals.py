"""E7 and W4: who has to agree to an undo, and whether there is time for it."""

from orchestrator.engine.definition.durations import MalformedTime, parse_duration
from orchestrator.engine.definition.model import (
    Approval,
    Compensation,
    Definition,
    Step,
    UndoPolicy,
)
from orchestrator.engine.definition.validation.findings import Findings, place
from orchestrator.engine.definition.visits import forward_visits

ASKING = (UndoPolicy.APPROVAL, UndoPolicy.APPROVAL_IF)


def needed_groups(definition: Definition) -> frozenset[str]:
    """Return the groups that any approval of the definition names."""
    return frozenset(
        group
        for step in (visit.step for visit in forward_visits(definition.tasks))
        if step.compensation is not None
        for level in levels(step.compensation.approval)
        for group in level
    )


def levels(approval: Approval) -> tuple[tuple[str, ...], ...]:
    """Return the groups of each level, the first one included."""
    return (approval.groups, *(level.groups for level in approval.escalation))


def check_approvals(findings: Findings) -> None:
    """E7: every level of every approval can be given by somebody."""
    for step in findings.steps:
        undo = step.compensation
        if undo is not None and undo.policy in ASKING:
            check_first_level(findings, step, undo.approval)
            check_escalation(findings, step, undo.approval)


def check_first_level(findings: Findings, step: Step, approval: Approval) -> None:
    """Check that enough people may decide, without the one who publishes."""
    people = members(findings, approval.groups)
    if people is None:
        return
    if "PUBLISHER" in approval.distinct_from:
        people -= {findings.facts.publisher}
    if len(people) < approval.quorum:
        who = ", ".join(f'"{name}"' for name in approval.groups) or "the approvers"
        message = (
            f'The undo of "{step.reference}" needs {approval.quorum} to agree, and '
            f"{len(people)} of {who} may."
        )
        findings.error("E7", place(step, "compensation", "approval", "groups"), message, step)


def check_escalation(findings: Findings, step: Step, approval: Approval) -> None:
    """Check that every later level has somebody in it."""
    for index, level in enumerate(approval.escalation):
        if not members(findings, level.groups):
            message = f'Nobody is in the groups that the undo of "{step.reference}" escalates to.'
            path = place(step, "compensation", "approval", "escalation", index)
            findings.error("E7", path, message, step)


def members(findings: Findings, groups: tuple[str, ...]) -> frozenset[str] | None:
    """Return who is in any of the groups; without groups every approver, None if not known."""
    if not groups:
        return findings.facts.approvers
    return frozenset[str]().union(*(findings.facts.groups.get(name, ()) for name in groups))


def warn_approvals(findings: Findings) -> None:
    """W4: an approval that may take longer than the step can be undone."""
    for step in findings.steps:
        undo = step.compensation
        window = window_seconds(step)
        if undo is None or undo.policy not in ASKING or window is None:
            continue
        if longest_wait(undo) > window:
            message = (
                f'The approval for "{step.reference}" may take {longest_wait(undo)} seconds, and '
                f"after {window:.0f} seconds the step cannot be undone any more."
            )
            path = place(step, "compensation", "approval", "deadlineSeconds")
            findings.warn("W4", path, message, step)


def longest_wait(undo: Compensation) -> int:
    """Return how long all levels of an approval may take together."""
    escalation = sum(level.deadline_seconds for level in undo.approval.escalation)
    return undo.approval.deadline_seconds + escalation


def window_seconds(step: Step) -> float | None:
    """Return how long a step can be undone, when that is known beforehand."""
    if not isinstance(step.window, str) or "${" in step.window:
        return None
    try:
        return parse_duration(step.window).total_seconds()
    except MalformedTime:
        # The shape has a problem of its own already.
        return None
