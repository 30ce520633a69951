"""The list of workflows, and one workflow: what it does, how it is undone, its versions."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from designer.views.requests import PageRequest
from orchestrator.access import policy
from orchestrator.access.permissions import Permission
from orchestrator.engine.definition import document as documents
from orchestrator.selectors import executions, workflows
from orchestrator.selectors.executions import ExecutionFilters
from orchestrator.selectors.outline import Line, outline

VERSIONS_SHOWN = 10
RUNS_SHOWN = 5


@require_safe
def workflow_list(request: PageRequest) -> HttpResponse:
    """Show the workflows one may see, by name."""
    text = request.GET.get("q", "").strip()
    page = workflows.workflows_page(
        actor=request.user, text=text, cursor=request.GET.get("cursor") or None
    )
    return render(request, "designer/workflow_list.html", {"page": page, "text": text})


@require_safe
def workflow_overview(request: PageRequest, name: str) -> HttpResponse:
    """Show what a workflow does step by step, and beside each step its undo."""
    workflow = workflows.find_workflow(actor=request.user, name=name)
    detail = workflows.workflow_detail(actor=request.user, name=name)
    number = detail["stable"]
    version = (
        workflows.version_detail(actor=request.user, name=name, number=int(str(number)))
        if number is not None
        else None
    )
    lines = _outline(version["definition"]) if version else ()
    context = {
        "workflow": detail,
        "version": version,
        "lines": lines,
        "undo_count": sum(1 for line in lines if line.undo),
        "step_count": sum(1 for line in lines if line.step),
        "versions": workflows.versions_page(
            actor=request.user, name=name, limit=VERSIONS_SHOWN
        ).results,
        "runs": executions.executions_page(
            actor=request.user, filters=ExecutionFilters(workflow=name), limit=RUNS_SHOWN
        ).results,
        "can_start": policy.can(request.user, Permission.START_EXECUTION, workflow),
    }
    return render(request, "designer/workflow_overview.html", context)


def _outline(definition: Any) -> tuple[Line, ...]:
    parsed = documents.parse(definition, inline=True).definition
    return outline(parsed) if parsed is not None else ()
