"""What the designer's calls take and give."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

NOTE_LIMIT = 4_000


@extend_schema_field({"type": "object", "additionalProperties": True})
class Document(serializers.Field[Any, Any, Any, Any]):
    """A definition document: any JSON object; what is wrong in it is no reason not to save it."""

    default_error_messages = {"not_an_object": "A definition is an object."}

    def to_internal_value(self, data: Any) -> Any:
        """Take an object as it is."""
        if not isinstance(data, dict):
            self.fail("not_an_object")
        return data

    def to_representation(self, value: Any) -> Any:
        """Give it as it is."""
        return value


class CreateBody(serializers.Serializer[Any]):
    """A workflow to create."""

    name = serializers.CharField(max_length=255)
    definition = Document(required=False, default=None)


class DraftBody(serializers.Serializer[Any]):
    """A draft to save."""

    revision = serializers.CharField(max_length=64, help_text="The one you have seen.")
    definition = Document()


class DiscardBody(serializers.Serializer[Any]):
    """A draft to throw away."""

    revision = serializers.CharField(max_length=64)


class PublishBody(serializers.Serializer[Any]):
    """A draft to publish."""

    revision = serializers.CharField(max_length=64)
    note = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=NOTE_LIMIT
    )


class DraftShape(serializers.Serializer[Any]):
    """A draft."""

    revision = serializers.CharField(help_text="Opaque; another one after every change.")
    definition = Document()
    changed = serializers.BooleanField(help_text="It holds work that is in no version.")


class CreatedShape(DraftShape):
    """A new workflow with its draft."""

    name = serializers.CharField()


class PublishedShape(serializers.Serializer[Any]):
    """A new version."""

    version = serializers.IntegerField()
    hash = serializers.CharField()
    problems = serializers.ListField(child=Document(), help_text="Warnings.")
