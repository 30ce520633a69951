"""W3, W5, W7, W11: timeouts, tries, loops, and questions that come too often."""

import re

from orchestrator.engine.definition.graph import BUILT_IN_CALLS
from orchestrator.engine.definition.model import (
    BUILT_IN_POLICY,
    Compensation,
    EffectClass,
    OnUnknown,
    Step,
    TaskPolicy,
)
from orchestrator.engine.definition.problems import pointer
from orchestrator.engine.definition.validation.findings import Findings, is_outside_step, place
from orchestrator.engine.definition.validation.mappings import child_of
from orchestrator.engine.definition.visits import Visit, forward_visits
from orchestrator.engine.expressions.mapping import reads

TIMED_CALLS = BUILT_IN_CALLS | {
    "HTTP_POLL",
    "EVENT",
    "KAFKA_PUBLISH",
    "JDBC",
    "CALL_MCP_TOOL",
    "LIST_MCP_TOOLS",
    "AGENT",
}
"""Types that our own workers run, each with a timeout of its own."""
ROUNDS = r"iteration['\"]?\s*\]?"
BOUND = re.compile(rf"{ROUNDS}\s*(?:<|!=)|(?:>=?|!==?)\s*[$\w.\[\]'\"]{{0,200}}iteration")


def warn_running(findings: Findings) -> None:
    """Apply the rules about how steps run."""
    for visit in findings.visits:
        warn_no_timeout(findings, visit.step)
        warn_frequent_question(findings, visit)
        warn_weak_undo(findings, visit.step)
        warn_endless_loop(findings, visit.step)


def warn_no_timeout(findings: Findings, step: Step) -> None:
    """W3: a worker that never answers holds the run for ever."""
    if not waits_for_worker(step):
        return
    policy = findings.policy(step)
    if policy is None or not policy.timeout_seconds:
        message = (
            f'"{step.reference}" waits for a worker without limit; give its task definition '
            "`timeoutSeconds`."
        )
        path = pointer(step.path, "taskDefinition") if step.task_policy is not None else step.path
        findings.warn("W3", path, message, step)


def warn_frequent_question(findings: Findings, visit: Visit) -> None:
    """W5: a step that runs often asks a person for every unknown outcome."""
    step = visit.step
    is_frequent = any(each.type in ("DO_WHILE", "FORK_JOIN_DYNAMIC") for each in visit.around)
    asks = findings.effect(step) in (EffectClass.REVERSIBLE, EffectClass.PIVOT)
    # Of an optional step nobody asks before something is to be undone.
    asks = asks and is_outside_step(step) and not step.optional
    if is_frequent and asks and ends_at_person(step):
        message = (
            f'"{step.reference}" runs often, and an unknown outcome of it always ends with a '
            "person; give it a `probe`, or an undo that is safe if nothing was applied."
        )
        findings.warn("W5", place(step, "onUnknown"), message, step)


def ends_at_person(step: Step) -> bool:
    """Tell whether neither a probe nor an undo settles an unknown outcome."""
    if OnUnknown.PROBE in step.on_unknown and step.probe is not None:
        return False
    undo = step.compensation
    if OnUnknown.COMPENSATE not in step.on_unknown or undo is None:
        return True
    return not undo.safe_if_not_applied or reads_output(step, undo)


def reads_output(step: Step, undo: Compensation) -> bool:
    """Tell whether the undo needs what the step gave (saga-semantics §8)."""
    return any(
        read[0] == step.reference and (len(read) == 1 or read[1] == "output")
        for task in undo.tasks
        for read in reads(dict(task.inputs))
    )


def warn_weak_undo(findings: Findings, step: Step) -> None:
    """W7: the undo gives up earlier than the step did."""
    if step.compensation is None:
        return
    retries = retries_of(findings, step)
    attempts = step.compensation.retry.maximum_attempts
    if attempts < retries + 1:
        message = (
            f'The undo of "{step.reference}" is tried {attempts} times, the step itself '
            f"{retries + 1} times."
        )
        path = place(step, "compensation", "retry", "maximumAttempts")
        findings.warn("W7", path, message, step)


def retries_of(findings: Findings, step: Step) -> int:
    """Return how often a step is tried again; an unregistered worker task has Conductor's three."""
    if step.retry_count is not None:
        return step.retry_count
    policy = findings.policy(step)
    if policy is None:
        policy = TaskPolicy(name=step.name) if waits_for_worker(step) else BUILT_IN_POLICY
    return policy.retry_count


def waits_for_worker(step: Step) -> bool:
    """Tell whether a worker runs the step, which may never answer."""
    is_ours = step.type in TIMED_CALLS or step.type.startswith("LLM_")
    return is_outside_step(step) and not is_ours


def warn_endless_loop(findings: Findings, step: Step) -> None:
    """W11: a loop with effects whose rounds nothing counts."""
    if step.type != "DO_WHILE" or step.items is not None or BOUND.search(step.loop_condition):
        return
    if any(does_something(findings, visit.step) for visit in forward_visits(step.body)):
        message = (
            f'The loop "{step.reference}" does things to the outside and has no limit of rounds; '
            "bound `iteration` in its `loopCondition`."
        )
        findings.warn("W11", pointer(step.path, "loopCondition"), message, step)


def does_something(findings: Findings, step: Step) -> bool:
    """Tell whether a step, or the child it starts, does something to the outside."""
    child = child_of(findings, step) if step.type == "SUB_WORKFLOW" else None
    return findings.has_effect(step) or (child is not None and child.has_effects)
