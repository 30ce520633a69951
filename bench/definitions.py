"""The workflows that are measured."""

from typing import Any

ORDER = "bench_order"
FORK = "bench_fork_{width}"
SEQUENCE = "bench_sequence_{length}"
OUTSIDE = "bench_outside"
OUTSIDE_STEP = "bench_outside_step"


def _step(name: str, reference: str, inputs: dict[str, Any], undo: str = "") -> dict[str, Any]:
    task: dict[str, Any] = {
        "name": name,
        "taskReferenceName": reference,
        "type": "SIMPLE",
        "inputParameters": inputs,
        "effect": "REVERSIBLE" if undo else "RETRIABLE",
    }
    if undo:
        order = {"order": "${workflow.input.order}"}
        task["compensation"] = {
            "safeIfNotApplied": True,
            "tasks": [
                {
                    "name": undo,
                    "taskReferenceName": undo,
                    "type": "SIMPLE",
                    "inputParameters": order,
                }
            ],
        }
    return task


def _workflow(name: str, tasks: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "version": 1, "schemaVersion": 2, "saga": {}, "tasks": tasks}


def order() -> dict[str, Any]:
    """Return the saga of three steps; with `fail` the third one fails and two undos run."""
    given = "${workflow.input.order}"
    ship = {
        "order": given,
        "charge": "${charge.output.charge}",
        "fail": "${workflow.input.fail}",
    }
    return _workflow(
        ORDER,
        [
            _step("bench_reserve", "reserve", {"order": given}, undo="bench_release"),
            _step(
                "bench_charge",
                "charge",
                {"order": given, "reservation": "${reserve.output.reservation}"},
                undo="bench_refund",
            ),
            # Its own undo is never due: a step that fails for good has had no effect.
            _step("bench_ship", "ship", ship, undo="bench_refund") | _SHIP_UNDO,
        ],
    )


_SHIP_UNDO = {
    "compensation": {
        "safeIfNotApplied": True,
        "tasks": [
            {
                "name": "bench_release",
                "taskReferenceName": "recall",
                "type": "SIMPLE",
                "inputParameters": {"order": "${workflow.input.order}"},
            }
        ],
    }
}


def _noop(reference: str) -> dict[str, Any]:
    task = _step("bench_noop", reference, {})
    return task | {"effect": "NONE"}


def sequence(length: int) -> dict[str, Any]:
    """Return so many steps one after the other."""
    return _workflow(
        SEQUENCE.format(length=length), [_noop(f"step_{index}") for index in range(length)]
    )


def fork(width: int) -> dict[str, Any]:
    """Return so many steps side by side, and the join that waits for them."""
    references = [f"branch_{index}" for index in range(width)]
    return _workflow(
        FORK.format(width=width),
        [
            {
                "name": "split",
                "taskReferenceName": "split",
                "type": "FORK_JOIN",
                "forkTasks": [[_noop(reference)] for reference in references],
            },
            {
                "name": "meet",
                "taskReferenceName": "meet",
                "type": "JOIN",
                "joinOn": references,
            },
        ],
    )


def outside() -> dict[str, Any]:
    """Return a saga of one step that a worker outside takes over HTTP."""
    task = _step(OUTSIDE_STEP, "step", {"n": "${workflow.input.n}"})
    return _workflow(OUTSIDE, [task | {"effect": "NONE"}])
