"""How a step run begins, ends and is handed to a worker, whatever its type."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from orchestrator.engine import keys, retry, roots
from orchestrator.engine.commands import ChangeAttempt, StartAttempt
from orchestrator.engine.definition.graph import Node, policy_of
from orchestrator.engine.definition.model import TaskPolicy
from orchestrator.engine.expressions import mapping
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import (
    AttemptState,
    Direction,
    ErrorClass,
    StepState,
)
from orchestrator.engine.steps import entry, marks, watch
from orchestrator.engine.work import Work, merged

LEASE_GRACE = 10
"""Seconds a lease outlasts the attempt's own deadline (reliability.md §2.3)."""
DEFAULT_DEADLINE = 60
RING_AFTER = 10
"""Seconds after which repair rings for a row that nobody claimed (reliability.md §3.1)."""


def task_policy(work: Work, node: Node, run: StepRun | None = None) -> TaskPolicy:
    """Return the TaskDef that holds for a step in this run; of DYNAMIC, of the task it named."""
    if run is None or run.type != "DYNAMIC" or run.name == node.step.name:
        return policy_of(node.step, work.snapshot.policies)
    if run.name not in work.snapshot.policies:
        work.needs.policies.add(run.name)
        return TaskPolicy(name=run.name)
    return work.snapshot.policies[run.name]


