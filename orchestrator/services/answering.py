"""The scripts that decisions ask for, evaluated in the jail with no transaction open."""

from collections.abc import Mapping, Sequence

from orchestrator.border.jail import pool, scripts
from orchestrator.engine.commands import Question
from orchestrator.engine.snapshot import Answer
from orchestrator.failpoints import failpoint


def evaluate(questions: Mapping[str, Sequence[Question]]) -> dict[str, Answer]:
    """Evaluate scripts in the jail, with no transaction open."""
    asked = {question.id: question for group in questions.values() for question in group}
    if not asked:
        return {}
    failpoint("scripts.before_evaluate")
    results = pool.evaluate([_call(question) for question in asked.values()])
    return {key: _answer(result) for key, result in zip(asked, results, strict=True)}


def _call(question: Question) -> scripts.ScriptCall:
    is_jq = question.evaluator == "jq"
    return scripts.ScriptCall(
        language=scripts.Language.JQ if is_jq else scripts.Language.JAVASCRIPT,
        source=question.expression,
        data=question.data,
        budget=scripts.Budget.STEP if question.patient else scripts.Budget.CONDITION,
        body=question.evaluator == "lambda",
    )


def _answer(result: scripts.ScriptResult) -> Answer:
    if result.error is None:
        return Answer(value=result.value)
    return Answer(error=result.error.message, error_class=result.error.kind.value)
