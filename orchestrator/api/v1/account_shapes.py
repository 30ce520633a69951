"""Shapes of accounts, grants and the audit trail on the wire."""

from __future__ import annotations

from rest_framework import serializers

from orchestrator.access.roles import Role
from orchestrator.api.v1.serializers import CamelSerializer
from orchestrator.audit.export import FORMATS


class RightOnWorkflow(CamelSerializer):
    """One right with its reason."""

    name = serializers.CharField()
    because = serializers.CharField()


class RightsOnWorkflow(CamelSerializer):
    """The rights on one workflow."""

    workflow = serializers.CharField()
    permissions = RightOnWorkflow(many=True)


class Me(CamelSerializer):
    """The caller with all rights."""

    username = serializers.CharField()
    is_superuser = serializers.BooleanField()
    is_service_account = serializers.BooleanField()
    groups = serializers.ListField(child=serializers.CharField())
    permissions = serializers.ListField(child=serializers.CharField())
    workflows = RightsOnWorkflow(many=True)


class NewUser(CamelSerializer):
    """A person to be created."""

    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=1024, write_only=True, trim_whitespace=False)
    groups = serializers.ListField(child=serializers.CharField(), default=list)


class UserChange(CamelSerializer):
    """What to change of a person."""

    is_active = serializers.BooleanField(required=False)
    groups = serializers.ListField(child=serializers.CharField(), required=False)


class UserShape(CamelSerializer):
    """A person."""

    username = serializers.CharField()
    is_active = serializers.BooleanField()
    groups = serializers.ListField(child=serializers.CharField())


class NewServiceAccount(CamelSerializer):
    """A program's account to be created."""

    name = serializers.CharField(max_length=150)


class ServiceAccountKey(CamelSerializer):
    """A key as it is shown once."""

    name = serializers.CharField()
    key_id = serializers.CharField()
    key_secret = serializers.CharField()


class GrantShape(CamelSerializer):
    """A role of a user or of a group."""

    user = serializers.CharField(required=False)
    group = serializers.CharField(required=False)
    role = serializers.ChoiceField(choices=[role.value for role in Role])


class Grants(CamelSerializer):
    """All roles on a workflow."""

    grants = GrantShape(many=True)


class AuditEntryShape(CamelSerializer):
    """One act."""

    seq = serializers.IntegerField()
    at = serializers.DateTimeField()
    actor = serializers.CharField()
    on_behalf_of = serializers.CharField(allow_null=True)
    key_id = serializers.CharField(allow_null=True)
    address = serializers.CharField(allow_null=True)
    request_id = serializers.CharField(allow_null=True)
    action = serializers.CharField()
    subject = serializers.CharField()
    subject_type = serializers.CharField()
    workflow = serializers.CharField(allow_null=True)
    result = serializers.CharField()
    reason = serializers.CharField()
    changes = serializers.JSONField(allow_null=True)
    previous_hash = serializers.CharField()
    hash = serializers.CharField()


class AuditFilters(CamelSerializer):
    """What to look for in the trail; empty means all."""

    subject = serializers.CharField(required=False, default="", allow_blank=True)
    action = serializers.CharField(required=False, default="", allow_blank=True)
    actor = serializers.CharField(required=False, default="", allow_blank=True)
    text = serializers.CharField(required=False, default="", allow_blank=True)


class AuditExportQuery(AuditFilters):
    """What to take away, and how."""

    format = serializers.ChoiceField(required=False, default="csv", choices=FORMATS)


class ChainVerdict(CamelSerializer):
    """Whether the chain of entries holds."""

    ok = serializers.BooleanField()
    checked = serializers.IntegerField()
    broken_at = serializers.IntegerField(allow_null=True)
    problem = serializers.CharField(allow_blank=True)
