"""Celery's settings: what the promise rests on, and what each broker gets."""

from orchestrator.config.broker import BASE, broker_settings


def test_messages_are_acknowledged_early_and_hold_no_results():
    assert BASE["task_acks_late"] is False
    assert BASE["result_backend"] is None
    assert BASE["task_publish_retry"] is False
    assert BASE["accept_content"] == ["json"]
    assert BASE["worker_enable_remote_control"] is False


def test_web_process_does_not_wait_long_for_a_frozen_redis():
    web = broker_settings(url="redis://r", role="web")
    worker = broker_settings(url="redis://r", role="worker")

    assert web["broker_transport_options"]["socket_timeout"] == 1
    assert worker["broker_transport_options"]["socket_timeout"] == 5
    assert worker["broker_transport_options"]["visibility_timeout"] == 300


def test_broker_in_the_process_is_asked_often():
    embedded = broker_settings(url="memory://", role="embedded")

    assert embedded["broker_transport_options"] == {"polling_interval": 0.01}
    assert embedded["worker_disable_prefetch"] is False


def test_disabled_prefetch_is_for_redis_only():
    assert broker_settings(url="amqp://b", role="worker") == {
        "broker_url": "amqp://b",
        "worker_disable_prefetch": False,
    }
