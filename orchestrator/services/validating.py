"""What publishing would say about a definition; nothing is changed."""

from typing import TYPE_CHECKING, Any

from orchestrator.access import policy
from orchestrator.access.permissions import Permission
from orchestrator.engine.canonical import JSONValue
from orchestrator.services import checks, facts, versions

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def validate(
    *, document: JSONValue, name: str | None = None, actor: "User | None" = None
) -> dict[str, Any]:
    """Return every problem of a document and how much of it can be undone, as the API shows them.

    Args:
        document: What somebody wants to publish.
        name: The workflow it is for; the actor must be allowed to validate there.
        actor: Who asks.

    Raises:
        NotFound: There is no such workflow to be seen.
        Forbidden: The actor may see it but not validate.
    """
    if name is not None:
        policy.require(actor, Permission.SIMULATE_WORKFLOW, versions.find_workflow(name))
    checked = checks.examine(document=document)
    found = checked.definition
    return {
        "problems": checks.public(checked.problems),
        "coverage": facts.coverage_of(found).public() if found is not None else None,
    }
