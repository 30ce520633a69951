"""Many who append at once: one chain without gaps, and nobody waits for ever."""

import threading

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from orchestrator.access import grants
from orchestrator.access.grants import Grant
from orchestrator.access.roles import Role
from orchestrator.audit import log, selectors
from orchestrator.audit.models import AuditEntry, AuditHead
from orchestrator.audit.selectors import Verdict
from orchestrator.models import Workflow, WorkflowRole

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*acts):
    """Run the acts in threads that begin together, each with a connection of its own."""
    barrier = threading.Barrier(len(acts))
    failures = []

    def run(act):
        try:
            barrier.wait(timeout=10)
            act()
        except Exception as error:  # noqa: BLE001  # told by the assertion below
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert failures == []


def append_ten():
    for number in range(10):
        with transaction.atomic():
            log.record("draft.save", "orders", None, reason=str(number))


def test_chain_has_no_fork_and_no_gap():
    at_once(append_ten, append_ten, append_ten, append_ten)

    assert selectors.verify() == Verdict(ok=True, checked=40)


def test_first_two_entries_make_one_head():
    AuditHead.objects.all().delete()

    at_once(append_ten, append_ten)

    assert AuditHead.objects.count() == 1
    assert selectors.verify() == Verdict(ok=True, checked=20)


def test_two_admins_who_take_each_other_away():
    workflow = Workflow.objects.create(name="orders")
    first, second = (User.objects.create_user(name) for name in ("first", "second"))
    of_first, of_second = (
        Grant(role=Role.ADMIN, user_id=user.pk, name=user.username) for user in (first, second)
    )
    with transaction.atomic():
        grants.give(None, workflow, of_first)
        grants.give(None, workflow, of_second)

    def take(actor, grant):
        def act():
            with transaction.atomic():
                grants.take(actor, workflow, grant)

        return act

    at_once(take(first, of_second), take(second, of_first))

    assert WorkflowRole.objects.filter(workflow=workflow, role="admin").count() == 1
    assert AuditEntry.objects.filter(action="grants.change").count() == 3
