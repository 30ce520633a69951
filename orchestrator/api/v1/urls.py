"""Addresses of our own API, below /api/v1/; the list of workflows and drafts are the designer's."""

from django.urls import URLPattern, path

from orchestrator.api.v1 import (
    compensations,
    events,
    executions,
    plans,
    simulations,
    stream,
    versions,
    workflows,
)

_EXECUTION = "executions/<str:execution_id>"
_ENTRY = "compensations/<uuid:entry_id>"
_WORKFLOW = "workflows/<str:name>"

urlpatterns: list[URLPattern] = [
    path(_WORKFLOW, workflows.WorkflowView.as_view()),
    path(f"{_WORKFLOW}/validate", workflows.ValidateView.as_view()),
    path(f"{_WORKFLOW}/simulate", simulations.SimulateView.as_view()),
    path(f"{_WORKFLOW}/rollout", workflows.RolloutView.as_view()),
    path(f"{_WORKFLOW}/versions", versions.VersionsView.as_view()),
    path(f"{_WORKFLOW}/versions/<int:number>", versions.VersionView.as_view()),
    path(
        f"{_WORKFLOW}/versions/<int:number>/simulation",
        simulations.VersionSimulationView.as_view(),
    ),
    path(f"{_WORKFLOW}/versions/<int:old>/diff/<int:new>", versions.DiffView.as_view()),
    path(f"{_EXECUTION}/stream", stream.StreamView.as_view(), name="api-stream"),
    path("executions", executions.ExecutionsView.as_view()),
    path(_EXECUTION, executions.ExecutionView.as_view(), name="api-execution"),
    path(f"{_EXECUTION}/steps", executions.StepsView.as_view()),
    path(f"{_EXECUTION}/steps/<uuid:step_id>/settle", executions.SettleView.as_view()),
    path(f"{_EXECUTION}/ledger", executions.LedgerView.as_view()),
    path(f"{_EXECUTION}/trace", executions.TraceView.as_view()),
    path(f"{_EXECUTION}/cancel", executions.CancelView.as_view()),
    path(f"{_EXECUTION}/pause", executions.PauseView.as_view()),
    path(f"{_EXECUTION}/resume", executions.ResumeView.as_view()),
    path(f"{_EXECUTION}/retry", executions.RetryView.as_view()),
    path(f"{_EXECUTION}/compensate", executions.CompensateView.as_view()),
    path(f"{_EXECUTION}/compensation/preview", executions.PreviewView.as_view()),
    path(f"{_EXECUTION}/plan/confirm", plans.ConfirmView.as_view()),
    path(f"{_EXECUTION}/plan/reject", plans.RejectView.as_view()),
    path("events", events.EventsView.as_view()),
    path("compensations", compensations.CompensationsView.as_view()),
    path(f"{_ENTRY}/retry", compensations.RetryView.as_view()),
    path(f"{_ENTRY}/amend", compensations.AmendView.as_view()),
    path(f"{_ENTRY}/skip", compensations.SkipView.as_view()),
    path(f"{_ENTRY}/resolve", compensations.ResolveView.as_view()),
    path(f"{_ENTRY}/to-manual", compensations.ToManualView.as_view()),
]
