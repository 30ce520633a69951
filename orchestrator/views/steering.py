"""Steering a run: each act asks for its reason on a page of its own, then calls one service."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from orchestrator.access.errors import Forbidden, NotFound, Refusal
from orchestrator.border.input import InputError, parse_json
from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.states import EntryState
from orchestrator.selectors import run_page, undo_input
from orchestrator.services import compensations, entry_acts, plans, run_retries
from orchestrator.services import executions as service
from orchestrator.services.errors import Conflict
from orchestrator.views import lanes
from orchestrator.views.refusals import status_of
from orchestrator.views.requests import PageRequest, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """The words of one act on a run."""

    title: str
    submit: str
    explanation: str
    permission: str
    done: str
    tone: str = ""


RETRY = Act(
    title="Retry run",
    submit="Retry run",
    explanation="The steps that failed are tried again; what succeeded is not done twice.",
    permission="control_execution",
    done="The run goes on.",
)
CANCEL = Act(
    title="Cancel run",
    submit="Cancel run",
    explanation="Steps in flight are settled first. Nothing new is started.",
    permission="cancel_execution",
    done="The run is being cancelled.",
    tone="danger",
)
UNDO = Act(
    title="Undo run",
    submit="Undo run",
    explanation="What the run did is undone in the order below. "
    "Undos that need approval ask first.",
    permission="compensate_execution",
    done="The run is being undone.",
    tone="undo",
)
CONFIRM_PLAN = Act(
    title="Confirm undo plan",
    submit="Start the undo",
    explanation="The undo of this run waits for your word. It begins with the first line below.",
    permission="compensate_execution",
    done="The run is being undone.",
    tone="undo",
)
REJECT_PLAN = Act(
    title="Reject undo plan",
    submit="Reject the plan",
    explanation="Nothing is undone: what the run did stays until somebody undoes it.",
    permission="break_glass",
    done="The plan was rejected. What the run did stays.",
    tone="danger",
)
SECOND_PERSON = (
    "Kept for 24 hours. Nothing is undone until a second person with the right to break the glass "
    "asks for the same."
)
SETTLE = Act(
    title="Did this happen?",
    submit="Save the answer",
    explanation="Nobody could tell whether the step took effect. Look in the service it called; "
    "the answer decides whether the step counts as done, and whether it must be undone.",
    permission="settle_compensation",
    done="The outcome is settled.",
)
ENTRY_ACTS = {
    "retry": Act(
        title="Try the undo again",
        submit="Try again",
        explanation="The undo goes on at the step that failed, with the key it had, so "
        "that nothing can happen twice.",
        permission="settle_compensation",
        done="The undo is tried again.",
        tone="undo",
    ),
    "amend": Act(
        title="Try the undo again with other input",
        submit="Send this input",
        explanation="The undo is sent anew, under a new key. Whoever must agree to it is asked "
        "again about this input.",
        permission="settle_compensation",
        done="The undo is sent with other input.",
        tone="undo",
    ),
    "skip": Act(
        title="Skip the undo",
        submit="Skip the undo",
        explanation="The effect stays as it is, and the run ends as “Partly undone” at best.",
        permission="settle_compensation",
        done="The undo is skipped.",
        tone="danger",
    ),
    "resolve": Act(
        title="Done by hand",
        submit="Mark as done by hand",
        explanation="Say that you undid the effect outside of this system, and how.",
        permission="settle_compensation",
        done="The undo is marked as done by hand.",
    ),
    "to-manual": Act(
        title="Do it by hand",
        submit="Take it over",
        explanation="Nothing more is sent; the undo waits until somebody marks it as done by hand.",
        permission="settle_compensation",
        done="The undo now waits for a person.",
    ),
}
UNDO_AGAIN = Act(
    title="Undo it again",
    submit="Undo it again",
    explanation="The effect turned up after its undo. The undo is sent once more, under a new key.",
    permission="settle_compensation",
    done="The effect is undone again.",
    tone="undo",
)
ENTRY_SERVICES: dict[str, Callable[..., Any]] = {
    "retry": entry_acts.retry_entry,
    "amend": entry_acts.amend_entry,
    "skip": entry_acts.skip_entry,
    "resolve": entry_acts.resolve_entry,
    "to-manual": entry_acts.send_to_manual,
}


@require_POST
def pause(request: PageRequest, execution_id: UUID) -> HttpResponse:
    """Hold a run where it is."""
    service.pause_execution(actor=request.user, execution_id=execution_id)
    return _back(request, execution_id)


@require_POST
def resume(request: PageRequest, execution_id: UUID) -> HttpResponse:
    """Let a held run go on."""
    service.resume_execution(actor=request.user, execution_id=execution_id)
    return _back(request, execution_id)


@require_http_methods(["GET", "HEAD", "POST"])
def retry(request: PageRequest, execution_id: UUID) -> HttpResponse:
    """Try the failed steps of a run again."""

    def act() -> None:
        run_retries.retry_execution(
            actor=request.user, execution_id=execution_id, reason=text(request, "reason")
        )

    return _handle(request, execution_id, RETRY, act)


@require_http_methods(["GET", "HEAD", "POST"])
def cancel(request: PageRequest, execution_id: UUID) -> HttpResponse:
    """Stop a run, with or without undoing what it did."""

    def act() -> None:
        service.cancel_execution(
            actor=request.user,
            execution_id=execution_id,
            compensate=text(request, "undo", "with") == "with",
            reason=text(request, "reason"),
        )

    plan = _plan(request, execution_id)
    return _handle(request, execution_id, CANCEL, act, asks_undo=True, **plan)


@require_http_methods(["GET", "HEAD", "POST"])
def undo(request: PageRequest, execution_id: UUID) -> HttpResponse:
    """Undo a run that has ended."""

    def act() -> str | None:
        waiting = compensations.request_compensation(
            actor=request.user,
            execution_id=execution_id,
            reason=text(request, "reason"),
            force=text(request, "force") == "yes",
        )
        return SECOND_PERSON if waiting is not None else None

    plan = _plan(request, execution_id)
    return _handle(request, execution_id, UNDO, act, asks_force=True, **plan)


@require_http_methods(["GET", "HEAD", "POST"])
def confirm_plan(request: PageRequest, execution_id: UUID) -> HttpResponse:
    """Start the undo plan that waits for a person."""
    return _decide_plan(request, execution_id, CONFIRM_PLAN, plans.confirm_plan)


@require_http_methods(["GET", "HEAD", "POST"])
def reject_plan(request: PageRequest, execution_id: UUID) -> HttpResponse:
    """Drop the undo plan that waits for a person."""
    return _decide_plan(request, execution_id, REJECT_PLAN, plans.reject_plan)


def _decide_plan(
    request: PageRequest, execution_id: UUID, words: Act, decide: Callable[..., None]
) -> HttpResponse:
    """Show the plan with its form; its hash comes back, so that nobody decides about another."""
    plan = run_page.run_page(actor=request.user, execution_id=execution_id).detail["plan"]

    def act() -> None:
        decide(
            actor=request.user,
            execution_id=execution_id,
            plan_hash=text(request, "hash"),
            reason=text(request, "reason"),
        )

    return _handle(request, execution_id, words, act, plan=plan, asks_hash=True)


@require_http_methods(["GET", "HEAD", "POST"])
def entry_act(request: PageRequest, execution_id: UUID, entry_id: UUID, act: str) -> HttpResponse:
    """Move a stuck undo on: try again, skip, by hand."""
    found = run_page.run_page(actor=request.user, execution_id=execution_id)
    entry = _entry_of(found, entry_id)
    is_late = entry["state"] == EntryState.LATE_EFFECT
    words = UNDO_AGAIN if is_late and act == "retry" else ENTRY_ACTS[act]
    asks: dict[str, Any] = {}
    if act == "resolve":
        asks = {"asks_note": True, "asks_harmless": is_late}
    elif act == "amend":
        asks = {"asks_input": True, "sent": undo_input.last_input(entry_id)}

    def call() -> None:
        ENTRY_SERVICES[act](
            actor=request.user,
            entry_id=entry_id,
            reason=text(request, "reason"),
            **_said(request, act),
        )

    return _handle(request, execution_id, words, call, subject=entry, **asks)


def _said(request: PageRequest, act: str) -> dict[str, Any]:
    """Return what an act on an undo takes beside its reason, or raise `InputError`."""
    if act == "resolve":
        return {"note": text(request, "note"), "harmless": text(request, "harmless") == "yes"}
    if act == "amend":
        is_attested = text(request, "not_applied") == "yes"
        return {"input": _json_object(request, "input"), "not_applied": is_attested}
    return {}


@require_http_methods(["GET", "HEAD", "POST"])
def settle(request: PageRequest, execution_id: UUID, step_id: UUID) -> HttpResponse:
    """Answer whether a step with an unknown outcome took effect."""
    found = run_page.run_page(actor=request.user, execution_id=execution_id)
    steps = [step for step in found.detail["steps"] if step["id"] == str(step_id)]
    if not steps:
        raise NotFound("The run has no such step.")

    def act() -> None:
        applied = text(request, "applied") == "yes"
        entry_acts.settle_step(
            actor=request.user,
            execution_id=execution_id,
            step_id=step_id,
            applied=applied,
            output=_json_object(request, "output") if applied else None,
            reason=text(request, "reason"),
        )

    return _handle(request, execution_id, SETTLE, act, subject=steps[0], asks_applied=True)


def _handle(
    request: PageRequest,
    execution_id: UUID,
    words: Act,
    act: Callable[[], str | None],
    **context: Any,
) -> HttpResponse:
    """Show the form of an act, or do it; a refusal keeps what was typed."""
    found = run_page.run_page(actor=request.user, execution_id=execution_id)
    if plan := context.get("plan"):
        context["plan"] = lanes.named_plan(lines=found.lines, plan=plan)
    answer = found.can[words.permission]
    if not answer.allowed:
        raise Forbidden(answer.reason, permission=words.permission, ask=list(answer.ask))
    shown = {"run": found.detail, "act": words, "can": found.can, "posted": request.POST, **context}
    if request.method != "POST":
        return render(request, "orchestrator/run_act.html", shown)
    if not text(request, "reason"):
        shown["reason_error"] = "Say why; the reason is kept with the run and in the audit log."
        return render(request, "orchestrator/run_act.html", shown, status=422)
    try:
        told = act()
    except InputError as error:
        shown["json_error"] = error.message
        return render(request, "orchestrator/run_act.html", shown, status=422)
    except Refusal as refusal:
        shown["error"] = refusal.message
        return render(request, "orchestrator/run_act.html", shown, status=status_of(refusal))
    messages.success(request, told or words.done)
    return _back(request, execution_id)


def _json_object(request: PageRequest, name: str) -> dict[str, JSONValue]:
    """Return the JSON object that a person typed, or raise `InputError`."""
    given = parse_json(text(request, name, "{}").encode())
    if not isinstance(given, dict):
        raise InputError(
            code="not_an_object", message=f"The {name} is a JSON object, such as {{}}."
        )
    return given


def _plan(request: PageRequest, execution_id: UUID) -> dict[str, Any]:
    """Return what would be undone, or the sentence that says why nothing would."""
    try:
        return {"plan": compensations.preview(actor=request.user, execution_id=execution_id)}
    except Conflict as refusal:
        return {"plan": None, "no_plan": refusal.message}


def _entry_of(found: run_page.RunPage, entry_id: UUID) -> Any:
    entries = [entry for entry in found.detail["ledger"] if entry["id"] == str(entry_id)]
    if not entries:
        raise NotFound("The run has no such undo.")
    return entries[0]


def _back(request: PageRequest, execution_id: UUID) -> HttpResponse:
    address = reverse("run_detail", args=[execution_id])
    view = request.GET.get("view", "")
    return HttpResponseRedirect(f"{address}?view={view}" if view.isalpha() else address)
