"""Row locks of everything that is no execution: workflows, users, task definitions.

Executions are locked by `load.lock_executions`, first and in one order (reliability.md §5.3).
"""

from typing import TypeVar

from django.db.models import Model, QuerySet

_Row = TypeVar("_Row", bound=Model)


def locked(rows: QuerySet[_Row]) -> QuerySet[_Row]:
    """Lock the rows that are read, until the transaction ends; keys stay free for references."""
    return rows.select_for_update(of=("self",), no_key=True)
