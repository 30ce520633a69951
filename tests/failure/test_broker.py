"""Redis empty, dead or talkative, and workers that are told to go: it costs time, nothing else."""

import contextlib
import signal

import redis
from celery import Celery

from orchestrator import dispatch
from tests.failure.conftest import Cluster, start_worker
from tests.failure.machines import TERMINAL, Run, frozen, until

QUEUES = ("default", "calls")


def _started(cluster: Cluster, count: int) -> tuple[list[Run], list[Run]]:
    good = [cluster.machine.run().start() for _ in range(count)]
    bad = [cluster.machine.run(refuse="finish").start() for _ in range(count)]
    return good, bad


def _check(good: list[Run], bad: list[Run]) -> None:
    assert [run.wait_ended() for run in good] == ["COMPLETED"] * len(good)
    assert [run.wait_ended() for run in bad] == ["COMPENSATED"] * len(bad)
    for run in (*good, *bad):
        run.check_books()


def _called(run: Run, step: str) -> bool:
    return any(call["step"] == step for call in run.machine.participants.books(run.id)["calls"])


def test_redis_emptied_in_the_middle_costs_time_only(cluster: Cluster):
    with frozen(cluster.healthy, cluster.broker):
        good, bad = _started(cluster, 2)
        with cluster.broker.client() as client:
            lost = client.llen("calls")
            client.flushall()
    until(lambda: _called(good[0], "pay"), "the middle is reached")
    with cluster.broker.client() as client:
        client.flushall()

    assert lost == 4
    _check(good, bad)


def test_redis_killed_in_the_middle_costs_time_only(cluster: Cluster):
    good, bad = _started(cluster, 2)
    until(lambda: _called(bad[0], "reserve"), "it is under way")
    cluster.broker.kill()
    try:
        meanwhile = cluster.machine.run().start()
        until(lambda: "publish_failed" in cluster.machine.logs(), "somebody misses Redis")
    finally:
        cluster.broker.start()

    _check([*good, meanwhile], bad)


def test_every_message_delivered_several_times_changes_nothing(cluster: Cluster):
    app = Celery(broker=cluster.broker.url)
    good, bad = _started(cluster, 2)
    runs = [*good, *bad]
    sent = 0

    while not all(run.state in TERMINAL for run in runs):
        if _waiting_messages(cluster) == 0:
            sent += sum(_send_everything_again(app, run) for run in runs)
    before = [run.machine.participants.books(run.id) for run in runs]
    for run in runs:
        sent += _send_everything_again(app, run)
    until(lambda: not _waiting_messages(cluster), "all messages are read")

    assert sent > 100
    _check(good, bad)
    assert [run.machine.participants.books(run.id) for run in runs] == before


def _send_everything_again(app: Celery, run: Run) -> int:
    key = run.machine.id_in_rows(run.id)
    statement = "SELECT id, queue FROM orchestrator_steprun WHERE execution_id = "
    rows = run.machine.rows(statement + key)
    version = {"v": dispatch.MESSAGE_VERSION}
    for step, queue in rows:
        for name in {queue or "default", *QUEUES}:
            app.send_task(dispatch.EXECUTE_STEP, args=(str(step),), kwargs=version, queue=name)
    app.send_task(dispatch.ADVANCE, args=(run.id,), kwargs=version, queue="default")
    return len(rows) * 2 + 1


def _waiting_messages(cluster: Cluster) -> int:
    with contextlib.suppress(redis.RedisError), cluster.broker.client() as client:
        return sum(int(client.llen(queue)) for queue in QUEUES)
    return -1


def test_messages_of_another_release_are_dropped(cluster: Cluster):
    app = Celery(broker=cluster.broker.url)
    run = cluster.machine.run()
    for kwargs in ({}, {"v": 99}):
        app.send_task(dispatch.ADVANCE, args=("x",), kwargs=kwargs, queue="default")
        app.send_task(dispatch.EXECUTE_STEP, args=("x",), kwargs=kwargs, queue="calls")

    until(lambda: cluster.healthy.output().count("message_dropped") >= 4, "they are dropped")
    run.start()

    assert run.wait_ended() == "COMPLETED"
    run.check_books()


def test_a_worker_told_to_go_ends_what_it_holds(cluster: Cluster):
    machine = cluster.machine
    with frozen(cluster.healthy, cluster.broker):
        leaving = start_worker(machine)
        run = machine.run(slow="reserve").start()
        until(lambda: _called(run, "reserve"), "the worker holds a call")
        code = leaving.stop(signal.SIGTERM)
        statement = (
            "SELECT state, attempt FROM orchestrator_steprun "
            "WHERE reference = 'reserve' AND execution_id = "
        )
        settled = machine.rows(statement + machine.id_in_rows(run.id))

    assert code == 0
    assert settled == [("COMPLETED", 1)]
    assert run.wait_ended() == "COMPLETED"
    calls = [call["step"] for call in machine.participants.books(run.id)["calls"]]
    assert calls.count("reserve") == 1
    run.check_books()
