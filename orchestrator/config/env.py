"""Typed reading of the environment; a bad value is refused with one sentence that names it."""

import base64
import binascii
import ipaddress
import os
import re
import secrets
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

ROLES = ("web", "worker", "embedded", "command")
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")
DATABASE_SCHEMES = ("postgres", "postgresql", "sqlite")
REDIS_SCHEMES = ("redis", "rediss", "unix")
BROKER_SCHEMES = ("redis", "rediss", "unix", "amqp", "amqps", "memory")
ENCRYPTION_KEY_BYTES = 32
MINIMUM_SECRET_LENGTH = 50
TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off", ""})


class BadEnvironment(ImproperlyConfigured):
    """An environment variable has a value the project cannot start with."""

    def __init__(self, name: str, sentence: str) -> None:
        """Keep the name of the variable, and say what is wrong with it."""
        super().__init__(f"{name} {sentence}")
        self.name = name


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Everything the environment decides, checked and typed."""

    role: str
    """What this process is: web, worker, embedded (all in one) or a command."""
    data_dir: Path
    database: dict[str, Any]
    """Engine, name and address; options are added by the settings."""
    redis_url: str | None
    broker_url: str
    secret_key: str
    encryption_keys: tuple[tuple[str, bytes], ...]
    """Key ring: the first key writes, all of them read."""
    allowed_hosts: tuple[str, ...]
    debug: bool
    shutdown_seconds: int
    handlers: tuple[str, ...]
    """Python modules with step handlers."""
    http_allow: tuple[str, ...]
    """Private networks that HTTP steps may reach."""
    coverage_floor: float
    """The least share of steps with an effect that must be undoable, else W12 warns."""
    demo: bool
    port: int
    log_level: str

    @property
    def embedded(self) -> bool:
        """Whether the broker lives in this process, so that no other process reads it."""
        return self.broker_url.startswith("memory:")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the pages, so that plain HTTP is allowed."""
        return all(host in LOOPBACK_HOSTS for host in self.allowed_hosts)


def read_environment(variables: Mapping[str, str], *, root: Path) -> Environment:
    """Read and check every variable; raise `BadEnvironment` at the first one that is wrong."""
    data_dir = _data_dir(variables, root)
    redis_url = _url(variables, "REDIS_URL", REDIS_SCHEMES)
    broker_url = _url(variables, "CELERY_BROKER_URL", BROKER_SCHEMES) or redis_url or "memory://"
    shared = not broker_url.startswith("memory:")
    demo = _flag(variables, "AMENDS_DEMO")
    hosts = _words(variables, "ALLOWED_HOSTS") or LOOPBACK_HOSTS
    if demo and not all(host in LOOPBACK_HOSTS for host in hosts):
        raise BadEnvironment(
            "AMENDS_DEMO", "may be on only while ALLOWED_HOSTS names nothing but loopback."
        )
    return Environment(
        role=_choice(variables, "AMENDS_ROLE", ROLES, default="command"),
        data_dir=data_dir,
        database=_database(variables, data_dir),
        redis_url=redis_url,
        broker_url=broker_url,
        secret_key=_secret_key(variables, data_dir, shared=shared),
        encryption_keys=_encryption_keys(variables, data_dir, shared=shared),
        allowed_hosts=tuple(hosts),
        debug=_flag(variables, "DEBUG"),
        shutdown_seconds=_number(
            variables, "AMENDS_SHUTDOWN_SECONDS", default=30, lowest=1, highest=3600
        ),
        handlers=_modules(variables),
        http_allow=_networks(variables),
        coverage_floor=_share(variables, "AMENDS_COVERAGE_FLOOR", default=0.5),
        demo=demo,
        port=_number(variables, "PORT", default=8000, lowest=1, highest=65535),
        log_level=_choice(
            variables, "AMENDS_LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO"
        ),
    )


def _text(variables: Mapping[str, str], name: str) -> str:
    return variables.get(name, "").strip()


def _words(variables: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in _text(variables, name).split(",") if word.strip())


def _flag(variables: Mapping[str, str], name: str) -> bool:
    word = _text(variables, name).lower()
    if word not in TRUE_WORDS | FALSE_WORDS:
        raise BadEnvironment(name, f"is {word!r}; use 1 or 0.")
    return word in TRUE_WORDS


def _choice(
    variables: Mapping[str, str], name: str, allowed: tuple[str, ...], *, default: str
) -> str:
    word = _text(variables, name) or default
    if word not in allowed:
        raise BadEnvironment(name, f"is {word!r}; use one of {', '.join(allowed)}.")
    return word


def _share(variables: Mapping[str, str], name: str, *, default: float) -> float:
    word = _text(variables, name)
    if not word:
        return default
    # Digits and a point, so that no `nan`, `1e-1` or `5_0` gets in.
    if not re.fullmatch(r"\d{1,3}(\.\d{1,9})?", word, re.ASCII) or float(word) > 1:
        raise BadEnvironment(name, f"is {word!r}, not a share from 0 to 1, such as 0.5.")
    return float(word)


