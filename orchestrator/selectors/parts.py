"""Who had a part in an execution: what an approval must keep apart (saga-semantics §7)."""

from dataclasses import dataclass

from orchestrator.models import Execution, ServiceAccount


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The people behind a run, and what it is."""

    workflow_id: int
    workflow_name: str
    correlation_id: str
    starter: str
    starter_is_person: bool
    publisher: str


def of_execution(execution_id: str) -> Parts:
    """Return who started the run's root and who published its version."""
    execution = Execution.objects.select_related("version__published_by").get(pk=execution_id)
    root = execution
    if execution.root_id != execution.pk:
        root = Execution.objects.filter(pk=execution.root_id).first() or execution
    starter_id = root.started_by_id
    is_person = starter_id is not None and not ServiceAccount.objects.filter(pk=starter_id).exists()
    publisher = execution.version.published_by
    return Parts(
        workflow_id=execution.workflow_id,
        workflow_name=execution.workflow_name,
        correlation_id=execution.correlation_id,
        starter=root.started_by,
        starter_is_person=is_person,
        publisher=publisher.get_username() if publisher else "",
    )
