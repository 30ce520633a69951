"""The inbox of approvals, and one request with its decision."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from approvals import selectors, services
from approvals.forms import DecisionForm
from orchestrator.access.errors import NotFound
from orchestrator.selectors import run_page
from orchestrator.services.errors import Conflict, Invalid

BOXES = {"mine": "Mine", "all": "All open", "done": "Done"}
SHOWN = 200


class PageRequest(HttpRequest):
    """A request that passed the sign-in wall; anonymous ones were sent to the sign-in page."""

    user: User


@require_safe
def approval_list(request: PageRequest) -> HttpResponse:
    """Show what waits for a decision, the least time left first."""
    wanted = request.GET.get("box", "mine")
    box = wanted if wanted in BOXES else "mine"
    pending = _rows(request.user, selectors.waiting_for(request.user, state="pending"))
    mine = [row for row in pending if row["can"]["decide"]["allowed"]]
    rows = {"mine": mine, "all": pending}.get(box)
    if rows is None:
        everything = reversed(selectors.waiting_for(request.user))
        rows = _rows(request.user, [one for one in everything if one.state != one.PENDING])
    context = {
        "rows": rows[:SHOWN],
        "box": box,
        "boxes": [
            {"key": key, "label": label, "count": {"mine": len(mine), "all": len(pending)}.get(key)}
            for key, label in BOXES.items()
        ],
        "open_count": len(pending),
    }
    return render(request, "approvals/approval_list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def approval_detail(request: PageRequest, approval_id: UUID) -> HttpResponse:
    """Show one request with exactly what would be sent, or take the decision on it."""
    if request.method == "POST":
        return _decide(request, approval_id)
    return _page(request, approval_id, form=None)


def _decide(request: PageRequest, approval_id: UUID) -> HttpResponse:
    form = DecisionForm(request.POST)
    if not form.is_valid():
        return _page(request, approval_id, form=form, status=422)
    try:
        services.cast_vote(actor=request.user, approval_id=approval_id, **form.cleaned_data)
    except Invalid as refusal:
        form.add_error("reason", refusal.message)
        return _page(request, approval_id, form=form, status=422)
    except Conflict as refusal:
        return _page(request, approval_id, form=form, status=409, conflict=refusal.message)
    messages.success(request, "Your decision is recorded.")
    return HttpResponseRedirect(reverse("approval_detail", args=[approval_id]))


def _page(
    request: PageRequest,
    approval_id: UUID,
    *,
    form: DecisionForm | None,
    status: int = 200,
    conflict: str = "",
) -> HttpResponse:
    found = selectors.find_visible(request.user, approval_id)
    if found is None:
        raise NotFound(f"There is no approval {approval_id}.")
    approval = selectors.as_dict(found, request.user)
    run = run_page.run_page(actor=request.user, execution_id=approval["executionId"])
    names = _names(run)
    context = {
        "approval": approval,
        "names": names.get(approval["taskReferenceName"], {}),
        "run": run.detail,
        "happened": [step for step in run.detail["steps"] if step["direction"] == "FORWARD"],
        "later": _later(run, approval["entryId"], names),
        "approved_count": sum(
            1 for vote in approval["votes"] if vote["counted"] and vote["decision"] == "APPROVE"
        ),
        "form": form,
        "conflict": conflict,
    }
    return render(request, "approvals/approval_detail.html", context, status=status)


def _rows(actor: User, found: list[Any]) -> list[dict[str, Any]]:
    return [selectors.as_dict(row, actor) for row in found]


def _names(run: run_page.RunPage) -> dict[str, dict[str, str]]:
    """Return how a step and its undo are called, by the reference of the step."""
    return {
        line.step.reference: {"step": line.step.name, "undo": line.undo.name}
        for line in run.lines
        if line.step and line.undo
    }


def _later(
    run: run_page.RunPage, entry_id: str, names: dict[str, dict[str, str]]
) -> list[dict[str, str]]:
    """Return the undos of the plan that come after this one."""
    entries = run.detail["plan"]["entries"] if run.detail["plan"] else []
    ids = [str(entry["id"]) for entry in entries]
    after = entries[ids.index(entry_id) + 1 :] if entry_id in ids else []
    return [
        names.get(entry["taskReferenceName"], {"undo": entry["taskReferenceName"]})
        for entry in after
    ]