def inputs_of(work: Work, node: Node, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a step's input: its mapping over the roots, filled from the TaskDef's template.

    A key that came out null takes the template's raw value (conductor/definitions.md §6).
    """
    template = task_policy(work, node).input_template
    resolved = mapping.resolve(merged(template, node.inputs), values)
    assert isinstance(resolved, dict)
    for name, raw in template.items():
        if resolved.get(name) is None:
            resolved[name] = raw
    return resolved


def new_run(
    work: Work,
    node: Node,
    rounds: tuple[int, ...],
    caused_by: tuple[str, ...],
    defined_by: str | None,
) -> StepRun:
    """Make the value of a forward step run; its input and state are still to be decided."""
    position = node.position(rounds)
    execution = work.execution
    run_id = keys.step_run_id(execution.id, position, execution.epoch)
    return StepRun(
        id=run_id,
        reference=node.reference,
        position=position,
        iteration=rounds[-1] if rounds else 0,
        epoch=execution.epoch,
        type=node.step.type,
        name=node.step.name,
        seq=work.next_seq(),
        caused_by=caused_by,
        attempt_id=run_id,
        priority=execution.priority,
        defined_by=defined_by,
        scheduled_at=work.now,
        first_scheduled_at=work.now,
        updated_at=work.now,
    )


def schedule(
    work: Work, node: Node, run: StepRun, inputs: dict[str, Any], **columns: Any
) -> StepRun:
    """Make a step run claimable: by a Celery worker of its queue, or by polling workers.

    The ledger entry of a step with an undo is written with the row, so no crash can lose it
    (saga-semantics invariant 1).
    """
    name = str(columns.pop("name", run.name))
    queue = work.snapshot.queues.get((run.type, name), "")
    if not queue and run.type not in {"SIMPLE", "DYNAMIC"}:
        # Work of a type that nobody here does is queued under its type (definitions.md §5.1).
        name = run.type
    delay = node.step.start_delay
    run.input, run.name, run.queue = inputs, name, queue
    run.domain = "" if queue else domain_of(work, name)
    run.due_at = work.later(delay)
    run.wake_at = work.later(delay + RING_AFTER) if queue else None
    for column, value in columns.items():
        setattr(run, column, value)
    entry.arm(work, node, run)
    run = work.create(run)
    start_attempt(work, run, AttemptState.SCHEDULED)
    work.tell("step.scheduled", run)
    work.fresh.append(run)
    watch.watch(work, task_policy(work, node, run), run)
    return run


def domain_of(work: Work, name: str) -> str:
    """Return the domain of a worker step: the exact name wins, else `*` (definitions.md §8.2).

    Of several the first that a worker has asked for lately is taken, else the last.
    """
    domains = work.execution.domains
    given = (domains.get(name) or domains.get("*") or "").split(",")
    listed = ["" if one.strip() == "NO_DOMAIN" else one.strip() for one in given]
    if len(listed) == 1:
        return listed[0]
    if name not in work.snapshot.polled:
        work.needs.polled.add(name)
        return ""
    polled = work.snapshot.polled[name]
    return next((domain for domain in listed if domain and domain in polled), listed[-1])


def start_attempt(
    work: Work, run: StepRun, state: AttemptState, *, callback_after: int = 0
) -> None:
    """Write the row of a step run's present attempt."""
    work.do(
        StartAttempt(
            attempt_id=run.attempt_id,
            step_run_id=run.id,
            number=run.attempt,
            state=state,
            callback_after=callback_after,
        )
    )


def has_timer(work: Work, node: Node, run: StepRun) -> bool:
    """Tell whether a timer may be set for a step run; most have none."""
    policy = task_policy(work, node, run)
    timed = (policy.poll_timeout_seconds, policy.total_timeout_seconds, policy.timeout_seconds)
    return any(timed) or run.type in watch.STARTED_BY_TIMER


def begin_in_engine(work: Work, run: StepRun, inputs: dict[str, Any], state: StepState) -> StepRun:
    """Add a step run that the engine does itself, in its first state: WAITING or SCHEDULED."""
    run.input, run.state, run.started_at = inputs, state, work.now
    node = work.node(run)
    if node is not None:
        entry.arm(work, node, run)
    run = _put(work, run)
    attempt = AttemptState.WAITING if state is StepState.WAITING else AttemptState.DISPATCHED
    start_attempt(work, run, attempt)
    if state is StepState.WAITING:
        work.tell("step.waiting", run)
    return run


def _put(work: Work, run: StepRun) -> StepRun:
    """Add a step run, or write over the one that an operator's retry begins again."""
    known = work.runs.get(run.id)
    if known is None:
        return work.create(run)
    if run.state is not StepState.SCHEDULED:
        known = work.change(known, state=StepState.SCHEDULED)
    same = {"id", "is_light", "updated_at"}
    names = [name for name in StepRun.__slots__ if name not in same]
    changes = {name: getattr(run, name) for name in names}
    return work.change(
        known,
        **{name: value for name, value in changes.items() if value != getattr(known, name)},
    )


def complete(
    work: Work, run: StepRun, output: Mapping[str, Any] | None = None, **columns: Any
) -> StepRun:
    """Settle a step run as COMPLETED; its continuation becomes due."""
    return settle(work, run, StepState.COMPLETED, output=dict(output or {}), **columns)


def settle(work: Work, run: StepRun, state: StepState, **columns: Any) -> StepRun:
    """Settle a step run; what follows from it is decided by whoever takes `work.settled`."""
    columns.setdefault("ended_at", work.now)
    if run.settle_seq is None:
        columns["settle_seq"] = work.next_settle_seq()
    if run.started_at is None:
        columns["started_at"] = work.now
    columns |= {"due_at": None, "wake_at": None}
    columns |= entry.after(
        work,
        run,
        state,
        output=columns.get("output", run.output),
        partial=bool(columns.get("partial", run.partial)),
    )
    columns |= marks.settled(work, run, state)
    run = work.change(run, state=state, **columns)
    end_attempt(work, run)
    work.tell(f"step.{state.value.lower()}", run, **told(run))
    if run.direction is Direction.FORWARD:
        work.settled.append(run)
    else:
        work.returned.append(run)
    return run


def fail(
    work: Work,
    node: Node,
    run: StepRun,
    reason: str,
    *,
    error_class: ErrorClass = ErrorClass.FAILED,
    output: Mapping[str, Any] | None = None,
    partial: bool = False,
    excusable: bool = True,
) -> StepRun:
    """Settle a step run as failed for good; an optional one as COMPLETED_WITH_ERRORS.

    `excusable` is False where not even `optional` helps (TIME_OUT_WF, definitions.md §7.2).
    """
    # What waited for its next attempt is FAILED by the table of states; `due` excuses it all the
    # same.
    was_tried = run.state is not StepState.RETRY_WAIT
    excused = node.step.optional and excusable and run.direction is Direction.FORWARD and was_tried
    return settle(
        work,
        run,
        StepState.COMPLETED_WITH_ERRORS if excused else StepState.FAILED,
        reason=reason,
        error_class=error_class.value,
        partial=partial or run.partial,
        **({} if output is None else {"output": dict(output)}),
    )


def told(run: StepRun) -> dict[str, Any]:
    """Return what the journal says about how a step run ended."""
    data: dict[str, Any] = {"attempt": run.attempt}
    if run.reason:
        data["reason"] = run.reason[:500]
    return data


def end_attempt(work: Work, run: StepRun, **changes: Any) -> None:
    """Write the end of a step run's present attempt."""
    final = {
        StepState.COMPLETED: AttemptState.SUCCEEDED,
        StepState.COMPLETED_WITH_ERRORS: AttemptState.FAILED,
        StepState.SKIPPED: AttemptState.CANCELLED,
        StepState.CANCELLED: AttemptState.CANCELLED,
        StepState.UNKNOWN: AttemptState.UNKNOWN,
        StepState.FAILED: AttemptState.FAILED,
        StepState.RETRY_WAIT: AttemptState.FAILED,
    }[run.state]
    if final is AttemptState.FAILED and run.error_class in {"FAILED_TERMINAL", "TIMED_OUT"}:
        final = AttemptState(run.error_class)
    if run.state is StepState.RETRY_WAIT and run.error_class == "UNKNOWN":
        final = AttemptState.UNKNOWN
    ended: dict[str, Any] = {"state": final, "ended_at": work.now, "reason": run.reason, **changes}
    if final is not AttemptState.SUCCEEDED and run.output:
        ended.setdefault("output", run.output)
    work.do(ChangeAttempt(attempt_id=run.attempt_id, changes=ended))


def try_again(
    work: Work, run: StepRun, delay: float, *, state: StepState, **columns: Any
) -> StepRun:
    """Give a step run its next attempt after a delay; the key stays, the attempt's id does not."""
    number = run.attempt + 1
    due_at = work.later(delay)
    marks.tell_long_retry(work, run, due_at)
    run = work.change(
        run,
        state=state,
        due_at=due_at,
        ended_at=None,
        # Nothing rings for a retry but repair, so it may do so the moment the retry is due.
        wake_at=due_at if run.queue else None,
        rings=0,
        **columns,
    )
    if state is StepState.RETRY_WAIT:
        end_attempt(work, run)
    run = work.change(
        run,
        attempt=number,
        attempt_id=keys.attempt_id(work.execution.id, run.id, number),
        scheduled_at=work.now,
    )
    start_attempt(work, run, AttemptState.SCHEDULED, callback_after=int(delay))
    work.tell(f"step.{state.value.lower()}", run, **told(run))
    node = work.node(run)
    if node is not None:
        watch.watch(work, task_policy(work, node, run), run)
    if delay <= 0:
        work.fresh.append(run)
    return run


def refresh_task_id(work: Work, node: Node, run: StepRun) -> StepRun:
    """Map the input again where it names the attempt's own id; otherwise the snapshot stays."""
    if roots.OWN_TASK_ID not in node.roots or run.direction is not Direction.FORWARD:
        return run
    values = roots.forward_roots(work, node.roots, run)
    if values is None:
        return run
    return work.change(run, input=inputs_of(work, node, values))


def deadline_seconds(policy: TaskPolicy, run: StepRun) -> float:
    """Return how long a call of ours may take: the attempt's timeout, the call's own, or 60 s."""
    if run.type == "HTTP":
        request = run.input.get("http_request")
        fields = request if isinstance(request, dict) else run.input
        own = sum(_milliseconds(fields.get(key)) for key in ("connectionTimeOut", "readTimeOut"))
        return min(own, policy.timeout_seconds) if policy.timeout_seconds else own
    return policy.timeout_seconds or DEFAULT_DEADLINE


def _milliseconds(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    return (value if is_number else 3000) / 1000


def retry_seed(run: StepRun) -> str:
    """Return what the jitter of this attempt's retry is derived from."""
    return run.attempt_id


def forward_retry_delay(
    work: Work, node: Node, run: StepRun, retry_after: float | None = None
) -> float:
    """Return seconds until the next forward attempt; the participant may ask for more.

    A step that must succeed waits at most 15 minutes by itself (saga-semantics §11).
    """
    policy = task_policy(work, node, run)
    delay = retry.forward_delay(policy, run.attempt - run.lost, retry_seed(run))
    if marks.must_succeed(work, node):
        delay = min(delay, marks.LONGEST_DELAY)
    return max(delay, retry_after or 0)


def may_try_again(work: Work, node: Node, run: StepRun) -> bool:
    """Tell whether the retry policy allows a forward step another attempt now.

    Calls that were lost with a dead process of ours use up no retry.
    """
    policy = task_policy(work, node, run)
    left = run.attempt - run.lost < retry.attempts_allowed(policy, node.step.retry_count)
    total = policy.total_timeout_seconds
    is_over = bool(total) and work.now - run.first_scheduled_at >= timedelta(seconds=total)
    if not work.goes_forward(run):
        return False
    return (left and not is_over) or marks.must_succeed(work, node)
