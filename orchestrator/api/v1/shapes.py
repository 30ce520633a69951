"""The documented shapes of answers about workflows and executions."""

from rest_framework import serializers

from orchestrator.api.v1.serializers import AnyJSON, CamelSerializer, JSONObject, ProblemRow
from orchestrator.engine.states import Direction, EntryState, ExecutionState, ForwardResult
from orchestrator.engine.states import StepState as StepStates

_TEXT = serializers.CharField
_NUMBER = serializers.IntegerField
_TIME = serializers.DateTimeField
_ID = serializers.UUIDField


class WorkflowRow(CamelSerializer):
    """A workflow in a list."""

    name = _TEXT()
    description = _TEXT()
    stable = _NUMBER(allow_null=True, help_text="What a start without a version gets.")
    latest_version = _NUMBER(allow_null=True)
    kind = _TEXT(allow_null=True)
    has_undo = serializers.BooleanField()
    archived = serializers.BooleanField()
    created_at = _TIME()


class WorkflowDetail(WorkflowRow):
    """A workflow."""

    samples = serializers.ListField(child=JSONObject())
    created_by = _TEXT(allow_null=True)
    can = serializers.DictField(child=serializers.BooleanField(), help_text="Your rights.")


class VersionRow(CamelSerializer):
    """A version in a list."""

    version = _NUMBER()
    hash = _TEXT()
    kind = _TEXT()
    has_undo = serializers.BooleanField()
    note = _TEXT()
    published_at = _TIME()
    published_by = _TEXT(allow_null=True)
    is_stable = serializers.BooleanField()


class CoverageShape(CamelSerializer):
    """How many effects can be undone, of all effects."""

    undoable = _NUMBER()
    effects = _NUMBER()
    share = serializers.FloatField(allow_null=True)
    text = _TEXT()


class WeakPoint(CamelSerializer):
    """A failing step after which the run does not end clean by itself."""

    task_reference_name = _TEXT()
    iteration = _NUMBER()
    workflow_name = _TEXT()
    within = serializers.ListField(child=_TEXT(), help_text="Sub-workflow steps that lead to it.")
    outcome = _TEXT()
    final_state = _TEXT()
    reason = _TEXT()


class VersionDetail(VersionRow):
    """A version."""

    coverage = CoverageShape()
    weak_points = WeakPoint(
        many=True, allow_null=True, help_text="Null where some of it is not yours to see."
    )

    definition = JSONObject()
    problems = ProblemRow(many=True)
    lock = serializers.DictField(child=_NUMBER(), help_text="Versions of its sub-workflows.")


class DiffStep(CamelSerializer):
    """A step that differs."""

    task_reference_name = _TEXT()
    name = _TEXT()
    type = _TEXT()
    keys = serializers.ListField(child=_TEXT(), required=False)


class VersionDiff(CamelSerializer):
    """What changed between two versions."""

    added = DiffStep(many=True)
    removed = DiffStep(many=True)
    changed = DiffStep(many=True)
    settings = serializers.ListField(child=_TEXT())


class RolloutShape(CamelSerializer):
    """Which version a start without a version gets."""

    stable = _NUMBER(allow_null=True)


class ExecutionRow(CamelSerializer):
    """An execution in a list."""

    id = _ID()
    workflow_name = _TEXT()
    version = _NUMBER()
    state = serializers.ChoiceField(choices=[state.value for state in ExecutionState])
    outcome = serializers.ChoiceField(
        choices=[result.value for result in ForwardResult], allow_null=True
    )
    failure = JSONObject(allow_null=True)
    paused = serializers.BooleanField()
    epoch = _NUMBER()
    correlation_id = _TEXT()
    parent_id = _ID(allow_null=True)
    started_by = _TEXT()
    started_at = _TIME()
    ended_at = _TIME(allow_null=True)


class StepRow(CamelSerializer):
    """A step run."""

    id = _ID()
    task_reference_name = _TEXT()
    name = _TEXT()
    type = _TEXT()
    direction = serializers.ChoiceField(choices=[direction.value for direction in Direction])
    compensates = _ID(allow_null=True)
    iteration = _NUMBER()
    epoch = _NUMBER()
    attempt = _NUMBER()
    state = serializers.ChoiceField(choices=[state.value for state in StepStates])
    input = JSONObject()
    output = AnyJSON(allow_null=True)
    reason = _TEXT()
    worker = _TEXT()
    idempotency_key = _TEXT()
    child_id = _ID(allow_null=True)
    due_at = _TIME(allow_null=True)
    scheduled_at = _TIME()
    started_at = _TIME(allow_null=True)
    ended_at = _TIME(allow_null=True)


