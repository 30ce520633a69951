"""Kill -9 at every moment of the crash table, then look into the books of those we called."""

import ast
from pathlib import Path

import httpx
import pytest

from tests.failure.conftest import Cluster, start_worker, start_workers
from tests.failure.machines import Machine, Run, failpoints, frozen, until, wait_reached
from tests.failure.matrix import ELSEWHERE, MOMENTS, TOGETHER, Moment
from tests.processes import ROOT, Installation

BY_NAME = {moment.name: moment for moment in MOMENTS}
NAMES = list(BY_NAME)


def _failpoints_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name | ast.Attribute)
        and ast.unparse(node.func).rpartition(".")[2] in ("failpoint", "pass_failpoint")
    ]
    return {
        leaf.value
        for call in calls
        for argument in call.args
        for leaf in ast.walk(argument)
        if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str)
    }


def test_every_failpoint_of_the_code_is_in_the_matrix():
    sources = [
        path
        for app in ("orchestrator", "approvals", "designer")
        for path in (ROOT / app).rglob("*.py")
    ]
    in_code = set().union(*(_failpoints_in(path) for path in sources))

    assert in_code == {*NAMES, *ELSEWHERE}
    assert sorted(name for names in TOGETHER for name in names) == sorted(NAMES)


def _runs(machine: Machine, *moments: Moment) -> tuple[list[Run], list[Run]]:
    """Return runs that will complete, and for each moment one that will be undone."""
    good = [machine.run() for _ in moments]
    bad = [
        machine.run(moment.workflow, refuse=moment.refuse, meet=moment.meet) for moment in moments
    ]
    return good, bad


def _check(good: list[Run], bad: list[Run]) -> None:
    assert [run.wait_ended() for run in good] == ["COMPLETED"] * len(good)
    assert [run.wait_ended() for run in bad] == ["COMPENSATED"] * len(bad)
    for run in (*good, *bad):
        run.check_books()


@pytest.mark.parametrize("name", ["call.after", "undo_call.after"])
def test_another_machine_ends_what_a_dead_one_has_begun(
    cluster: Cluster, tmp_path: Path, name: str
):
    machine, points = cluster.machine, tmp_path / "points"
    good, bad = _runs(machine, BY_NAME[name])
    victim = None

    with frozen(cluster.healthy, cluster.broker):
        try:
            victim = start_worker(machine, **failpoints(points, **{name: 1}))
            for run in (*good, *bad):
                run.start()
            wait_reached(name, points, machine)
        finally:
            if victim is not None:
                victim.kill()

    _check(good, bad)


@pytest.mark.parametrize("names", TOGETHER, ids=lambda names: names[0])
def test_workers_go_on_after_their_processes_were_killed(
    cluster: Cluster, tmp_path: Path, names: tuple[str, ...]
):
    """Invariants 2, 15, 17, 19 and 42."""
    machine, points = cluster.machine, tmp_path / "points"
    moments = [BY_NAME[name] for name in names]
    good, bad = _runs(machine, *moments)
    variables = failpoints(points, **{moment.name: moment.count for moment in moments})
    victims = []

    with frozen(cluster.healthy, cluster.broker):
        try:
            victims = start_workers(machine, 2, **variables)
            for run in (*good, *bad):
                run.start()
            for name in names:
                wait_reached(name, points, machine)
        finally:
            for victim in victims:
                victim.kill()

    _check(good, bad)


@pytest.mark.parametrize("moment", MOMENTS, ids=NAMES)
def test_serve_goes_on_where_it_was_killed(single: Machine, tmp_path: Path, moment: Moment):
    """Invariants 2, 15, 17, 19 and 42."""
    good, bad = _runs(single, moment)
    variables = failpoints(tmp_path / "points", **{moment.name: moment.count})
    killed = single.start("serve", **variables)
    single.installation.wait_ready()
    for run in (*good, *bad):
        _try_to_start(run)
    wait_reached(moment.name, tmp_path / "points", single)
    until(lambda: killed.process.poll() is not None, "serve is dead", 20)

    single.start("serve")
    single.installation.wait_ready()
    for run in (*good, *bad):
        run.start()

    _check(good, bad)


def _try_to_start(run):
    """Start a run; whoever asks may be cut off, and asks again later with the same key."""
    try:
        run.start()
    except httpx.HTTPError:
        return


@pytest.mark.parametrize("name", ["advance.before_commit", "publish.before"])
def test_a_start_that_was_cut_off_is_repeated_with_its_key(
    cluster: Cluster, tmp_path: Path, name: str
):
    machine = _second_web(cluster)
    run = machine.run()
    cut = machine.start("web", "--notice-seconds=0", **failpoints(tmp_path / "points", **{name: 1}))
    machine.installation.wait_ready()

    with pytest.raises(httpx.HTTPError):
        run.start()
    wait_reached(name, tmp_path / "points", machine)
    cut.process.wait(20)
    run.machine = cluster.machine
    first, second = run.start().id, run.start().id

    assert first == second
    assert run.wait_ended() == "COMPLETED"
    run.check_books()


def test_an_approval_outlives_the_process_that_took_it(cluster: Cluster, tmp_path: Path):
    name = "approval.after_commit"
    run = cluster.machine.run("approved", refuse="finish").start()
    key = cluster.machine.id_in_rows(run.id)
    [(approval,)] = until(
        lambda: cluster.machine.rows(
            f"SELECT id FROM approvals_approvalrequest WHERE execution_id = {key}"  # noqa: S608
        ),
        "an approval is asked for",
    )
    machine = _second_web(cluster)
    web = machine.start("web", "--notice-seconds=0", **failpoints(tmp_path / "points", **{name: 1}))
    machine.installation.wait_ready()
    path = f"/api/v1/approvals/{approval}/decide"
    answer = {"revision": 1, "decision": "APPROVE"}

    with pytest.raises(httpx.HTTPError):
        machine.post(path, answer)
    wait_reached(name, tmp_path / "points", machine)
    web.process.wait(20)

    assert run.wait_ended() == "COMPENSATED"
    assert cluster.machine.post(path, answer).status_code == 409
    run.check_books()


def _second_web(cluster: Cluster) -> Machine:
    """Return the same installation behind another port."""
    had = cluster.machine.installation
    again = Installation(folder=had.folder, environment=had.environment, processes=had.processes)
    return Machine(
        installation=again, participants=cluster.machine.participants, token=cluster.machine.token
    )
