"""Real processes: they come up, refuse what cannot work, drain, and leave nothing behind."""

import json
import signal
import time

import httpx
import psutil
import pytest

WAIT_SECONDS = 30


def _answer(installation, path):
    return httpx.get(f"{installation.url}{path}", timeout=5, trust_env=False)


def _until(condition):
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


def test_serve_answers_its_probes_and_ends_at_sigterm(installation):
    process = installation.start("serve")
    installation.wait_ready()

    answers = {path: _answer(installation, path) for path in ("/healthz", "/readyz", "/metrics")}
    code = process.stop()

    assert {path: answer.status_code for path, answer in answers.items()} == {
        "/healthz": 200,
        "/readyz": 200,
        "/metrics": 200,
    }
    assert answers["/metrics"].headers["content-type"].startswith("text/plain")
    assert "\namends_ticker_seconds_count" in answers["/metrics"].text
    assert code == 0


def test_a_command_answers_in_json_alone_and_logs_beside_it(installation, tmp_path):
    installation.start("serve")
    installation.wait_ready()
    only = {"name": "only", "taskReferenceName": "only", "type": "NOOP"}
    definition = {"name": "small", "version": 1, "schemaVersion": 2, "tasks": [only]}
    file = tmp_path / "small.json"
    file.write_text(json.dumps(definition))

    published = installation.manage("workflow", "publish", str(file), "--json")
    started = installation.manage("workflow", "start", "small", "--wait", "--json")

    assert (published.returncode, started.returncode) == (0, 0), published.stderr + started.stderr
    assert json.loads(published.stdout)
    assert json.loads(started.stdout)["state"] == "COMPLETED"
    assert '"execution_started"' in started.stderr


def test_second_serve_on_the_same_data_is_refused_in_a_sentence(installation):
    installation.start("serve")
    installation.wait_ready()

    refused = installation.manage("serve", "--port=1")

    assert refused.returncode == 1
    assert "Another `serve` already works in" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_serve_starts_again_after_kill_on_the_same_data(installation):
    killed = installation.start("serve")
    installation.wait_ready()
    killed.kill()

    installation.start("serve")

    installation.wait_ready()


@pytest.mark.parametrize(
    ("command", "variables", "sentence"),
    [
        ("check", {"DATABASE_URL": "nonsense"}, "DATABASE_URL is not a URL"),
        ("worker", {}, "A worker needs a broker"),
        ("serve", {"PORT": "x"}, "PORT is 'x'"),
    ],
)
def test_start_that_cannot_work_ends_with_a_sentence(installation, command, variables, sentence):
    refused = installation.manage(command, **variables)

    assert refused.returncode == 1
    assert sentence in refused.stderr
    assert "Traceback" not in refused.stderr


def test_demo_is_not_served_beyond_this_machine(installation):
    refused = installation.manage("serve", "--host=0.0.0.0", AMENDS_DEMO="1")

    assert refused.returncode == 1
    assert "AMENDS_DEMO is on" in refused.stderr


def test_web_says_not_ready_before_it_closes(shared_installation):
    process = shared_installation.start("web", "--workers=2", "--notice-seconds=2")
    shared_installation.wait_ready()

    process.process.send_signal(signal.SIGTERM)

    _until(lambda: _answer(shared_installation, "/readyz").status_code == 503)
    assert _answer(shared_installation, "/healthz").status_code == 200
    assert process.process.wait(WAIT_SECONDS) == 0


def test_worker_starts_a_killed_celery_again_and_leaves_nothing_behind(shared_installation):
    worker = shared_installation.start("worker", "--concurrency=1", "--calls-concurrency=1")
    supervisor = psutil.Process(worker.pid)
    _until(lambda: worker.output().count(" ready.") == 2)
    before = {child.pid for child in supervisor.children(recursive=True)}
    prefork = next(child for child in supervisor.children() if "--pool=prefork" in child.cmdline())

    prefork.kill()
    _until(lambda: worker.output().count(" ready.") == 3)
    after = {child.pid for child in supervisor.children(recursive=True)}
    code = worker.stop()

    assert code == 0
    assert not any(psutil.pid_exists(pid) for pid in before | after)


def test_everything_dies_with_a_killed_supervisor(shared_installation):
    worker = shared_installation.start("worker", "--concurrency=1", "--calls-concurrency=1")
    _until(lambda: worker.output().count(" ready.") == 2)
    children = psutil.Process(worker.pid).children(recursive=True)

    worker.process.kill()
    worker.process.wait()

    _until(lambda: not any(child.is_running() and child.status() != "zombie" for child in children))
