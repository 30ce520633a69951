"""What our own API takes and gives: JSON names are camelCase, Python's are not.

Answers are made by selectors as they are; their serializers here are the documentation of the
shapes, and a test holds the two together.
"""

from typing import Any, TypeVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from orchestrator.selectors.errors import Malformed

S = TypeVar("S", bound="CamelSerializer")
REASON_LIMIT = 2_000


def camel(name: str) -> str:
    """Return the JSON name of a Python name."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


class CamelSerializer(serializers.Serializer[Any]):
    """A serializer whose fields go by camelCase names outside."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return the fields by their outside names."""
        fields = {}
        for name, field in super().get_fields().items():
            outside = camel(name)
            if outside != name and field.source is None:
                field.source = name
            fields[outside] = field
        return fields


@extend_schema_field({})
class AnyJSON(serializers.Field[Any, Any, Any, Any]):
    """Any JSON value; the parser has already looked at it."""

    def to_internal_value(self, data: Any) -> Any:
        """Take it as it is."""
        return data

    def to_representation(self, value: Any) -> Any:
        """Give it as it is."""
        return value


@extend_schema_field({"type": "object", "additionalProperties": True})
class JSONObject(AnyJSON):
    """A JSON object."""

    default_error_messages = {"not_an_object": "This must be an object."}

    def to_internal_value(self, data: Any) -> Any:
        """Take an object as it is."""
        if not isinstance(data, dict):
            self.fail("not_an_object")
        return data


def body(kind: type[S], request: Request) -> dict[str, Any]:
    """Return the validated body of a request, or raise what becomes a 422."""
    given = kind(data=request.data)
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)


def query(kind: type[S], request: Request) -> dict[str, Any]:
    """Return the validated query of a request, or raise `Malformed`."""
    from_query = kind(data=request.query_params)
    if not from_query.is_valid():
        name, messages = next(iter(from_query.errors.items()))
        raise Malformed(f"{name}: {messages[0]}")
    return dict(from_query.validated_data)


class ReasonBody(CamelSerializer):
    """Why somebody does something that is answered for."""

    reason = serializers.CharField(max_length=REASON_LIMIT)


class ProblemRow(CamelSerializer):
    """One thing wrong with a definition."""

    severity = serializers.ChoiceField(choices=("error", "warning"))
    code = serializers.CharField()
    path = serializers.CharField(help_text="JSON pointer into the definition.")
    task_reference_name = serializers.CharField()
    message = serializers.CharField()
    waived = serializers.CharField(required=False)


class ProblemDocument(CamelSerializer):
    """A refusal (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    instance = serializers.CharField()
    problems = ProblemRow(many=True, required=False)
