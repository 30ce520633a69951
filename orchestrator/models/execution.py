"""Executions, their step runs and attempts: the rows that `store` alone writes."""

from django.db import models
from django.db.models import Q

from orchestrator.engine.states import (
    AttemptState,
    Direction,
    EntryState,
    ExecutionState,
    ForwardResult,
    StepState,
)
from orchestrator.models.workflow import Workflow, WorkflowVersion

CLAIMABLE = (StepState.SCHEDULED.value, StepState.RETRY_WAIT.value)
# A step that a worker handed back waits, and may be polled again once it is due.
POLLABLE = (*CLAIMABLE, StepState.WAITING.value)
UNSETTLED = tuple(state.value for state in StepState if not state.is_settled)


class Execution(models.Model):
    """One start of one version, with everything that follows."""

    id = models.UUIDField(primary_key=True)
    root_id = models.UUIDField()
    parent_id = models.UUIDField(null=True)
    parent_step_id = models.UUIDField(null=True)
    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, db_index=False)
    workflow_name = models.CharField(max_length=255)
    version = models.ForeignKey(WorkflowVersion, on_delete=models.PROTECT, db_index=False)
    version_number = models.PositiveIntegerField()
    is_saga = models.BooleanField(help_text="False for a plain definition.")
    state = models.CharField(max_length=24)
    outcome = models.CharField(max_length=12, null=True)
    failure = models.JSONField(null=True)
    paused = models.BooleanField(default=False)
    epoch = models.PositiveIntegerField(default=1)
    fence = models.PositiveIntegerField(default=0)
    revision = models.PositiveIntegerField(default=0)
    head = models.PositiveIntegerField(default=0, help_text="Last journal number.")
    correlation_id = models.CharField(max_length=255, blank=True)
    idempotency_key = models.CharField(max_length=255, blank=True)
    priority = models.PositiveSmallIntegerField(default=0)
    input = models.JSONField()
    output = models.JSONField(null=True)
    variables = models.JSONField(default=dict)
    frontier = models.JSONField(
        default=dict, help_text="What is in motion; bounded by the width of the workflow."
    )
    lock = models.JSONField(default=dict, help_text="Child versions resolved while running.")
    task_policies = models.JSONField(
        default=dict, help_text="TaskDefs registered at the start, by task name."
    )
    domains = models.JSONField(default=dict)
    started_by = models.CharField(max_length=150, blank=True)
    started_by_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField()
    wake_at = models.DateTimeField(
        null=True, help_text="Set while a transition is due; repair may ring after it."
    )

    class Meta:
        default_permissions = ()
        constraints = (
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in ExecutionState]),
                name="execution_state_known",
            ),
            models.CheckConstraint(
                condition=Q(outcome__isnull=True)
                | Q(outcome__in=[result.value for result in ForwardResult]),
                name="execution_outcome_known",
            ),
        )
        indexes = (
            models.Index(fields=("workflow", "-id"), name="execution_by_workflow"),
            models.Index(fields=("state", "-id"), name="execution_by_state"),
            models.Index(
                fields=("correlation_id",),
                name="execution_by_correlation",
                condition=~Q(correlation_id=""),
            ),
            models.Index(
                fields=("parent_id",),
                name="execution_by_parent",
                condition=Q(parent_id__isnull=False),
            ),
            models.Index(
                fields=("wake_at",), name="execution_due", condition=Q(wake_at__isnull=False)
            ),
        )

    def __str__(self) -> str:
        return f"{self.workflow_name} {self.id}"


class StartKey(models.Model):
    """The client's key of a start: unique per workflow, kept as long as the execution."""

    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE)
    key = models.CharField(max_length=255)
    execution_id = models.UUIDField()
    body_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=("workflow", "key"), name="start_key_once"),)


