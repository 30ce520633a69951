"""What the approvals API takes and gives."""

from rest_framework import serializers


class DecideSerializer(serializers.Serializer):  # type: ignore[type-arg]  # no instance behind it
    """A decision on a request."""

    revision = serializers.IntegerField(min_value=1)
    decision = serializers.CharField(max_length=32)
    reason = serializers.CharField(max_length=2000, allow_blank=True, default="")


class ApprovalSerializer(serializers.Serializer):  # type: ignore[type-arg]  # no instance behind it
    """A request to approve an undo."""

    id = serializers.UUIDField()
    revision = serializers.IntegerField()
    state = serializers.CharField()
    level = serializers.IntegerField()
    executionId = serializers.UUIDField()  # noqa: N815 - a name on the wire
    entryId = serializers.UUIDField()  # noqa: N815
    workflowName = serializers.CharField()  # noqa: N815
    taskReferenceName = serializers.CharField()  # noqa: N815
    endpoint = serializers.CharField()
    input = serializers.JSONField()
    originalInput = serializers.JSONField()  # noqa: N815
    inputHash = serializers.CharField()  # noqa: N815
    amount = serializers.JSONField(allow_null=True)
    quorum = serializers.IntegerField()
    groups = serializers.ListField(child=serializers.CharField())
    deadlineAt = serializers.DateTimeField()  # noqa: N815
    votes = serializers.ListField(child=serializers.DictField())
