"""E9: going back to a savepoint needs a limit."""

from orchestrator.engine.definition.model import SagaSettings
from orchestrator.engine.definition.problems import pointer
from orchestrator.engine.definition.validation.findings import Findings, place
from orchestrator.engine.definition.visits import Visit

NO_LIMIT = "Going back to a savepoint needs a limit: give `maxRetries`."


def check_scopes(findings: Findings) -> None:
    """E9: every scope that goes back to a savepoint says how often."""
    saga = findings.definition.saga
    if saga.on_failure == "FORWARD" and saga.max_retries is None:
        findings.error("E9", pointer(findings.definition.saga_path, "onFailure"), NO_LIMIT)
    for visit in findings.visits:
        step = visit.step
        block = step.saga
        if block is not None and block.on_failure == "FORWARD" and block.max_retries is None:
            findings.error("E9", place(step, "saga", "onFailure"), NO_LIMIT, step)
        names_savepoint = step.type == "COMPENSATE" and step.inputs.get("savepoint") is not None
        if names_savepoint and settings_around(findings, visit).max_retries is None:
            path = pointer(step.path, "inputParameters", "savepoint")
            findings.error("E9", path, NO_LIMIT, step)


def settings_around(findings: Findings, visit: Visit) -> SagaSettings:
    """Return the settings of the innermost scope around a step."""
    for block in reversed(visit.around):
        if block.saga is not None:
            return block.saga
    return findings.definition.saga
