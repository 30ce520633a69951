"""INLINE, LAMBDA, JSON_JQ_TRANSFORM: scripts whose result is the output (definitions.md §5.16)."""

from typing import Any

from orchestrator.engine.commands import ChangeAttempt
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.snapshot import Answer, StepRun
from orchestrator.engine.states import AttemptState, Direction, ErrorClass, StepState
from orchestrator.engine.steps import base
from orchestrator.engine.work import Work

_EVALUATORS = frozenset({"javascript", "graaljs"})


def begin(work: Work, node: Node, run: StepRun, inputs: dict[str, Any]) -> None:
    """Evaluate what needs no script at once; ask for the rest."""
    run = base.begin_in_engine(work, run, inputs, StepState.SCHEDULED)
    resume(work, node, run)


def begin_again(work: Work, node: Node, run: StepRun) -> None:
    """Begin the next attempt of a script that failed (definitions.md §7.1)."""
    run = work.change(run, state=StepState.WAITING, due_at=None, wake_at=None, started_at=work.now)
    work.do(ChangeAttempt(attempt_id=run.attempt_id, changes={"state": AttemptState.WAITING}))
    work.tell("step.waiting", run)
    resume(work, node, run)


def resume(work: Work, node: Node, run: StepRun) -> None:
    """Go on once the script's answer is there."""
    kind, expression, problem = _script(node, run)
    if problem:
        _fail(work, node, run, problem)
        return
    if kind == "value-param":
        base.complete(work, run, {"result": run.input.get(expression)})
        return
    answer = work.ask(kind, expression, run.input, patient=True)
    if answer is None:
        work.frontier.setdefault("asks", []).append(run.id)
        return
    _finish(work, node, run, answer)


def _script(node: Node, run: StepRun) -> tuple[str, str, str]:
    """Return evaluator, expression and what is wrong with them."""
    if run.type == "JSON_JQ_TRANSFORM":
        query = run.input.get("queryExpression")
        return "jq", str(query or ""), "" if query else "queryExpression is missing"
    if run.type == "LAMBDA":
        body = run.input.get("scriptExpression") or node.step.expression
        return "lambda", str(body or ""), "" if body else "scriptExpression is missing"
    evaluator = str(run.input.get("evaluatorType") or node.step.evaluator or "javascript")
    expression = run.input.get("expression") or node.step.expression
    if not expression or not isinstance(expression, str):
        return evaluator, "", "expression is missing"
    if evaluator == "value-param":
        return evaluator, expression, ""
    if evaluator not in _EVALUATORS:
        return evaluator, expression, f"evaluatorType {evaluator!r} is not supported"
    return "javascript", expression, ""


def _finish(work: Work, node: Node, run: StepRun, answer: Answer) -> None:
    if answer.error:
        # A script that is wrong stays wrong; one that took too long may not (definitions.md §5.16).
        lasting = run.type == "INLINE" and answer.error_class == "error"
        _fail(work, node, run, answer.error, is_lasting=lasting)
        return
    if run.type == "JSON_JQ_TRANSFORM":
        results = answer.value if isinstance(answer.value, list) else []
        base.complete(work, run, {"result": results[0] if results else None, "resultList": results})
        return
    base.complete(work, run, {"result": answer.value})


def _fail(work: Work, node: Node, run: StepRun, reason: str, *, is_lasting: bool = False) -> None:
    """Fail a script, or try it again as its TaskDef says; a lasting error is never tried again."""
    kind = ErrorClass.FAILED_TERMINAL if is_lasting else ErrorClass.FAILED
    is_forward = run.direction is Direction.FORWARD
    if is_forward and not is_lasting and base.may_try_again(work, node, run):
        delay = base.forward_retry_delay(work, node, run, None)
        columns = {"reason": reason, "error_class": kind.value, "output": {"error": reason}}
        base.try_again(work, run, delay, state=StepState.RETRY_WAIT, **columns)
        return
    base.fail(work, node, run, reason, error_class=kind, output={"error": reason})
