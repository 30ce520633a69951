"""People who must agree to an undo: what they are shown, and the rule that asks them (§6, §7)."""

from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from orchestrator.engine import keys, origins, roots
from orchestrator.engine.canonical import digest
from orchestrator.engine.commands import OpenApproval
from orchestrator.engine.compensation import inputs
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.definition.model import Compensation
from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import EntryState
from orchestrator.engine.work import Work


def sent(work: Work, node: Node, entry: StepRun) -> dict[str, Any] | None:
    """Return what the undo will send: the body of an HTTP request, else the task's input.

    Raises:
        ExpressionTooLarge: what would be sent is.
    """
    compensation = node.step.compensation
    graph = work.graph_of(entry.defined_by)
    if graph is None or compensation is None:
        return None
    undo_node = graph.nodes[roots.undo_tasks(work, compensation, entry)[0].reference]
    values = roots.undo_roots(work, undo_node.roots, node, entry, None)
    if values is None:
        return None
    return inputs.sent_of(undo_node.step.type, inputs.mapped(work, undo_node, entry, values))


def rule_asks(
    work: Work, compensation: Compensation, entry: StepRun, undo_input: dict[str, Any]
) -> bool | None:
    """Ask the author's rule; true, null or an error asks people (saga-semantics §6)."""
    script = compensation.approval_if
    if script is None:
        return True
    data = {
        "input": entry.input,
        "output": entry.output,
        "compensationInput": undo_input,
        "amount": entry.amount,
        "workflow": roots.workflow_root(work.execution, entry.variables),
    }
    answer = work.ask("javascript", script.expression, data)
    if answer is None:
        return None
    return bool(answer.error) or answer.value is not False


def ask_to_skip(
    work: Work, node: Node, entry: StepRun, undo_input: dict[str, Any], *, since: datetime
) -> None:
    """Ask the people of the undo to leave the effect: approving skips it (§10.3)."""
    compensation = node.step.compensation
    assert compensation is not None
    said = compensation.approval.instructions
    question = (
        f"It is too late to undo this since {since.isoformat()}. "
        "Approving leaves the effect as it is: the undo is skipped."
    )
    rule = replace(compensation.approval, amendable=(), instructions=f"{question} {said}".strip())
    ask_people(work, replace(compensation, approval=rule), entry, undo_input)
    asked = work.runs[entry.id].approval_id
    if asked is not None and work.runs[entry.id].entry_state is EntryState.AWAITING_APPROVAL:
        work.frontier["undo"].setdefault("skips", []).append(asked)


def ask_people(
    work: Work, compensation: Compensation, entry: StepRun, undo_input: dict[str, Any]
) -> None:
    """Have the gate open a request; the entry waits for its verdict."""
    current = origins.plan_of(work, entry)
    if current is None:
        return
    asked = int(work.frontier.get("asked", 0)) + 1
    work.frontier["asked"] = asked
    approval_id = keys.derive_id(work.execution.id, "approval", entry.id, entry.round, asked)
    task = roots.undo_tasks(work, compensation, entry)[0]
    entry = work.change(entry, entry_state=EntryState.AWAITING_APPROVAL, approval_id=approval_id)
    work.tell("entry.awaiting_approval", entry, approval=approval_id)
    work.do(
        OpenApproval(
            id=approval_id,
            entry_id=entry.id,
            reference=entry.reference,
            round=entry.round,
            undo_input=undo_input,
            original_input=(entry.undo_input or {}).get("original"),
            input_hash=digest(undo_input),
            endpoint=task.name,
            amount=entry.amount,
            approval=asdict(compensation.approval),
            definition_hash=digest(dict(work.graph.definition.document)),
            plan_hash=current.hash,
            triggered_by=current.triggered_by,
        )
    )
