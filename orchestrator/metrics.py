"""What Prometheus may know: counters, gauges and times, without ids and without user text.

Processes that share `PROMETHEUS_MULTIPROC_DIR` add up; the variable must be set before this
module is imported, which the commands `web` and `worker` see to.
"""

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
    start_http_server,
)

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PORT_VARIABLE = "AMENDS_METRICS_PORT"
TEXT_TYPE = CONTENT_TYPE_LATEST

SHORT_TIMES = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

EXECUTIONS_STARTED = Counter("amends_executions_started_total", "Executions started.", ["workflow"])
EXECUTIONS_ENDED = Counter(
    "amends_executions_ended_total", "Executions that reached a final state.", ["workflow", "state"]
)
TRANSITIONS = Counter(
    "amends_transitions_total", "Commands applied to executions, by kind.", ["kind"]
)
ATTEMPTS = Counter(
    "amends_step_attempts_total",
    "Attempts ended, by direction and outcome.",
    ["direction", "outcome"],
)
ALARMS = Counter(
    "amends_alarms_total", "Undos past their deadline, and confirm hooks given up.", ["kind"]
)
LATE_RESULTS = Counter(
    "amends_late_results_total", "Results that came without a current lease or fence."
)
LEASES_LOST = Counter("amends_leases_lost_total", "Attempts whose lease ran out.")
REPAIRS_RUNG = Counter(
    "amends_repairs_rung_total",
    "Wake-ups that recovery sent for rows nobody had claimed.",
    ["kind"],
)
PUBLISH_FAILURES = Counter(
    "amends_publish_failures_total", "Wake-ups that the broker did not take."
)
BREAKER_OPEN = Gauge(
    "amends_publish_breaker_open",
    "1 while publishing pauses after a failure.",
    multiprocess_mode="livemax",
)
MESSAGES_DROPPED = Counter(
    "amends_messages_dropped_total", "Messages of an unknown name or version.", ["reason"]
)

QUEUE_DEPTH = Gauge(
    "amends_queue_depth", "Claimable step runs, from rows.", ["queue"], multiprocess_mode="livemax"
)
QUEUE_OLDEST_SECONDS = Gauge(
    "amends_queue_oldest_seconds",
    "Age of the oldest claimable step run, from rows.",
    ["queue"],
    multiprocess_mode="livemax",
)
TIMER_LATENESS = Histogram(
    "amends_timer_lateness_seconds", "How late due timers were handled.", buckets=SHORT_TIMES
)
COMPENSATIONS_OPEN = Gauge(
    "amends_compensations_open",
    "Undos not settled, by state.",
    ["state"],
    multiprocess_mode="livemax",
)
COMPENSATIONS_OLDEST_SECONDS = Gauge(
    "amends_compensations_oldest_seconds",
    "Age of the oldest undo that is not settled, by state.",
    ["state"],
    multiprocess_mode="livemax",
)
APPROVALS_PENDING = Gauge(
    "amends_approvals_pending", "Approval requests open.", multiprocess_mode="livemax"
)
APPROVALS_OLDEST_SECONDS = Gauge(
    "amends_approvals_oldest_seconds",
    "Age of the oldest open approval request.",
    multiprocess_mode="livemax",
)
EXECUTIONS_STUCK = Gauge(
    "amends_executions_stuck",
    "Executions nothing will wake; must be 0.",
    multiprocess_mode="livemax",
)

TRANSACTION_SECONDS = Histogram(
    "amends_transaction_seconds", "Time of one service call.", ["service"], buckets=SHORT_TIMES
)
TRANSACTION_RETRIES = Counter(
    "amends_transaction_retries_total", "Service calls made again, by reason.", ["reason"]
)
TICKER_SECONDS = Histogram("amends_ticker_seconds", "Time of one tick.", buckets=SHORT_TIMES)
TICKER_FAILURES = Counter("amends_ticker_failures_total", "Ticks that ended with an exception.")
TICKER_LAST = Gauge(
    "amends_ticker_last_timestamp_seconds",
    "When the last tick ended well.",
    multiprocess_mode="livemax",
)

JAIL_KILLS = Counter("amends_jail_kills_total", "Sandbox processes killed, by reason.", ["reason"])
JAIL_RESTARTS = Counter("amends_jail_restarts_total", "Sandbox processes started.")
EGRESS_REFUSALS = Counter(
    "amends_egress_refusals_total", "Outgoing calls refused by the address rules.", ["reason"]
)
STREAMS_OPEN = Gauge(
    "amends_event_streams_open", "Event streams open now.", multiprocess_mode="livesum"
)
WORKER_CLAIM_AGE_SECONDS = Gauge(
    "amends_worker_last_claim_age_seconds",
    "How long ago the workers of this host claimed a step.",
    multiprocess_mode="livemax",
)


def render() -> bytes:
    """Return everything in Prometheus's text format."""
    if os.environ.get(FOLDER_VARIABLE):
        return generate_latest(_shared_registry())
    return generate_latest(REGISTRY)


def serve_if_asked() -> None:
    """Answer on a port of its own where there is no web server; the port comes from the command."""
    port = os.environ.get(PORT_VARIABLE)
    if not port:
        return
    registry = _shared_registry()
    start_http_server(int(port), registry=registry)


def forget_process(pid: int) -> None:
    """Drop the live gauges of a process that has ended."""
    if os.environ.get(FOLDER_VARIABLE):
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]  # has no types


def _shared_registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # has no types
    return registry
