"""Trees as the documents that a user would publish (product.md §3)."""

from collections.abc import Iterator
from typing import Any

from tests.model.trees import (
    Back,
    Each,
    Fork,
    Loop,
    Node,
    Scope,
    Seq,
    Step,
    Sub,
    Switch,
    Undo,
    Workflow,
    walk,
)

Document = dict[str, Any]
CASES = "abcdefgh"


def document(workflow: Workflow) -> Document:
    """Write a definition."""
    return {
        "name": workflow.name,
        "version": 1,
        "saga": {
            **settings(workflow.scope),
            "mode": "SERIAL" if workflow.scope.serial else "PARALLEL",
            "confirmPlan": "ALWAYS" if workflow.confirms_plan else "NEVER",
            "quiesceTimeoutSeconds": workflow.quiesce,
            "unknownSettleDelaySeconds": 30,
        },
        "tasks": tasks(workflow.body),
    }


def called(workflow: Workflow) -> Iterator[Workflow]:
    """Every definition that a workflow calls, deepest first."""
    for node in walk(workflow.body):
        if isinstance(node, Sub):
            yield from called(node.child)
            yield node.child


def settings(scope: Scope) -> Document:
    """Write what a run and a block have in common."""
    written: Document = {"onFailure": scope.on_failure.value}
    if scope.max_retries is not None:
        written |= {"maxRetries": scope.max_retries, "retryDelaySeconds": 1}
    return written


def tasks(seq: Seq) -> list[Document]:
    """Write a sequence."""
    return [task for part in seq.parts for task in _part(part)]


def _part(node: Node) -> list[Document]:
    match node:
        case Step():
            return [_step(node)]
        case Seq():
            return tasks(node)
        case Fork():
            return _fork(node)
        case Each():
            return _each(node)
        case Loop():
            return [_loop(node)]
        case Switch():
            return [_switch(node)]
        case Sub():
            return [_sub(node)]
        case Back():
            return [_back(node)]


def _task(ref: str, kind: str, **keys: Any) -> Document:
    return {"name": ref, "taskReferenceName": ref, "type": kind, **keys}


def _step(step: Step, ref: str = "") -> Document:
    ref = ref or step.ref
    keys: Document = {
        "effect": step.effect.value,
        "retryCount": step.retries,
        "retryLogic": "FIXED",
        "retryDelaySeconds": 1,
        "onUnknown": list(step.on_unknown),
        "optional": step.optional,
    }
    if step.effect.value == "NONE":
        keys.pop("onUnknown")
    if step.undo is not None:
        keys["compensation"] = _undo(step.undo, ref)
    if step.savepoint:
        keys["savepoint"] = True
    return _task(ref, "SIMPLE", **keys)


def _undo(undo: Undo, ref: str) -> Document:
    inputs = {"id": f"${{{ref}.output.id}}"} if undo.reads_output else {}
    parts = [
        _task(f"un{n or ''}_{ref}", "SIMPLE", inputParameters=inputs) for n in range(undo.parts)
    ]
    return {
        "tasks": parts,
        "safeIfNotApplied": undo.safe,
        "policy": undo.policy.value,
        "onFailure": "CONTINUE" if undo.goes_on else "BLOCK",
        "independent": undo.independent,
        "after": list(undo.after),
        "retry": {"maximumAttempts": undo.attempts, "initialIntervalSeconds": 1},
    }


def _fork(fork: Fork) -> list[Document]:
    waited = range(len(fork.branches)) if fork.joined is None else fork.joined
    written = [tasks(branch) for branch in fork.branches]
    keys = {"saga": settings(fork.scope)} if fork.scope else {}
    return [
        _task(fork.ref, "FORK_JOIN", forkTasks=written, **keys),
        _task(
            f"{fork.ref}_join", "JOIN", joinOn=[written[n][-1]["taskReferenceName"] for n in waited]
        ),
    ]


def _each(each: Each) -> list[Document]:
    items = [_step(each.body, f"{each.body.ref}_{n}") for n in range(each.items)]
    return [
        _task(
            each.ref,
            "FORK_JOIN_DYNAMIC",
            dynamicForkTasksParam="tasks",
            dynamicForkTasksInputParamName="inputs",
            inputParameters={"tasks": items, "inputs": {}},
        ),
        _task(f"{each.ref}_join", "JOIN"),
    ]


def _loop(loop: Loop) -> Document:
    keys: Document = {"saga": settings(loop.scope)} if loop.scope else {}
    if loop.once is not None:
        keys |= {"compensate": "ONCE", "compensation": _undo(loop.once, loop.ref)}
    rounds = list(range(loop.rounds))
    return _task(
        loop.ref, "DO_WHILE", items=rounds, loopCondition="", loopOver=tasks(loop.body), **keys
    )


def _switch(switch: Switch) -> Document:
    keys = {"saga": settings(switch.scope)} if switch.scope else {}
    return _task(
        switch.ref,
        "SWITCH",
        evaluatorType="value-param",
        expression="case",
        inputParameters={"case": CASES[switch.taken]},
        decisionCases={CASES[n]: tasks(case) for n, case in enumerate(switch.cases)},
        **keys,
    )


def _sub(sub: Sub) -> Document:
    keys: Document = {"retryCount": 0}
    if sub.undo is not None:
        keys |= {"effect": "REVERSIBLE", "compensation": _undo(sub.undo, sub.ref)}
    return _task(
        sub.ref, "SUB_WORKFLOW", subWorkflowParam={"name": sub.child.name, "version": 1}, **keys
    )


def _back(back: Back) -> Document:
    named = {"step": back.step, "savepoint": back.savepoint}
    return _task(
        back.ref,
        "COMPENSATE",
        inputParameters={name: ref for name, ref in named.items() if ref is not None},
    )
