"""Which handler does a step, what it gets, and what its end means."""

from __future__ import annotations

import datetime
import threading
import time
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import pytest

from orchestrator.engine.outcomes import Failed, Succeeded, Unknown, Waiting
from orchestrator.engine.states import Direction
from orchestrator.handlers import StepContext, TerminalError, UnknownOutcome, registry, step
from orchestrator.handlers.base import ForwardView, Work
from orchestrator.handlers.registry import HandlerError

WORK = Work(
    execution_id="e",
    step_run_id="s",
    attempt_id="a",
    number=2,
    reference="reserve",
    name="reserve_inventory",
    type="SIMPLE",
    direction=Direction.FORWARD,
    input={"sku": "x", "quantity": 2},
    idempotency_key="f:e:reserve:e0",
    saga=True,
    deadline_seconds=5.0,
)


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    monkeypatch.setattr(registry, "_by_name", {})
    monkeypatch.setattr(registry, "_by_type", dict(registry._by_type))


def register(function, name="reserve_inventory", **options):
    return step(name, **options)(function)


def test_handler_gets_context_and_declared_inputs():
    seen = []

    def handler(
        context: StepContext, sku: str, quantity: int = 1, colour: str = "red"
    ) -> dict[str, int]:
        seen.append((context, sku, quantity, colour))
        return {"reserved": quantity}

    register(handler)

    outcome = registry.run(replace(WORK, input={**WORK.input, "more": 1}))

    assert outcome == Succeeded(output={"reserved": 2})
    ((context, *inputs),) = seen
    assert inputs == ["x", 2, "red"]
    assert (context.idempotency_key, context.attempt) == ("f:e:reserve:e0", 2)
    assert context.input["more"] == 1
    assert context.forward is None


def test_handler_may_take_everything_or_nothing():
    register(lambda **given: given)
    assert registry.run(WORK) == Succeeded(output={"sku": "x", "quantity": 2})

    registry._by_name.clear()
    register(lambda: None)
    assert registry.run(WORK) == Succeeded()


def test_compensation_sees_the_step_it_undoes():
    register(lambda context: {"undone": context.forward.output["id"], "of": context.forward_key})
    forward = ForwardView(input={}, output={"id": 7}, key="f")

    outcome = registry.run(
        replace(WORK, direction=Direction.COMPENSATION, forward=forward, forward_key="f")
    )

    assert outcome == Succeeded(output={"undone": 7, "of": "f"})


def test_heartbeat_is_handed_on():
    beats = []

    def beat():
        beats.append(1)
        return False

    register(lambda context: {"wanted": context.heartbeat()})

    outcome = registry.run(replace(WORK, heartbeat=beat))

    assert outcome == Succeeded(output={"wanted": False})
    assert beats == [1]


def raising(error):
    def handler():
        raise error

    return handler


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TerminalError("no such article"), Failed(reason="no such article", terminal=True)),
        (TerminalError(), Failed(reason="TerminalError", terminal=True)),
        (UnknownOutcome("no answer"), Unknown(reason="no answer")),
        (ValueError("bad\0 value"), Failed(reason="ValueError: bad\ufffd value")),
        (KeyError("x"), Failed(reason="KeyError: 'x'")),
        (ConnectionError(), Failed(reason="ConnectionError")),
        (RecursionError("deep"), Failed(reason="RecursionError: deep")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exception_has_its_meaning(error, expected):
    register(raising(error))

    assert registry.run(WORK) == expected


def test_plain_definition_knows_no_unknown_outcome():
    register(raising(UnknownOutcome("no answer")))

    assert registry.run(replace(WORK, saga=False)) == Failed(reason="no answer")


def test_celerys_time_limit_leaves_the_outcome_unknown():
    class SoftTimeLimitExceeded(Exception):
        pass

    register(raising(SoftTimeLimitExceeded()))

    assert registry.run(WORK) == Unknown(
        reason="The worker's time limit stopped the handler.", timed_out=True
    )


@pytest.mark.parametrize("ending", [SystemExit, KeyboardInterrupt])
def test_end_of_the_process_is_no_outcome(ending):
    register(raising(ending()))

    with pytest.raises(ending):
        registry.run(WORK)


def test_missing_input_fails_without_a_call():
    register(lambda sku, colour, size: [sku, colour, size])

    assert registry.run(WORK) == Failed(reason="The input lacks 'colour', 'size'.", terminal=True)


def test_late_handler_is_stopped_though_it_catches_everything():
    def handler():
        while True:
            with suppress(Exception):
                time.sleep(5)

    register(handler)
    began = time.monotonic()

    outcome = registry.run(replace(WORK, deadline_seconds=0.2))

    assert outcome == Unknown(reason="The handler was stopped after 0.2 seconds.", timed_out=True)
    assert time.monotonic() - began < 2


def test_late_handler_of_a_plain_definition_has_failed():
    register(lambda: time.sleep(5))

    outcome = registry.run(replace(WORK, saga=False, deadline_seconds=0.2))

    assert outcome == Failed(reason="The handler was stopped after 0.2 seconds.", timed_out=True)


def test_thread_has_no_signal_but_works():
    register(lambda sku: sku)
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(registry.run(WORK)))
    thread.start()
    thread.join()

    assert outcomes == [Succeeded(output={"result": "x"})]


