"""Reading the environment: defaults, what is refused, and the keys that are made once."""

import base64
import stat

import pytest

from orchestrator.config.env import BadEnvironment, read_environment

SECRET = "s" * 60
KEY = base64.b64encode(bytes(32)).decode()


def test_nothing_set_gives_an_embedded_installation(tmp_path):
    environment = read_environment({}, root=tmp_path)

    assert environment.role == "command"
    assert environment.data_dir == tmp_path / ".data"
    assert environment.database["NAME"] == str(tmp_path / ".data" / "db.sqlite3")
    assert environment.broker_url == "memory://"
    assert environment.embedded
    assert environment.is_loopback
    assert environment.port == 8000
    assert environment.shutdown_seconds == 30
    assert environment.coverage_floor == 0.5
    assert not environment.demo


def test_keys_are_made_once_and_only_their_owner_reads_them(tmp_path):
    first = read_environment({}, root=tmp_path)

    second = read_environment({}, root=tmp_path)

    assert second.secret_key == first.secret_key
    assert second.encryption_keys == first.encryption_keys
    for name in ("secret_key", "keys"):
        assert stat.S_IMODE((tmp_path / ".data" / name).stat().st_mode) == 0o600
    assert sorted(path.name for path in (tmp_path / ".data").iterdir()) == ["keys", "secret_key"]


def test_redis_is_the_broker_unless_another_is_named(tmp_path):
    shared = {"SECRET_KEY": SECRET, "AMENDS_ENCRYPTION_KEYS": f"k1:{KEY}"}

    plain = read_environment({"REDIS_URL": "redis://r:6379/1", **shared}, root=tmp_path)
    other = read_environment(
        {"REDIS_URL": "redis://r:6379/1", "CELERY_BROKER_URL": "amqp://b", **shared}, root=tmp_path
    )

    assert (plain.broker_url, plain.embedded) == ("redis://r:6379/1", False)
    assert (other.broker_url, other.redis_url) == ("amqp://b", "redis://r:6379/1")


def test_key_ring_keeps_its_order(tmp_path):
    newer = base64.b64encode(bytes([1] * 32)).decode()

    environment = read_environment(
        {"AMENDS_ENCRYPTION_KEYS": f"k2:{newer}, k1:{KEY}"}, root=tmp_path
    )

    assert environment.encryption_keys == (("k2", bytes([1] * 32)), ("k1", bytes(32)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "mysql://host/name"),
        ("DATABASE_URL", "postgres://host:port/name"),
        ("DATABASE_URL", "postgres://host"),
        ("REDIS_URL", "http://host"),
        ("CELERY_BROKER_URL", "sqs://"),
        ("SECRET_KEY", "short"),
        ("AMENDS_ENCRYPTION_KEYS", "k1:abc"),
        ("AMENDS_ENCRYPTION_KEYS", f"k1:{KEY},k1:{KEY}"),
        ("AMENDS_ROLE", "boss"),
        ("DEBUG", "maybe"),
        ("PORT", "0"),
        ("PORT", "eighty"),
        ("AMENDS_SHUTDOWN_SECONDS", "-1"),
        ("AMENDS_COVERAGE_FLOOR", "1.5"),
        ("AMENDS_COVERAGE_FLOOR", "half"),
        ("AMENDS_COVERAGE_FLOOR", "nan"),
        ("AMENDS_COVERAGE_FLOOR", "-0.1"),
        ("AMENDS_HANDLERS", "shop/steps"),
        ("AMENDS_HTTP_ALLOW", "10.0.0.0/99"),
        ("AMENDS_DATA_DIR", "/proc/nowhere"),
    ],
)
def test_bad_value_is_refused_in_one_sentence_that_names_it(tmp_path, name, value):
    with pytest.raises(BadEnvironment) as caught:
        read_environment({name: value}, root=tmp_path)

    assert str(caught.value).startswith(f"{name} ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["SECRET_KEY", "AMENDS_ENCRYPTION_KEYS"])
def test_shared_broker_needs_keys_that_all_processes_know(tmp_path, missing):
    given = {"SECRET_KEY": SECRET, "AMENDS_ENCRYPTION_KEYS": f"k1:{KEY}"}
    del given[missing]

    with pytest.raises(BadEnvironment, match=f"^{missing} is not set"):
        read_environment({"REDIS_URL": "redis://r", **given}, root=tmp_path)


def test_demo_stays_on_this_machine(tmp_path):
    with pytest.raises(BadEnvironment, match=r"^AMENDS_DEMO "):
        read_environment({"AMENDS_DEMO": "1", "ALLOWED_HOSTS": "example.org"}, root=tmp_path)
