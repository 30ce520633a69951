"""Starting a run by hand: pick a sample or write the input."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from designer.views.requests import PageRequest
from orchestrator.access import policy
from orchestrator.access.errors import Refusal
from orchestrator.access.permissions import Permission
from orchestrator.border.input import LARGE_LIMITS, InputError, parse_json
from orchestrator.selectors import executions, workflows
from orchestrator.services import executions as service

if TYPE_CHECKING:
    from orchestrator.engine.canonical import JSONValue


@require_http_methods(["GET", "HEAD", "POST"])
def start(request: PageRequest, name: str) -> HttpResponse:
    """Show the form of a start, or start the run and lead to it."""
    workflow = workflows.find_workflow(actor=request.user, name=name)
    policy.require(request.user, Permission.START_EXECUTION, workflow)
    detail = workflows.workflow_detail(actor=request.user, name=name)
    samples: Sequence[Mapping[str, Any]] = detail["samples"]
    if request.method == "POST":
        return _start(request, name, detail, samples)
    chosen = _chosen(samples, request.GET.get("sample", ""))
    given: JSONValue = chosen["input"] if chosen else {}
    key = ""
    if from_run := request.GET.get("from_run", ""):
        run = executions.execution_detail(actor=request.user, execution_id=from_run)
        given, key, chosen = run["input"], "", None
    text = json.dumps(given, indent=2, ensure_ascii=False)
    return _form(request, detail, samples, sample=chosen, text=text, key=key)


def _start(
    request: PageRequest,
    name: str,
    detail: Mapping[str, Any],
    samples: Sequence[Mapping[str, Any]],
) -> HttpResponse:
    text = request.POST.get("input", "")
    key = request.POST.get("key", "").strip()
    kept = {"text": text, "key": key, "sample": _chosen(samples, request.POST.get("sample", ""))}
    try:
        given = parse_json(text.encode() or b"{}", limits=LARGE_LIMITS)
    except InputError as error:
        place = f" (line {error.at[0]}, column {error.at[1]})" if error.at else ""
        problem = f"{error.message}{place}"
        return _form(request, detail, samples, input_error=problem, status=422, **kept)
    if not isinstance(given, dict):
        problem = "The input of a run is a JSON object: it begins with { and ends with }."
        return _form(request, detail, samples, input_error=problem, status=422, **kept)
    try:
        started = service.start_execution(
            actor=request.user, workflow_name=name, input=given, correlation_id=key
        )
    except Refusal as refusal:
        return _form(request, detail, samples, error=refusal.message, status=409, **kept)
    return HttpResponseRedirect(reverse("run_detail", args=[started.id]))


def _form(
    request: PageRequest,
    detail: Mapping[str, Any],
    samples: Sequence[Mapping[str, Any]],
    *,
    status: int = 200,
    **context: Any,
) -> HttpResponse:
    shown = {
        "workflow": detail,
        "samples": samples,
        "samples_data": [
            {
                "name": sample["name"],
                "description": sample.get("description", ""),
                "text": json.dumps(sample["input"], indent=2, ensure_ascii=False),
            }
            for sample in samples
        ],
        **context,
    }
    return render(request, "designer/start.html", shown, status=status)


def _chosen(samples: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    """Return the sample of this name, or the first one, which is the happy one."""
    named = [sample for sample in samples if sample["name"] == name]
    return next(iter([*named, *samples]), None)
