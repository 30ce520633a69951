"""Every demo workflow can be simulated with the sample it is shown with."""

import pytest

from orchestrator.demo import catalogue, seed
from orchestrator.services import simulations

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quick_hashes(settings):
    """Hash passwords in no time: seeding makes seven people."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def test_every_workflow_gets_through_and_each_of_its_steps_is_failed():
    seed.seed()

    for name in [workflow.name for workflow in catalogue.workflows()]:
        told = simulations.simulate(actor=None, name=name)

        assert told["path"]["finalState"] == "COMPLETED", (name, told["path"])
        assert told["scenarios"], name
        assert told["notReached"] == [], name


def test_travel_is_undone_side_by_side_until_the_ticket_is_out():
    seed.seed()

    rows = simulations.simulate(actor=None, name="travel_booking")["scenarios"]

    ticket = next(row for row in rows if row["failureAt"] == "ticket")
    assert {entry["taskReferenceName"] for entry in ticket["entries"]} == {"flight", "hotel", "car"}
    assert all(entry["waitsFor"] == [] for entry in ticket["entries"])
    pairs = {(row["failureAt"], row["also"]["taskReferenceName"]) for row in rows if row["also"]}
    assert ("flight", "hotel") in pairs