class StepRun(models.Model):
    """One activation of a step, forward or back; the ledger entry stands in its own columns.

    The id is derived from the identity (execution, position, epoch, direction), so the primary key
    makes a second creation impossible.
    """

    id = models.UUIDField(primary_key=True)
    # No database constraint: the row is only ever written under its execution's lock, and checking
    # the reference again would cost a lookup per insert on the hottest path.
    execution = models.ForeignKey(
        Execution, on_delete=models.CASCADE, db_index=False, db_constraint=False
    )
    reference = models.CharField(max_length=255)
    position = models.CharField(max_length=1024, help_text="Reference with loop coordinates.")
    iteration = models.PositiveIntegerField(default=0)
    epoch = models.PositiveIntegerField(default=1)
    cut_epoch = models.PositiveIntegerField(
        null=True, help_text="The epoch that began without it, after a savepoint."
    )
    direction = models.CharField(max_length=12)
    type = models.CharField(max_length=64)
    name = models.CharField(max_length=255)
    seq = models.PositiveIntegerField(help_text="Order of scheduling in the execution, from 1.")
    settle_seq = models.PositiveIntegerField(null=True)
    state = models.CharField(max_length=24)
    caused_by = models.JSONField(default=list)

    entry_state = models.CharField(max_length=24, null=True)
    policy = models.CharField(max_length=12, null=True)
    round = models.PositiveSmallIntegerField(default=0)
    approval_id = models.UUIDField(null=True)
    entry_due_at = models.DateTimeField(null=True)
    undo_attempts = models.PositiveIntegerField(default=0)
    undo_waits = models.PositiveIntegerField(default=0, help_text="Entries that must settle first.")
    undo_next = models.JSONField(null=True, help_text="Entries that wait for this one.")
    entry_reason = models.TextField(blank=True)
    amount = models.JSONField(null=True)
    undo_input = models.JSONField(
        null=True, help_text="Amended input of the undo, and the original."
    )
    undo_began_at = models.DateTimeField(
        null=True, help_text="When the undo of the present round was first sent."
    )
    effect_id = models.CharField(max_length=255, blank=True, default="")

    compensates = models.UUIDField(
        null=True, help_text="The step run that this one undoes or asks about."
    )
    attempt = models.PositiveIntegerField(default=1)
    attempt_id = models.UUIDField()
    lost = models.PositiveSmallIntegerField(default=0, help_text="Leases lost in a row.")
    doubt = models.BooleanField(default=False, help_text="Some attempt may have taken effect.")
    partial = models.BooleanField(default=False)
    queue = models.CharField(
        max_length=64, blank=True, help_text="Celery queue; empty = polling workers."
    )
    domain = models.CharField(max_length=255, blank=True)
    priority = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(null=True)
    wake_at = models.DateTimeField(null=True)
    rings = models.PositiveSmallIntegerField(default=0)
    input = models.JSONField(default=dict)
    output = models.JSONField(null=True)
    reason = models.TextField(blank=True)
    error_class = models.CharField(max_length=16, blank=True)
    variables = models.JSONField(
        null=True, help_text="Run variables when it settled, if its undo reads them."
    )
    child_id = models.UUIDField(null=True)
    defined_by = models.UUIDField(
        null=True, help_text="Step run of the dynamic fork that defines it."
    )
    dynamic = models.JSONField(null=True, help_text="Branches given as data, on a dynamic fork.")
    scheduled_at = models.DateTimeField()
    first_scheduled_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = (
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in StepState]), name="step_state_known"
            ),
            models.CheckConstraint(
                condition=Q(entry_state__isnull=True)
                | Q(entry_state__in=[state.value for state in EntryState]),
                name="entry_state_known",
            ),
            models.CheckConstraint(
                condition=Q(direction__in=[direction.value for direction in Direction]),
                name="step_direction_known",
            ),
        )
        indexes = (
            models.Index(fields=("execution", "reference", "seq"), name="step_by_reference"),
            models.Index(
                fields=("name", "domain", "-priority", "due_at"),
                name="step_to_poll",
                condition=Q(state__in=POLLABLE, queue=""),
            ),
            models.Index(
                fields=("queue", "due_at"),
                name="step_to_run",
                condition=Q(state__in=CLAIMABLE) & ~Q(queue=""),
            ),
            models.Index(
                fields=("wake_at",), name="step_to_ring", condition=Q(wake_at__isnull=False)
            ),
            models.Index(
                fields=("due_at",), name="step_lease", condition=Q(state=StepState.DISPATCHED.value)
            ),
            models.Index(
                fields=("execution",), name="step_in_motion", condition=Q(state__in=UNSETTLED)
            ),
            models.Index(
                fields=("compensates",),
                name="step_attached",
                condition=Q(compensates__isnull=False),
            ),
            models.Index(fields=("effect_id",), name="step_by_effect", condition=~Q(effect_id="")),
            models.Index(
                fields=("entry_state", "-id"),
                name="entry_open",
                condition=Q(entry_state__in=[state.value for state in EntryState if state.is_open]),
            ),
        )


class Attempt(models.Model):
    """One try of a step run; its id is the `taskId` on the Conductor wire."""

    id = models.UUIDField(primary_key=True)
    step_run = models.ForeignKey(
        StepRun,
        on_delete=models.CASCADE,
        db_index=False,
        db_constraint=False,
        related_name="attempts",
    )
    execution_id = models.UUIDField(db_index=True)
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=16)
    reason = models.TextField(blank=True)
    output = models.JSONField(null=True)
    worker = models.CharField(max_length=255, blank=True)
    poll_count = models.PositiveIntegerField(default=0)
    callback_after = models.PositiveIntegerField(default=0)
    scheduled_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    late = models.JSONField(null=True, help_text="A result that came when it no longer counted.")

    class Meta:
        default_permissions = ()
        constraints = (
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in AttemptState]),
                name="attempt_state_known",
            ),
        )


class AttemptLog(models.Model):
    """A line that a worker logged about an attempt."""

    attempt_id = models.UUIDField(db_index=True)
    execution_id = models.UUIDField()
    line = models.TextField()
    at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        ordering = ("id",)
