"""Settings of Celery and its broker: messages are wake-ups, and losing one costs time only."""

from typing import Any

from django.conf import settings

BASE: dict[str, Any] = {
    "accept_content": ["json"],
    "task_serializer": "json",
    "result_backend": None,
    "task_ignore_result": True,
    # Early acknowledgement: a redelivered message could only meet a lease that still runs.
    "task_acks_late": False,
    "task_reject_on_worker_lost": False,
    # A request must not wait for a dead broker; the row is what counts, and repair rings again.
    "task_publish_retry": False,
    "task_default_queue": "default",
    "task_soft_time_limit": 90,
    "task_time_limit": 120,
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": True,
    "worker_max_tasks_per_child": 5000,
    "worker_max_memory_per_child": 400_000,
    "worker_proc_alive_timeout": 30.0,
    "worker_soft_shutdown_timeout": 20.0,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_enable_remote_control": False,
    "worker_send_task_events": False,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    "broker_connection_timeout": 2.0,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_heartbeat": 0,
    "enable_utc": True,
    "timezone": "UTC",
    # Keeps Celery's Django fixup from closing the connection after every task.
    "CELERY_DB_REUSE_MAX": 10_000,
}

REDIS_TRANSPORT: dict[str, Any] = {
    "visibility_timeout": 300,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
WEB_SOCKET_TIMEOUT = 1

# The default of one second would make a lone step wait most of it.
MEMORY_TRANSPORT: dict[str, Any] = {"polling_interval": 0.01}


def broker_settings(*, url: str, role: str) -> dict[str, Any]:
    """Return address and transport options of the broker for a process of this role."""
    scheme = url.partition(":")[0]
    if scheme == "memory":
        # Threads have no hard limits: whoever makes a call keeps its deadline.
        return {
            "broker_url": "memory://localhost/",
            "broker_transport_options": MEMORY_TRANSPORT,
            "worker_disable_prefetch": False,
            "task_soft_time_limit": None,
            "task_time_limit": None,
        }
    if scheme in {"redis", "rediss", "unix"}:
        timeout = WEB_SOCKET_TIMEOUT if role == "web" else REDIS_TRANSPORT["socket_timeout"]
        return {
            "broker_url": url.replace("unix://", "redis+socket://", 1),
            "broker_transport_options": {**REDIS_TRANSPORT, "socket_timeout": timeout},
        }
    return {"broker_url": url, "worker_disable_prefetch": False}


SETTINGS: dict[str, Any] = {
    **BASE,
    **broker_settings(url=settings.AMENDS_BROKER_URL, role=settings.AMENDS_ROLE),
}
