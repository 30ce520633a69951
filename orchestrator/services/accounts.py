"""Users, service accounts and the tokens that their keys are exchanged for."""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from orchestrator.access import policy
from orchestrator.access.limits import Limit
from orchestrator.audit import log
from orchestrator.models import ApiKey, ApiToken, ServiceAccount
from orchestrator.selectors.accounts import digest_of
from orchestrator.services.errors import Conflict, Invalid, NotFound, Unauthenticated
from orchestrator.store.locks import locked

if TYPE_CHECKING:
    from collections.abc import Sequence

TOKEN_LIFE = timedelta(hours=1)
# Kept a while after they end, so that a client is told "expired" instead of "unknown".
TOKEN_MEMORY = timedelta(days=1)
GUESSES_PER_ADDRESS = Limit(name="token-address", times=30, seconds=60)
GUESSES_PER_KEY = Limit(name="token-key", times=30, seconds=60)
_NAME = re.compile(r"[\w.@+-]{1,150}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key as it is shown once."""

    name: str
    key_id: str
    key_secret: str


@transaction.atomic(durable=True)
def create_user(
    *, actor: User | None, username: str, password: str, groups: Sequence[str] = ()
) -> User:
    """Create a person who signs in with a password."""
    policy.require_superuser(actor)
    _check_name(username, "/username")
    found = _groups(groups)
    user = User(username=username)
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(
            " ".join(error.messages), [_problem("/password", error.messages[0])]
        ) from error
    user.set_password(password)
    _insert(user)
    user.groups.set(found)
    log.record("user.create", username, actor, changes={"groups": sorted(groups)})
    return user


@transaction.atomic(durable=True)
def change_user(
    *,
    actor: User | None,
    username: str,
    is_active: bool | None = None,
    groups: Sequence[str] | None = None,
) -> User:
    """Activate or deactivate a user or set their groups; counts from their next request on."""
    policy.require_superuser(actor)
    user = locked(User.objects.filter(username=username)).first()
    if user is None:
        raise NotFound(f"There is no user named {username}.")
    changes: dict[str, object] = {}
    if is_active is not None and is_active != user.is_active:
        _check_not_last_superuser(user)
        user.is_active = is_active
        user.save(update_fields=["is_active"])
        changes["isActive"] = is_active
        if not is_active:
            ApiToken.objects.filter(api_key__user=user).delete()
    if groups is not None:
        user.groups.set(_groups(groups))
        changes["groups"] = sorted(groups)
    log.record("user.change", username, actor, changes=changes)
    return user


@transaction.atomic(durable=True)
def create_service_account(*, actor: User | None, name: str) -> NewKey:
    """Create a program's account with its first key; it has no rights until it gets a role."""
    policy.require_superuser(actor)
    _check_name(name, "/name")
    user = User(username=name)
    user.set_unusable_password()
    _insert(user)
    ServiceAccount.objects.create(user=user, owner=actor)
    key = NewKey(name=name, key_id=secrets.token_hex(12), key_secret=secrets.token_urlsafe(32))
    ApiKey.objects.create(user=user, key_id=key.key_id, secret_hash=digest_of(key.key_secret))
    log.record("service_account.create", name, actor, changes={"keyId": key.key_id})
    return key


@transaction.atomic(durable=True)
def ensure_service_account(*, name: str, key_id: str, secret: str) -> User:
    """Make sure that a service account with this key exists; safe to call again."""
    user, is_new = User.objects.get_or_create(username=name)
    if is_new:
        user.set_unusable_password()
        user.save(update_fields=["password"])
        log.record("service_account.create", name, None, changes={"keyId": key_id})
    ServiceAccount.objects.get_or_create(user=user)
    ApiKey.objects.update_or_create(
        key_id=key_id, defaults={"user": user, "secret_hash": digest_of(secret)}
    )
    return user


def exchange_key(*, key_id: str, secret: str, address: str) -> str:
    """Return a new token for a key and its secret.

    Only failures count towards the limits: client packages sign in once per process and object,
    and a guesser beside them must not shut them out. One key that is guessed at from one address
    is closed for that address; a whole address is merely told to wait.

    Raises:
        Unauthenticated: Key or secret is wrong, or no longer counts.
        TooMany: Too many wrong ones before.
    """
    subject = f"{address}\n{key_id}"
    if GUESSES_PER_KEY.is_reached(subject):
        raise GUESSES_PER_KEY.refusal()
    token = _exchange(key_id=key_id, secret=secret)
    if token is not None:
        return token
    GUESSES_PER_KEY.hit(subject)
    if GUESSES_PER_ADDRESS.hit(address):
        raise GUESSES_PER_ADDRESS.refusal()
    raise Unauthenticated("Key or secret is wrong.", error="INVALID_TOKEN")


@transaction.atomic(durable=True)
def forget_expired_tokens() -> int:
    """Delete tokens that ended a day ago; called now and then by whoever tidies up."""
    deleted, _ = ApiToken.objects.filter(expires_at__lt=timezone.now() - TOKEN_MEMORY).delete()
    return deleted


@transaction.atomic(durable=True)
def _exchange(*, key_id: str, secret: str) -> str | None:
    now = timezone.now()
    key = ApiKey.objects.select_related("user").filter(key_id=key_id).first()
    expected = key.secret_hash if key is not None else digest_of("")
    matches = hmac.compare_digest(expected, digest_of(secret))
    if key is None or not matches or not _counts(key):
        return None
    token = secrets.token_urlsafe(32)
    ApiToken.objects.filter(api_key=key, expires_at__lt=now - TOKEN_MEMORY).delete()
    ApiToken.objects.create(token_hash=digest_of(token), api_key=key, expires_at=now + TOKEN_LIFE)
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return token


def _counts(key: ApiKey) -> bool:
    is_over = key.expires_at is not None and key.expires_at <= timezone.now()
    return key.user.is_active and key.revoked_at is None and not is_over


def _insert(user: User) -> None:
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict(f"There is a user named {user.username} already.") from error


def _check_name(name: str, path: str) -> None:
    if not _NAME.fullmatch(name):
        message = "A name has 1 to 150 letters, digits or any of @ . + - _."
        raise Invalid(message, [_problem(path, message)])


def _check_not_last_superuser(user: User) -> None:
    others = User.objects.filter(is_superuser=True, is_active=True).exclude(pk=user.pk)
    if user.is_superuser and user.is_active and not others.exists():
        raise Conflict("This is the last active superuser; make another one first.")


def _groups(names: Sequence[str]) -> list[Group]:
    found = {group.name: group for group in Group.objects.filter(name__in=names)}
    unknown = [name for name in names if name not in found]
    if unknown:
        message = f"There is no group named {unknown[0]}."
        raise Invalid(message, [_problem(f"/groups/{list(names).index(unknown[0])}", message)])
    return list(found.values())


def _problem(path: str, message: str) -> dict[str, object]:
    return {"severity": "error", "code": "invalid", "path": path, "message": message}
