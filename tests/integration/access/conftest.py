"""People, groups and workflows for the tests of rights."""

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.db import transaction
from django.test import Client
from pytest_django import Settings

from orchestrator.access import grants
from orchestrator.access.grants import Grant
from orchestrator.access.roles import Role
from orchestrator.models import Workflow
from orchestrator.services import accounts


@pytest.fixture(autouse=True)
def _counters_at_zero() -> Iterator[None]:
    """Let no test be throttled for what another one tried."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Settings) -> None:
    """Spend no time on what slows down who steals the hashes."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def person(db: None) -> Callable[..., User]:
    """Make a person, in groups and as superuser if wanted."""

    def make(name: str, *groups: str, superuser: bool = False, password: str = "") -> User:
        user = User.objects.create_user(name, password=password or None, is_superuser=superuser)
        user.groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])
        return user

    return make


@pytest.fixture
def workflow(db: None) -> Workflow:
    """Return a workflow on which nobody has a role."""
    return Workflow.objects.create(name="orders")


@pytest.fixture
def give() -> Callable[[Workflow, User, Role], None]:
    """Give somebody a role."""

    def do(workflow: Workflow, user: User, role: Role) -> None:
        with transaction.atomic():
            grants.give(None, workflow, Grant(role=role, user_id=user.pk, name=user.username))

    return do


@pytest.fixture
def signed_in() -> Callable[[User], Client]:
    """Return a browser session of somebody, in which CSRF tokens are checked as for real."""

    def make(user: User) -> Client:
        client = Client(raise_request_exception=False)
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return make


@pytest.fixture
def key_of(db: None) -> Callable[..., dict[str, str]]:
    """Return the headers of a program with an account and a token of its own."""

    def make(name: str) -> dict[str, str]:
        key = accounts.create_service_account(actor=None, name=name)
        token = accounts.exchange_key(
            key_id=key.key_id, secret=key.key_secret, address="198.51.100.1"
        )
        return {"X-Authorization": token}

    return make
