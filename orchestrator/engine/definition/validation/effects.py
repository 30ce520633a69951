"""E1, E2, E3, E8, W1, W12: effect classes, what must be undoable, and what a pivot forbids."""

from orchestrator.engine.definition.model import EffectClass, Step
from orchestrator.engine.definition.saga_keys import CONTROL_FLOW
from orchestrator.engine.definition.validation.findings import (
    Findings,
    is_outside_step,
    place,
)
from orchestrator.engine.definition.validation.flow import Flow
from orchestrator.engine.definition.visits import Visit, forward_visits

HARMLESS = (EffectClass.NONE, EffectClass.RETRIABLE)


def check_effects(findings: Findings, flow: Flow) -> None:
    """Apply the rules about effect classes."""
    for step in findings.steps:
        check_class(findings, step)
        check_undo(findings, step)
    check_after_pivot(findings, flow)


def warn_effects(findings: Findings, flow: Flow) -> None:
    """Apply the rules about effects that are doubtful, not wrong."""
    warn_irreversible_first(findings, flow)
    warn_coverage(findings)


def check_class(findings: Findings, step: Step) -> None:
    """E1: a step that talks to the outside says what it does there."""
    if is_outside_step(step) and step.effect is None:
        message = (
            f'"{step.reference}" talks to the outside and has no `effect`; say NONE, REVERSIBLE, '
            "PIVOT, RETRIABLE or IRREVERSIBLE."
        )
        findings.error("E1", step.path, message, step)


def check_undo(findings: Findings, step: Step) -> None:
    """E2 and E3: an undo where there must be one, none where there cannot be one."""
    undo = step.compensation
    if undo is None:
        if step.effect is EffectClass.REVERSIBLE and not is_undone_inside(findings, step):
            message = f'"{step.reference}" is REVERSIBLE and has no `compensation` to reverse it.'
            findings.error("E2", place(step, "effect"), message, step)
        return
    if step.effect in (EffectClass.PIVOT, EffectClass.IRREVERSIBLE):
        message = f'"{step.reference}" is {step.effect} and cannot have a `compensation`.'
        findings.error("E3", place(step, "compensation"), message, step)
    if undo.safe_if_not_applied is None:
        message = (
            f'The undo of "{step.reference}" must say `safeIfNotApplied`: whether it may be called '
            "for something that never happened."
        )
        findings.error("E2", place(step, "compensation"), message, step)


def is_undone_inside(findings: Findings, step: Step) -> bool:
    """Tell whether the undo of a step is that of the steps inside it, or of its child."""
    if step.type in CONTROL_FLOW:
        return any(
            visit.step.compensation is not None
            for visit in forward_visits((step,))
            if visit.step is not step
        )
    called = step.sub_workflow
    if called is None:
        return False
    if not isinstance(called.version, int | None) or "${" in called.name or called.definition:
        return True
    child = findings.facts.children.get((called.name, called.version))
    return child is None or not child.exists or child.has_undo


def check_after_pivot(findings: Findings, flow: Flow) -> None:
    """E8: behind a pivot there is no way back, so what comes there must not need one."""
    pivots = [step for step in findings.steps if step.effect is EffectClass.PIVOT]
    blocks = blocks_with_savepoint(findings)
    places = flow.reached([flow.after(pivot) for pivot in pivots], stops=is_savepoint)
    for visit in findings.visits:
        step = visit.step
        if flow.before(step) not in places or step.savepoint:
            continue
        effect = findings.effect(step)
        # A step that says nothing has problem E1, unless its undo says enough.
        is_said = step.effect is not None or step.compensation is not None
        if not is_said or effect in HARMLESS or has_own_savepoint(visit, blocks):
            continue
        message = (
            f'"{step.reference}" comes after a pivot and is {effect}; there it must be NONE '
            "or RETRIABLE, or stand behind a savepoint of its own."
        )
        findings.error("E8", place(step, "effect"), message, step)


def is_savepoint(step: Step) -> bool:
    """Tell whether a run can come back to a step."""
    return step.savepoint


def blocks_with_savepoint(findings: Findings) -> dict[str, int]:
    """Return the blocks that have a savepoint, each with the number of its pivots."""
    blocks = (visit.step for visit in findings.visits if visit.step.saga is not None)
    inside = {
        block.reference: [visit.step for visit in forward_visits((block,))] for block in blocks
    }
    return {
        reference: sum(step.effect is EffectClass.PIVOT for step in steps)
        for reference, steps in inside.items()
        if any(step.savepoint for step in steps)
    }


def has_own_savepoint(visit: Visit, blocks: dict[str, int]) -> bool:
    """Tell whether a step stands in a block that has a savepoint and no other pivot."""
    allowed = 1 if visit.step.effect is EffectClass.PIVOT else 0
    return any(blocks.get(block.reference, allowed + 1) <= allowed for block in visit.around)


def warn_irreversible_first(findings: Findings, flow: Flow) -> None:
    """W1: what cannot be undone should come after what may fail."""
    risky = [
        step
        for step in findings.steps
        if is_outside_step(step) and findings.effect(step) not in HARMLESS
    ]
    earlier = flow.reversed().reached([flow.before(step) for step in risky])
    for step in risky:
        if findings.effect(step) is EffectClass.IRREVERSIBLE and flow.after(step) in earlier:
            message = (
                f'"{step.reference}" cannot be undone and comes before a step that may fail; move '
                "it to the end if you can."
            )
            findings.warn("W1", place(step, "effect"), message, step)


def warn_coverage(findings: Findings) -> None:
    """W12: enough of what has an effect can be undone."""
    # What a loop undoes once stands in its body; what says nothing at all has problem E1.
    classes = [
        findings.effect(step)
        for step in findings.steps
        if step.type != "DO_WHILE" and (step.effect is not None or step.compensation is not None)
    ]
    reversible = classes.count(EffectClass.REVERSIBLE)
    total = reversible + classes.count(EffectClass.IRREVERSIBLE)
    if total and reversible / total < findings.facts.coverage_floor:
        message = (
            f"Only {reversible} of {total} steps with an effect can be undone; at least "
            f"{findings.facts.coverage_floor:.0%} should be."
        )
        findings.warn("W12", findings.definition.saga_path, message)
