"""The list of runs, and one run in its six views."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from orchestrator.engine.states import ExecutionState
from orchestrator.selectors import executions, overview, run_page, trace, workflows
from orchestrator.selectors.executions import ExecutionFilters
from orchestrator.selectors.words import kind
from orchestrator.views import actions, lanes, timeline
from orchestrator.views.requests import PageRequest

EVENTS_SHOWN = 500
VIEWS = {
    "saga": "Saga",
    "timeline": "Timeline",
    "steps": "Steps",
    "events": "Events",
    "data": "Data",
    "json": "JSON",
}
STEP_FILTERS = {
    "failed": ("FAILED", "UNKNOWN"),
    "waiting": ("WAITING", "RETRY_WAIT", "SCHEDULED"),
    "running": ("DISPATCHED",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One tab above the list of runs."""

    key: str
    label: str
    states: tuple[str, ...]
    count: int | None = None
    """How many there are, where counting is cheap."""


_S = ExecutionState
STATUSES = (
    ("running", "Running", (_S.CREATED, _S.RUNNING)),
    ("attention", "Needs attention", (_S.NEEDS_ATTENTION,)),
    ("undoing", "Undoing", (_S.STOPPING, _S.PLANNING, _S.COMPENSATING)),
    ("failed", "Failed", (_S.FAILED, _S.TIMED_OUT)),
    ("undone", "Undone", (_S.COMPENSATED, _S.PARTIALLY_COMPENSATED)),
    ("succeeded", "Succeeded", (_S.COMPLETED,)),
    ("terminated", "Terminated", (_S.TERMINATED,)),
)


@require_safe
def run_list(request: PageRequest) -> HttpResponse:
    """Show runs, the newest first, by status and filter; all of it stands in the address."""
    query = request.GET
    status = {key: states for key, _, states in STATUSES}.get(query.get("status", ""), ())
    version = query.get("version", "").lstrip("v")
    filters = ExecutionFilters(
        workflow=query.get("workflow", ""),
        version=int(version) if version.isdecimal() and len(version) < 9 else None,
        states=tuple(state.value for state in status),
        correlation_id=query.get("key", ""),
        text=query.get("q", "").strip(),
    )
    page = executions.executions_page(
        actor=request.user, filters=filters, cursor=query.get("cursor") or None
    )
    context = {
        "page": page,
        "statuses": _statuses(overview.open_counts(actor=request.user, workflow=filters.workflow)),
        "status": query.get("status", "") if status else "",
        "filters": filters,
        "chips": _chips(request),
        "workflow_names": [
            row["name"] for row in workflows.workflows_page(actor=request.user, limit=200).results
        ],
    }
    return render(request, "orchestrator/run_list.html", context)


@require_safe
def run_detail(request: PageRequest, execution_id: UUID) -> HttpResponse:
    """Show one run; without `view` the saga view if anything in it has an undo."""
    found = run_page.run_page(actor=request.user, execution_id=execution_id)
    detail = found.detail
    has_undo = bool(detail["ledger"]) or any(line.undo for line in found.lines)
    wanted = request.GET.get("view", "")
    view = wanted if wanted in VIEWS else "saga" if has_undo else "steps"
    context: dict[str, Any] = {
        "run": detail,
        "plan": lanes.named_plan(lines=found.lines, plan=detail["plan"]),
        "view": view,
        "views": VIEWS,
        "actions": [
            *actions.plan_actions(detail=detail, can=found.can),
            *actions.run_actions(detail=detail, can=found.can),
        ],
        "is_ended": ExecutionState(detail["state"]).is_terminal,
        "progress": _progress(detail),
        "questions": _questions(found),
        "approvals": _approvals(found),
        "can_start": found.can["start_execution"],
        **_part(request, found, view),
    }
    step_id = request.GET.get("step", "")
    if step_id:
        context["opened"] = _opened(request, found, step_id)
    return render(request, "orchestrator/run_detail.html", context)


def _part(request: PageRequest, found: run_page.RunPage, view: str) -> dict[str, Any]:
    """Return what only one view needs."""
    detail = found.detail
    if view == "saga":
        return {"pairs": lanes.lanes(lines=found.lines, detail=detail)}
    if view == "timeline":
        return {"timeline": timeline.timeline(detail)}
    if view == "steps":
        show = request.GET.get("show", "")
        states = STEP_FILTERS.get(show)
        steps = [step for step in detail["steps"] if states is None or step["state"] in states]
        return {"steps": steps, "show": show if states else ""}
    if view == "events":
        after = request.GET.get("after", "0")
        events = trace.events_after(
            actor=request.user,
            execution_id=detail["id"],
            seq=int(after) if after.isdecimal() and len(after) < 10 else 0,
            limit=EVENTS_SHOWN,
        )
        return {
            "events": events,
            "events_after": events[-1]["seq"] if len(events) == EVENTS_SHOWN else None,
        }
    return {}


