"""Addresses of the pages outside /workflows/ and /approvals/."""

from importlib.util import find_spec

from django.urls import URLPattern, path, re_path

from orchestrator.views import audit, dashboard, executions, settings

urlpatterns: list[URLPattern] = [
    path("", dashboard.dashboard, name="dashboard"),
    path("runs/", executions.run_list, name="run_list"),
    path("runs/<uuid:execution_id>/", executions.run_detail, name="run_detail"),
    path("audit/", audit.audit_list, name="audit_list"),
    path("settings/", settings.index, name="settings"),
    path("settings/me/", settings.me, name="settings_me"),
    path("settings/theme/", settings.choose_theme, name="choose_theme"),
]
if find_spec("orchestrator.services.executions") and find_spec(
    "orchestrator.services.compensations"
):
    from orchestrator.views import steering

    urlpatterns += [
        path("runs/<uuid:execution_id>/pause/", steering.pause, name="run_pause"),
        path("runs/<uuid:execution_id>/resume/", steering.resume, name="run_resume"),
        path("runs/<uuid:execution_id>/retry/", steering.retry, name="run_retry"),
        path("runs/<uuid:execution_id>/cancel/", steering.cancel, name="run_cancel"),
        path("runs/<uuid:execution_id>/undo/", steering.undo, name="run_undo"),
        path(
            "runs/<uuid:execution_id>/steps/<uuid:step_id>/settle/",
            steering.settle,
            name="run_settle",
        ),
        re_path(
            r"^runs/(?P<execution_id>[0-9a-f-]{36})/undos/(?P<entry_id>[0-9a-f-]{36})/"
            r"(?P<act>retry|skip|resolve|to-manual)/$",
            steering.entry_act,
            name="run_entry_act",
        ),
    ]
