"""People and clients of the designer's tests."""

from tests.integration.api.conftest import (
    client_of,
    forget_definitions,
    give_role,
    make_user,
    make_workflow,
    superuser,
)

__all__ = [
    "client_of",
    "forget_definitions",
    "give_role",
    "make_user",
    "make_workflow",
    "superuser",
]