def _opened(request: PageRequest, found: run_page.RunPage, step_id: str) -> dict[str, Any] | None:
    """Return what the step panel shows, or None when the run has no such step."""
    detail = found.detail
    step = next((one for one in detail["steps"] if one["id"] == step_id), None)
    if step is None:
        return None
    undone = step["compensates"] or step["id"]
    entry = next((one for one in detail["ledger"] if one["id"] == undone), None)
    run = detail["id"]
    return {
        "step": step,
        "kind": kind(step["type"]),
        "entry": entry,
        "undo": next((one for one in detail["steps"] if one["compensates"] == step_id), None),
        "undoes": next((one for one in detail["steps"] if one["id"] == step["compensates"]), None),
        "attempts": run_page.attempts_of(actor=request.user, execution_id=run, step_id=step["id"]),
        "logs": run_page.logs_of(actor=request.user, execution_id=run, step_id=step["id"]),
        "entry_actions": actions.entry_actions(run=run, entry=entry, can=found.can)
        if entry
        else [],
        "settle": actions.settle_action(run=run, step=step, can=found.can),
    }


def _questions(found: run_page.RunPage) -> list[dict[str, Any]]:
    """Return what only a person can answer, each with its controls."""
    detail = found.detail
    if ExecutionState(detail["state"]).is_terminal:
        unknown = []
    else:
        unknown = [step for step in detail["steps"] if step["state"] == "UNKNOWN"]
    asked = [
        {
            "step": step,
            "actions": [actions.settle_action(run=detail["id"], step=step, can=found.can)],
        }
        for step in unknown
        if step["direction"] == "FORWARD"
    ]
    names = {step["id"]: step["name"] for step in detail["steps"]}
    stuck = [
        {"entry": entry, "name": names.get(entry["id"]), "actions": acts}
        for entry in detail["ledger"]
        if (acts := actions.entry_actions(run=detail["id"], entry=entry, can=found.can))
    ]
    return asked + stuck


def _approvals(found: run_page.RunPage) -> list[dict[str, Any]]:
    """Return the undos that wait for approval, each with whom it asks."""
    steps = {line.step.reference: line for line in found.lines if line.step}
    asked = []
    for entry in found.detail["ledger"]:
        if entry["state"] == "AWAITING_APPROVAL" and entry["approvalId"]:
            line = steps.get(entry["taskReferenceName"])
            undo = line.step.compensation if line and line.step else None
            asked.append(
                {
                    "id": entry["approvalId"],
                    "name": line.undo.name if line and line.undo else entry["taskReferenceName"],
                    "groups": undo.approval.groups if undo else (),
                    "amount": entry["amount"],
                }
            )
    return asked


def _progress(detail: Any) -> str:
    """Say how far an undo is, such as “2 of 5”; empty while nothing is being undone."""
    plan = detail["plan"]
    if detail["state"] != "COMPENSATING" or not plan:
        return ""
    planned = {str(entry["id"]) for entry in plan["entries"]}
    settled = [
        entry
        for entry in detail["ledger"]
        if entry["id"] in planned
        and entry["state"] in ("COMPENSATED", "SKIPPED", "RESOLVED_MANUALLY")
    ]
    return f"{min(len(settled) + 1, len(planned))} of {len(planned)}"


def _statuses(counts: Any) -> list[Status]:
    tabs = [Status(key="", label="All", states=())]
    for key, label, states in STATUSES:
        values = tuple(state.value for state in states)
        is_open = not any(state.is_terminal for state in states)
        tabs.append(
            Status(
                key=key,
                label=label,
                states=values,
                count=sum(counts[value] for value in values) if is_open else None,
            )
        )
    return tabs


def _chips(request: PageRequest) -> list[dict[str, str]]:
    """Return the filters in force; each leads to the list without it."""
    names = {
        "status": "status",
        "workflow": "workflow",
        "version": "version",
        "key": "key",
        "q": "text",
    }
    chips = []
    for key, label in names.items():
        if value := request.GET.get(key, ""):
            rest = request.GET.copy()
            rest.pop(key)
            rest.pop("cursor", None)
            chips.append({"label": label, "value": value, "without": rest.urlencode()})
    return chips
