"""SUB_WORKFLOW: starts a child and waits for it (definitions.md §5.9, saga-semantics §3)."""

from collections.abc import Mapping
from typing import Any

from orchestrator.engine import keys, roots
from orchestrator.engine.canonical import digest
from orchestrator.engine.commands import ChangeAttempt, SendNotice, StartChild
from orchestrator.engine.definition.graph import Node
from orchestrator.engine.definition.model import SubWorkflow
from orchestrator.engine.expressions import mapping
from orchestrator.engine.snapshot import ChildVersion, StepRun
from orchestrator.engine.states import AttemptState, ErrorClass, StepState
from orchestrator.engine.steps import base, entry, watch
from orchestrator.engine.work import Work

DYNAMIC_MARK = {"_systemMetadata": {"dynamic": True}}


def begin(work: Work, node: Node, run: StepRun, inputs: dict[str, Any]) -> None:
    """Resolve the child's version and start it."""
    resolved = _resolve(work, node, run)
    if resolved is None:
        return
    child, wrapped, is_dynamic = resolved
    run.input = {**wrapped, "workflowInput": inputs}
    if isinstance(child, str):
        run = base.begin_in_engine(work, run, run.input, StepState.SCHEDULED)
        base.fail(work, node, run, child, error_class=ErrorClass.FAILED_TERMINAL)
        return
    entry.arm(work, node, run, child_has_undo=child.has_undo)
    run.child_id = keys.child_id(work.execution.id, run.id, run.attempt)
    run = base.begin_in_engine(work, run, run.input, StepState.WAITING)
    watch.watch(work, base.task_policy(work, node), run)
    _lock(work, child)
    start_child(work, node, run, child, is_dynamic=is_dynamic)


def start_again(work: Work, node: Node, run: StepRun) -> None:
    """Start a fresh child for the next attempt."""
    resolved = _resolve(work, node, run)
    if resolved is None:
        return
    child, _, is_dynamic = resolved
    if isinstance(child, str):
        base.fail(work, node, run, child, error_class=ErrorClass.FAILED_TERMINAL)
        return
    child_id = keys.child_id(work.execution.id, run.id, run.attempt)
    run = work.change(
        run,
        child_id=child_id,
        state=StepState.WAITING,
        due_at=None,
        wake_at=None,
        started_at=work.now,
    )
    work.do(ChangeAttempt(attempt_id=run.attempt_id, changes={"state": AttemptState.WAITING}))
    work.tell("step.waiting", run)
    _lock(work, child)
    start_child(work, node, run, child, is_dynamic=is_dynamic)


def start_child(
    work: Work, node: Node, run: StepRun, child: ChildVersion, *, is_dynamic: bool
) -> None:
    """Have the child execution created."""
    given = run.input.get("workflowInput") or {
        key: value for key, value in run.input.items() if key != "workflowInput"
    }
    sub = node.step.sub_workflow or SubWorkflow(name="")
    priority = run.input.get("priority")
    assert run.child_id is not None
    work.do(
        StartChild(
            id=run.child_id,
            version_id=child.version_id,
            workflow_name=child.workflow_name,
            number=child.number,
            is_saga=child.is_saga,
            step_run_id=run.id,
            input={**given, **DYNAMIC_MARK} if is_dynamic else dict(given),
            domains=sub.task_to_domain or work.execution.domains,
            priority=priority if isinstance(priority, int) else 0,
        )
    )


def stop_child(work: Work, run: StepRun, reason: str, *, undo: bool) -> None:
    """Tell a running child to stop; with undo, for its own effects (saga-semantics §3)."""
    assert run.child_id is not None
    told = f"Parent workflow has been terminated with reason: {reason}"
    work.do(SendNotice(execution_id=run.child_id, kind="STOP", data={"undo": undo, "reason": told}))


def _resolve(
    work: Work, node: Node, run: StepRun
) -> tuple[ChildVersion | str, dict[str, Any], bool] | None:
    """Return the child's version (or what is wrong), the input, and whether it is inline."""
    sub = node.step.sub_workflow
    if sub is None:
        return "SUB_WORKFLOW needs subWorkflowParam", {}, False
    named = _named(work, run, sub)
    if named is None:
        return None
    name, version, definition = named["name"], named["version"], named["definition"]
    wrapped: dict[str, Any] = {"subWorkflowName": name, "subWorkflowVersion": version}
    if sub.task_to_domain:
        wrapped["subWorkflowTaskToDomain"] = dict(sub.task_to_domain)
    if named["priority"] is not None:
        wrapped["priority"] = named["priority"]
    if definition is not None:
        wrapped["subWorkflowDefinition"] = definition
        key = digest(definition)
        inline = work.snapshot.inline_children.get(key)
        if inline is None:
            work.needs.inline_children[key] = definition
            return None
        return inline, wrapped, True
    wanted = _wanted_version(work, str(name), version)
    if (str(name), wanted) not in work.snapshot.children:
        work.needs.children.add((str(name), wanted))
        return None
    child = work.snapshot.children[str(name), wanted]
    if child is None:
        return f"No such workflow found by name: {name}, version: {version}", wrapped, False
    return child, wrapped, False


def _named(work: Work, run: StepRun, sub: SubWorkflow) -> Mapping[str, Any] | None:
    template = {
        "name": sub.name,
        "version": sub.version,
        "definition": sub.definition,
        "priority": sub.priority,
    }
    names = mapping.roots(
        {**template, "definition": sub.definition if isinstance(sub.definition, str) else None}
    )
    values = roots.forward_roots(work, names, run)
    if values is None:
        return None
    if not isinstance(sub.definition, str):
        # An inline definition is a template of its own: its expressions are for the child.
        resolved = mapping.resolve({**template, "definition": None}, values)
        assert isinstance(resolved, dict)
        return {**resolved, "definition": sub.definition}
    found = mapping.resolve(template, values)
    assert isinstance(found, dict)
    return found


def _wanted_version(work: Work, name: str, version: Any) -> int | None:
    """Return an explicit version, else the lock's for a saga; None = the child's stable now."""
    if isinstance(version, str) and version.isdigit():
        version = int(version)
    if isinstance(version, int | float) and not isinstance(version, bool) and version > 0:
        return int(version)
    locked = work.execution.lock.get(name)
    return int(locked) if isinstance(locked, int) else None


def _lock(work: Work, child: ChildVersion) -> None:
    """Write a version resolved while running to the run's lock (saga-semantics §3)."""
    if work.is_saga and child.number and child.workflow_name not in work.execution.lock:
        work.set(lock={**work.execution.lock, child.workflow_name: child.number})
