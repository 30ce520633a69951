"""Addresses of the pages outside /workflows/ and /approvals/."""

from django.urls import path, re_path

from orchestrator.views import audit, dashboard, executions, settings, steering

RUN = "runs/<uuid:execution_id>"
UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"

urlpatterns = [
    path("", dashboard.dashboard, name="dashboard"),
    path("runs/", executions.run_list, name="run_list"),
    path(f"{RUN}/", executions.run_detail, name="run_detail"),
    path(f"{RUN}/pause/", steering.pause, name="run_pause"),
    path(f"{RUN}/resume/", steering.resume, name="run_resume"),
    path(f"{RUN}/retry/", steering.retry, name="run_retry"),
    path(f"{RUN}/cancel/", steering.cancel, name="run_cancel"),
    path(f"{RUN}/undo/", steering.undo, name="run_undo"),
    path(f"{RUN}/plan/confirm/", steering.confirm_plan, name="run_confirm_plan"),
    path(f"{RUN}/plan/reject/", steering.reject_plan, name="run_reject_plan"),
    path(f"{RUN}/steps/<uuid:step_id>/settle/", steering.settle, name="run_settle"),
    re_path(
        rf"^runs/(?P<execution_id>{UUID})/undos/(?P<entry_id>{UUID})/"
        r"(?P<act>retry|amend|skip|resolve|to-manual)/$",
        steering.entry_act,
        name="run_entry_act",
    ),
    path("audit/", audit.audit_list, name="audit_list"),
    path("settings/", settings.index, name="settings"),
    path("settings/me/", settings.me, name="settings_me"),
    path("settings/theme/", settings.choose_theme, name="choose_theme"),
]
