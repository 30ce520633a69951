"""W2, W8, W9, W10: money, and things that two branches touch."""

from orchestrator.engine.canonical import canonical
from orchestrator.engine.definition.model import Step
from orchestrator.engine.definition.validation.findings import Findings, is_outside_step, place
from orchestrator.engine.definition.validation.flow import Flow
from orchestrator.engine.definition.visits import forward_visits

GIVES = ("payout", "disburse", "refund")
TAKES = ("charge", "capture", "collect")
MONEY = (*GIVES, *TAKES, "payment")


def warn_money(findings: Findings, flow: Flow) -> None:
    """Apply the rules about money."""
    warn_give_before_take(findings, flow)
    for step in findings.steps:
        warn_no_amount(findings, step)
        warn_independent(findings, step)
        if step.type == "FORK_JOIN":
            warn_same_effect(findings, step)


def is_named(step: Step, words: tuple[str, ...]) -> bool:
    """Tell whether the name of a step has one of the words in it."""
    names = f"{step.name} {step.reference}".lower()
    return any(word in names for word in words)


def warn_give_before_take(findings: Findings, flow: Flow) -> None:
    """W2: money goes out before it came in."""
    takers = [step for step in findings.steps if is_named(step, TAKES)]
    earlier = flow.reversed().reached([flow.before(step) for step in takers])
    for step in findings.steps:
        gives = step.amount is not None and is_named(step, GIVES) and not is_named(step, TAKES)
        if gives and flow.after(step) in earlier:
            message = f'"{step.reference}" pays out before a later step has taken the money in.'
            findings.warn("W2", step.path, message, step)


def warn_no_amount(findings: Findings, step: Step) -> None:
    """W8: a payment that does not say how much."""
    is_payment = is_outside_step(step) and findings.has_effect(step) and is_named(step, MONEY)
    if is_payment and step.amount is None:
        message = (
            f'"{step.reference}" looks like a payment and has no `amount`; plans and approvals '
            "cannot show what is at stake."
        )
        findings.warn("W8", step.path, message, step)


def warn_independent(findings: Findings, step: Step) -> None:
    """W10: nobody waits for the undo of a payment."""
    undo = step.compensation
    if undo is None or not undo.independent:
        return
    if step.amount is not None or is_named(step, MONEY):
        message = (
            f'The undo of "{step.reference}" moves money and is `independent`: others go on '
            "without knowing whether it worked."
        )
        findings.warn("W10", place(step, "compensation", "independent"), message, step)


def warn_same_effect(findings: Findings, fork: Step) -> None:
    """W9: parallel branches that touch the same thing."""
    owners: dict[str, int] = {}
    for number, branch in enumerate(fork.branches):
        for visit in forward_visits(branch):
            step = visit.step
            if step.effect_id is None:
                continue
            other = owners.setdefault(canonical(step.effect_id), number)
            if other != number:
                message = (
                    f'"{step.reference}" touches the same `effectId` as a step of a parallel '
                    "branch; their order is not known."
                )
                findings.warn("W9", place(step, "effectId"), message, step)
