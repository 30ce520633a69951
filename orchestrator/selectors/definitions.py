"""What reads need to know about a version's definition, found once per process."""

from functools import lru_cache

from orchestrator.engine.definition import document as documents
from orchestrator.engine.definition import graph
from orchestrator.models import WorkflowVersion


@lru_cache(maxsize=256)
def undos_of_several_steps(*, version_id: int, checksum: str) -> frozenset[str]:
    """Return the references of undo and confirm steps whose keys carry them (saga-semantics §12).

    What a version says never changes, so the answer holds.
    """
    stored = WorkflowVersion.objects.values_list("document", flat=True).get(
        pk=version_id, checksum=checksum
    )
    definition = documents.parse(stored, inline=True).definition
    if definition is None:
        return frozenset()
    return frozenset(
        reference for step in graph.inner_steps(definition.tasks) for reference in step.keyed
    )