class LedgerRow(CamelSerializer):
    """A ledger entry; its id is that of the step run it undoes."""

    id = _ID()
    task_reference_name = _TEXT()
    iteration = _NUMBER()
    state = serializers.ChoiceField(choices=[state.value for state in EntryState])
    policy = _TEXT(allow_null=True)
    round = _NUMBER()
    amount = JSONObject(allow_null=True)
    attempts = _NUMBER()
    reason = _TEXT()
    due_at = _TIME(allow_null=True, help_text="The undo is not sent before.")
    undoable_until = _TIME(allow_null=True, help_text="End of the window, or `notAfter`.")
    waiting_for = _TEXT(allow_null=True)
    approval_id = _ID(allow_null=True)


class PlanShape(CamelSerializer):
    """What is undone, in which order."""

    hash = _TEXT()
    entries = serializers.ListField(child=JSONObject(), help_text="In the order of undo.")
    edges = serializers.ListField(child=AnyJSON())
    cannot_be_undone = serializers.ListField(child=AnyJSON())
    amounts = serializers.DictField(
        child=serializers.FloatField(), help_text="Money at stake, by currency."
    )


class PlanPreview(PlanShape):
    """The plan that an undo would make now."""

    needs_force = serializers.ListField(
        child=JSONObject(), help_text="Entries that only two persons may have undone."
    )


class SecondPerson(CamelSerializer):
    """An act that one person has asked for and another must ask for as well."""

    waiting_for = _TEXT()
    by = _TEXT(help_text="Who has asked first.")
    until = _TIME(help_text="When the first call is forgotten.")


class StoredPlan(PlanShape):
    """A plan that was made."""

    id = _ID()
    trigger = _TEXT()
    triggered_by = _TEXT()
    reason = _TEXT()
    state = _TEXT()
    created_at = _TIME()
    ended_at = _TIME(allow_null=True)
    deadline_at = _TIME(allow_null=True, help_text="Of an undo that is under way.")
    deadline_passed_at = _TIME(allow_null=True, help_text="When the alarm was raised.")


class PendingActRow(CamelSerializer):
    """What one person has asked for and a second one must ask for too."""

    kind = serializers.ChoiceField(choices=["COMPENSATE", "CANCEL"])
    by = _TEXT()
    reason = _TEXT()
    at = _TIME()
    until = _TIME()


class ExecutionDetail(ExecutionRow):
    """An execution."""

    waiting_on = _TEXT(help_text="One sentence; empty when it has ended.")
    input = JSONObject()
    output = JSONObject(allow_null=True)
    variables = JSONObject()
    steps = StepRow(many=True)
    next_steps = _TEXT(allow_null=True, help_text="Cursor for `steps`, when there are more.")
    ledger = LedgerRow(many=True)
    next_ledger = _TEXT(allow_null=True, help_text="Cursor for `ledger`, when there are more.")
    plan = StoredPlan(allow_null=True)
    pending_acts = PendingActRow(many=True)


class EventRow(CamelSerializer):
    """A fact about an execution."""

    seq = _NUMBER()
    at = _TIME()
    type = _TEXT()
    task_reference_name = _TEXT(required=False)
    step_id = _ID(required=False)
    # `data` is a name of the framework's own; the underscore does not go outside.
    data_ = JSONObject(required=False)


class TraceShape(CamelSerializer):
    """Everything that happened, in order."""

    events = EventRow(many=True)
    next = _TEXT(allow_null=True)


class CompensationRow(LedgerRow):
    """A ledger entry with the execution it belongs to."""

    execution_id = _ID()
    workflow_name = _TEXT()
    correlation_id = _TEXT()
    execution_state = _TEXT()
    amended_input = JSONObject(
        allow_null=True, help_text="What is sent in the place of what the definition maps."
    )
    original_input = JSONObject(allow_null=True, help_text="What the definition maps.")