@pytest.mark.parametrize(
    ("result", "output"),
    [
        (None, {}),
        ({"a": 1}, {"a": 1}),
        ([1, 2], {"result": [1, 2]}),
        ("x", {"result": "x"}),
        (0, {"result": 0}),
        ({"a": (1, 2), 3: "b"}, {"a": [1, 2], "3": "b"}),
        (
            {"at": datetime.date(2026, 1, 2), "n": Decimal("1.50")},
            {"at": "2026-01-02", "n": "1.50"},
        ),
        ({"a\0": "b\ud800"}, {"a\ufffd": "b\ufffd"}),
        (Succeeded(output={"a": 1}), {"a": 1}),
    ],
)
def test_result_becomes_the_output(result, output):
    register(lambda: result)

    assert registry.run(WORK) == Succeeded(output=output)


@pytest.mark.parametrize(
    "outcome",
    [
        Failed(reason="no", terminal=True, output={"a": 1}),
        Unknown(reason="who knows"),
        Waiting(callback_seconds=5.0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_handler_may_answer_with_an_outcome(outcome):
    register(lambda: outcome)

    assert registry.run(WORK) == outcome


def endless():
    value: list[object] = []
    value.append(value)
    return value


def deep():
    value: object = 1
    for _ in range(150):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (object(), "The handler's result is not JSON"),
        ({"a": float("nan")}, "The handler's result is not JSON"),
        ({(1, 2): 3}, "The handler's result is not JSON"),
        (endless(), "The handler's result is not JSON"),
        (deep(), "payload_too_large"),
        ("x" * 3_200_000, "payload_too_large"),
        ([0] * 200_001, "payload_too_large"),
    ],
    ids=["object", "NaN", "key", "endless", "deep", "large", "many"],
)
def test_result_that_cannot_be_kept_was_done_all_the_same(result, reason):
    register(lambda: result)

    outcome = registry.run(WORK)

    assert isinstance(outcome, Failed)
    assert (outcome.terminal, outcome.partial) == (True, True)
    assert outcome.reason.startswith(reason)


def test_three_mebibytes_of_text_are_taken():
    register(lambda: "ü" * 1_500_000)

    assert isinstance(registry.run(WORK), Succeeded)


def test_unusable_output_of_a_failure_is_left_out():
    register(lambda: Failed(reason="no", output={"a": float("nan")}))

    assert registry.run(WORK) == Failed(reason="no")


def test_async_complete_waits_after_a_success():
    register(lambda: {"ticket": 1})

    assert registry.run(replace(WORK, async_complete=True)) == Waiting(output={"ticket": 1})


def test_step_without_a_handler_fails():
    assert registry.run(WORK) == Failed(
        reason="No handler for 'reserve_inventory' (SIMPLE) is loaded here."
    )


def test_queue_of_a_step():
    register(lambda: None, name="charge", queue="payments")
    register(lambda: None, name="OWN_TYPE")
    registry.task_type("CALL", queue="calls")(lambda _: None)

    assert registry.queue_of("SIMPLE", "charge") == "payments"
    assert registry.queue_of("SIMPLE", "unknown") is None
    assert registry.queue_of("charge", "anything") == "payments"
    assert registry.queue_of("OWN_TYPE", "charge") == "default"
    assert registry.queue_of("OTHER_TYPE", "charge") is None
    assert registry.queue_of("CALL", "charge") == "calls"
    assert registry.queues() >= {"payments", "default", "calls"}
    charge = registry.get("charge")
    assert charge is not None
    assert charge.queue == "payments"


def test_two_handlers_of_one_name_are_refused():
    def first():
        return None

    def second():
        return None

    register(first)
    register(first)

    with pytest.raises(HandlerError, match=r"two handlers: .*first and .*second"):
        register(second)


@pytest.mark.parametrize(
    "function",
    [lambda sku, /: sku, lambda *given: given, (lambda: (yield))],
    ids=["by position", "any number", "generator"],
)
def test_function_that_cannot_be_called_by_name_is_refused(function):
    with pytest.raises(HandlerError):
        register(function)


def test_coroutine_is_refused():
    async def handler():
        return None

    with pytest.raises(HandlerError, match="plain function"):
        register(handler)


def test_module_that_is_not_there_is_named():
    registry.load_modules(["json"])

    with pytest.raises(HandlerError, match=r"'no\.such\.module'"):
        registry.load_modules(["no.such.module"])
