"""Calling the command and reading what it said."""

from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.integration.api.conftest import (
    forget_definitions,
    give_role,
    make_user,
    make_workflow,
    superuser,
)

__all__ = ["forget_definitions", "give_role", "make_user", "make_workflow", "superuser"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def workflow_command(db: None) -> Callable[..., Said]:
    """Call `manage.py workflow …`."""

    def call(*arguments: Any) -> Said:
        out, err, code = StringIO(), StringIO(), 0
        try:
            call_command("workflow", *map(str, arguments), stdout=out, stderr=err)
        except SystemExit as ended:
            code = int(ended.code or 0)
        except CommandError as refused:
            # What `manage.py` itself makes of it.
            err.write(str(refused))
            code = refused.returncode
        return Said(code=code, out=out.getvalue(), err=err.getvalue())

    return call
