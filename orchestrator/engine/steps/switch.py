"""SWITCH and the old DECISION: which branch is taken (definitions.md §5.2, §5.3)."""

from typing import Any

from orchestrator.engine.definition.graph import Node
from orchestrator.engine.definition.model import Step
from orchestrator.engine.expressions.limits import ExpressionTooLarge
from orchestrator.engine.expressions.rendering import embedded
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import ErrorClass, StepState
from orchestrator.engine.steps import base
from orchestrator.engine.work import Work


def begin(work: Work, node: Node, run: StepRun, inputs: dict[str, Any]) -> None:
    """Choose at once by value, or ask for the script's answer."""
    run = base.begin_in_engine(work, run, inputs, StepState.SCHEDULED)
    resume(work, node, run)


def resume(work: Work, node: Node, run: StepRun) -> None:
    """Go on with the choice, once the script's answer is there."""
    step, inputs = node.step, run.input
    by_value = step.case_value_param or (step.evaluator == "value-param" and step.expression)
    if by_value:
        _choose(work, node, run, inputs.get(by_value))
        return
    answer = work.ask("javascript", step.expression, inputs)
    if answer is None:
        work.frontier.setdefault("asks", []).append(run.id)
        return
    if answer.error:
        base.fail(work, node, run, answer.error, output={"error": answer.error})
        return
    _choose(work, node, run, answer.value)


def _choose(work: Work, node: Node, run: StepRun, value: Any) -> None:
    try:
        shown = value if isinstance(value, str) else embedded(value, is_match_list=False)
    except ExpressionTooLarge as error:
        base.fail(work, node, run, str(error), error_class=ErrorClass.FAILED_TERMINAL)
        return
    step = node.step
    if step.type == "DECISION":
        base.complete(work, run, {"caseOutput": [shown]})
    else:
        base.complete(work, run, {"evaluationResult": [shown], "selectedCase": shown})


def branch(node: Node, run: StepRun) -> tuple[Step, ...]:
    """Return the branch that a completed switch has taken; empty when nothing runs."""
    output = run.output or {}
    step = node.step
    if step.type == "DECISION":
        case = (output.get("caseOutput") or [None])[0]
        return step.cases.get(str(case)) or step.default_case
    case = str(output.get("selectedCase"))
    return step.cases.get(case, step.default_case)
