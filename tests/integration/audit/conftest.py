"""Acts to read about, and people who may or may not."""

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.db import transaction
from django.test import Client

from orchestrator.access import grants
from orchestrator.access.grants import Grant
from orchestrator.access.roles import Role
from orchestrator.audit import log
from orchestrator.models import Workflow


@pytest.fixture(autouse=True)
def _counters_at_zero():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def acts(db):
    """Two workflows with two acts each, and one act about neither."""
    with transaction.atomic():
        for name in ("orders", "travel"):
            Workflow.objects.create(name=name)
            log.record("workflow.create", name, None)
            log.record("execution.cancel", f"run-of-{name}", None, workflow=name, reason="=1+1")
        log.record("user.create", "ada", None)


@pytest.fixture
def reader(acts):
    """Return a session of somebody with a role on `orders`, or with a right on the whole trail."""

    def make(kind: str) -> Client:
        user = User.objects.create_user(kind.replace(" ", "-"))
        if kind == "superuser":
            user.is_superuser = True
            user.save()
        elif kind == "auditor":
            user.user_permissions.add(Permission.objects.get(codename="read_audit"))
        elif kind != "stranger":
            workflow = Workflow.objects.get(name="orders")
            with transaction.atomic():
                grants.give(None, workflow, Grant(role=Role(kind), user_id=user.pk, name="x"))
        client = Client()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return make