def _number(
    variables: Mapping[str, str], name: str, *, default: int, lowest: int, highest: int
) -> int:
    word = _text(variables, name) or str(default)
    if not (word.isascii() and word.isdigit() and lowest <= int(word) <= highest):
        raise BadEnvironment(name, f"is {word!r}; use a whole number from {lowest} to {highest}.")
    return int(word)


def _url(variables: Mapping[str, str], name: str, schemes: tuple[str, ...]) -> str | None:
    url = _text(variables, name)
    if not url:
        return None
    if url.partition("://")[0] not in schemes or "://" not in url:
        raise BadEnvironment(name, f"is not a URL that starts with {_schemes(schemes)}.")
    try:
        port = urlsplit(url).port
    except ValueError:
        port = 0
    if port == 0:
        raise BadEnvironment(name, "names a port that is not a number from 1 to 65535.")
    return url


def _schemes(schemes: tuple[str, ...]) -> str:
    return " or ".join(f"{scheme}://" for scheme in schemes)


def _data_dir(variables: Mapping[str, str], root: Path) -> Path:
    folder = Path(_text(variables, "AMENDS_DATA_DIR") or root / ".data").expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadEnvironment("AMENDS_DATA_DIR", f"cannot be made: {error.strerror}.") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BadEnvironment("AMENDS_DATA_DIR", "is a folder this user may not write to.")
    return folder


def _database(variables: Mapping[str, str], data_dir: Path) -> dict[str, Any]:
    url = _url(variables, "DATABASE_URL", DATABASE_SCHEMES)
    if url is None:
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(data_dir / "db.sqlite3")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parsed = dict(environ.Env.db_url_config(url))
    if not parsed.get("ENGINE") or not parsed.get("NAME"):
        raise BadEnvironment("DATABASE_URL", "names no database after the host.")
    return parsed


def _secret_key(variables: Mapping[str, str], data_dir: Path, *, shared: bool) -> str:
    key = _text(variables, "SECRET_KEY")
    if not key:
        if shared:
            raise BadEnvironment(
                "SECRET_KEY", "is not set, and must be the same for every process."
            )
        key = _kept(data_dir / "secret_key", secrets.token_urlsafe(64))
    if len(key) < MINIMUM_SECRET_LENGTH:
        raise BadEnvironment("SECRET_KEY", f"is shorter than {MINIMUM_SECRET_LENGTH} characters.")
    return key


def _encryption_keys(
    variables: Mapping[str, str], data_dir: Path, *, shared: bool
) -> tuple[tuple[str, bytes], ...]:
    words = _words(variables, "AMENDS_ENCRYPTION_KEYS")
    if not words:
        if shared:
            raise BadEnvironment(
                "AMENDS_ENCRYPTION_KEYS", "is not set, and must be the same for every process."
            )
        fresh = base64.b64encode(secrets.token_bytes(ENCRYPTION_KEY_BYTES)).decode()
        words = tuple(_kept(data_dir / "keys", f"k1:{fresh}").split(","))
    keys = tuple(_encryption_key(word.strip()) for word in words)
    if len({identity for identity, _ in keys}) != len(keys):
        raise BadEnvironment("AMENDS_ENCRYPTION_KEYS", "gives the same id to two keys.")
    return keys


def _encryption_key(word: str) -> tuple[str, bytes]:
    identity, _, encoded = word.partition(":")
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not identity or len(key) != ENCRYPTION_KEY_BYTES:
        raise BadEnvironment(
            "AMENDS_ENCRYPTION_KEYS",
            f"must be a comma list of id:base64 with {ENCRYPTION_KEY_BYTES} bytes each.",
        )
    return identity, key


def _kept(path: Path, fresh: str) -> str:
    """Return what the file holds; the first process writes it, readable by its user only.

    Written aside and linked into place, so that two processes that start at the same time
    agree on one value and neither reads half of it.
    """
    if not path.exists():
        aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(fresh + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(aside)
        except FileExistsError:
            pass
        finally:
            aside.unlink()
    return path.read_text(encoding="ascii").strip()


def _modules(variables: Mapping[str, str]) -> tuple[str, ...]:
    modules = _words(variables, "AMENDS_HANDLERS")
    for module in modules:
        if not all(part.isidentifier() for part in module.split(".")):
            raise BadEnvironment(
                "AMENDS_HANDLERS", f"holds {module!r}, which is no name of a Python module."
            )
    return modules


def _networks(variables: Mapping[str, str]) -> tuple[str, ...]:
    networks = _words(variables, "AMENDS_HTTP_ALLOW")
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise BadEnvironment(
                "AMENDS_HTTP_ALLOW", f"holds {network!r}, which is no network such as 10.0.0.0/8."
            ) from error
    return networks
