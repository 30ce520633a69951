"""Who may do what on a workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.access import grants
from orchestrator.selectors.workflows import find_workflow

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def workflow_grants(*, actor: User | None, name: str) -> list[dict[str, str]]:
    """Return the roles given on a workflow, for everybody who may see it.

    Raises:
        NotFound: There is no such workflow to be seen.
    """
    return [grant.public for grant in grants.grants_of(find_workflow(actor=actor, name=name))]
