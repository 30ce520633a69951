"""E7 and W4: who has to agree to an undo, and whether there is time for it."""

from datetime import datetime

from orchestrator.engine.definition.durations import (
    MalformedTime,
    parse_duration,
    parse_moment,
    parse_zone,
)
from orchestrator.engine.definition.model import (
    Approval,
    Compensation,
    Definition,
    Moment,
    Step,
    UndoPolicy,
)
from orchestrator.engine.definition.validation.findings import Findings, place
from orchestrator.engine.definition.visits import forward_visits

ASKING = (UndoPolicy.APPROVAL, UndoPolicy.APPROVAL_IF)
AFTER_WINDOW = "SKIP_WITH_APPROVAL"


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
        if undo is not None and may_ask(undo):
            check_first_level(findings, step, undo.approval)
            check_escalation(findings, step, undo.approval)


def may_ask(undo: Compensation) -> bool:
    """Tell whether people may be asked: before the undo, or once it is too late for it."""
    is_left_by_people = undo.not_after is not None and undo.on_window_closed == AFTER_WINDOW
    return undo.policy in ASKING or is_left_by_people


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
    """W4: an approval that may take longer than there is time for the undo."""
    for step in findings.steps:
        undo = step.compensation
        if undo is None or undo.policy not in ASKING:
            continue
        wait = longest_wait(undo)
        window, slot = window_seconds(step), slot_seconds(undo)
        path = place(step, "compensation", "approval", "deadlineSeconds")
        if window is not None and wait > window:
            message = (
                f'The approval for "{step.reference}" may take {wait} seconds, and '
                f"after {window:.0f} seconds the step cannot be undone any more."
            )
            findings.warn("W4", path, message, step)
        if slot is not None and wait > slot:
            message = (
                f'The approval for "{step.reference}" may take {wait} seconds, and from '
                f"`notBefore` to `notAfter` there are {max(slot, 0):.0f}."
            )
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


def slot_seconds(undo: Compensation) -> float | None:
    """Return the time from `notBefore` to `notAfter`, when that is known beforehand."""
    opens, closes = undo.not_before, undo.not_after
    if opens is None or closes is None:
        return None
    try:
        lead = parse_duration(opens.lead).total_seconds() if opens.lead is not None else 0.0
        if opens.at == closes.at and opens.zone == closes.zone:
            return lead
        return (moment_of(closes) - moment_of(opens)).total_seconds() + lead
    except (MalformedTime, ValueError):
        # An expression, or a shape that has a problem of its own already.
        return None


def moment_of(moment: Moment) -> datetime:
    """Return a moment that is written out."""
    if not isinstance(moment.at, str):
        raise MalformedTime("", "a moment")
    return parse_moment(moment.at, parse_zone(moment.zone))
