"""Addresses of orchestrator.api.conductor; of two with the same shape the literal one is first."""

from django.urls import URLPattern, URLResolver, path

from orchestrator.api.conductor import (
    admin,
    bulk,
    control,
    executing,
    metadata,
    polling,
    queues,
    search,
    starts,
    tasks,
    workflow,
)

urlpatterns: list[URLPattern | URLResolver] = [
    path("health", admin.HealthView.as_view()),
    path("version", admin.VersionView.as_view()),
    # --- definitions ---
    path("metadata/workflow", metadata.WorkflowsView.as_view()),
    path("metadata/workflow/validate", metadata.ValidateView.as_view()),
    path("metadata/workflow/names-and-versions", metadata.WorkflowNamesView.as_view()),
    path("metadata/workflow/latest-versions", metadata.LatestVersionsView.as_view()),
    path("metadata/workflow/<str:name>", metadata.WorkflowView.as_view()),
    path("metadata/workflow/<str:name>/<int:version>", metadata.WorkflowVersionView.as_view()),
    path("metadata/taskdefs", metadata.TaskDefinitionsView.as_view()),
    path("metadata/taskdefs/<str:name>", metadata.TaskDefinitionView.as_view()),
    # --- queues ---
    path("tasks/queue/sizes", queues.SizesView.as_view()),
    path("tasks/queue/size", queues.SizeView.as_view()),
    path("tasks/queue/all", queues.AllView.as_view()),
    path("tasks/queue/all/verbose", queues.AllVerboseView.as_view()),
    path("tasks/queue/polldata", queues.PollDataView.as_view()),
    path("tasks/queue/polldata/all", queues.AllPollDataView.as_view()),
    path("tasks/queue/requeue/<str:task_type>", queues.RequeueView.as_view()),
    # --- tasks ---
    path("tasks", tasks.UpdateView.as_view()),
    path("tasks/update-v2", tasks.UpdateAndPollView.as_view()),
    path("tasks/search", search.TaskSearchView.as_view()),
    path("tasks/search-v2", search.TaskSearchFullView.as_view()),
    path("tasks/poll/batch/<str:task_type>", polling.poll_batch),
    path("tasks/poll/<str:task_type>", tasks.PollView.as_view()),
    path("tasks/<str:task_id>/log", tasks.LogView.as_view()),
    path("tasks/<str:workflow_id>/<str:status>/signal", tasks.SignalView.as_view()),
    path("tasks/<str:workflow_id>/<str:status>/signal/sync", executing.signal_sync),
    path(
        "tasks/<str:workflow_id>/<str:reference>/<str:status>/sync",
        tasks.UpdateByReferenceSyncView.as_view(),
    ),
    path(
        "tasks/<str:workflow_id>/<str:reference>/<str:status>",
        tasks.UpdateByReferenceView.as_view(),
    ),
    path("tasks/<str:task_id>", tasks.TaskView.as_view()),
    # --- many runs ---
    path("workflow/bulk/pause", bulk.BulkPauseView.as_view()),
    path("workflow/bulk/resume", bulk.BulkResumeView.as_view()),
    path("workflow/bulk/retry", bulk.BulkRetryView.as_view()),
    path("workflow/bulk/terminate", bulk.BulkTerminateView.as_view()),
    path("workflow/bulk/remove", bulk.BulkRemoveView.as_view()),
    path("workflow/bulk/delete", bulk.BulkRemoveView.as_view()),
    path("workflow/bulk/search", bulk.BulkSearchView.as_view()),
    path("workflow/search", search.SearchView.as_view()),
    path("workflow/search-v2", search.SearchFullView.as_view()),
    path("workflow/correlated/batch", workflow.CorrelatedBatchView.as_view()),
    path("workflow/running/<str:name>", workflow.RunningView.as_view()),
    # --- starting ---
    path("workflow", starts.StartView.as_view()),
    path("workflow/start/<str:name>/<int:version>", starts.StartVersionView.as_view()),
    path("workflow/execute/<str:name>", executing.execute),
    path("workflow/execute/<str:name>/<int:version>", executing.execute_version),
    # --- one run ---
    path("workflow/decide/<str:workflow_id>", control.DecideView.as_view()),
    path("workflow/<str:name>/correlated", workflow.CorrelatedManyView.as_view()),
    path("workflow/<str:name>/correlated/<path:correlation_id>", workflow.CorrelatedView.as_view()),
    path("workflow/<str:workflow_id>/status", workflow.RunStatusView.as_view()),
    path("workflow/<str:workflow_id>/tasks", workflow.RunTasksView.as_view()),
    path("workflow/<str:workflow_id>/pause", control.PauseView.as_view()),
    path("workflow/<str:workflow_id>/resume", control.ResumeView.as_view()),
    path("workflow/<str:workflow_id>/retry", control.RetryView.as_view()),
    path("workflow/<str:workflow_id>/variables", control.VariablesView.as_view()),
    path("workflow/<str:workflow_id>/remove", control.RemoveView.as_view()),
    path("workflow/<str:workflow_id>/terminate-remove", control.TerminateAndRemoveView.as_view()),
    path("workflow/<str:name>", workflow.RunOrStartView.as_view()),
]
