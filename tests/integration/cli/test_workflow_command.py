"""`manage.py workflow`: exit codes, places of problems, JSON on standard output."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from orchestrator.models import Execution, Workflow, WorkflowVersion
from orchestrator.services import versions
from tests.factories.definitions import reversible, saga
from tests.integration.api.conftest import make_execution, make_plan, make_step
from tests.integration.api.test_registering import a_definition, a_saga
from tests.integration.cli.conftest import Said

Command = Callable[..., Said]
WITHOUT_EFFECT = {"name": "call", "taskReferenceName": "call", "type": "SIMPLE"}


def stored(folder: Path, value: Any, name: str = "definition.json") -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value, indent=2))
    return path


def test_a_good_file_passes(workflow_command: Command, tmp_path: Path) -> None:
    said = workflow_command("validate", stored(tmp_path, a_definition()))

    assert (said.code, said.out, said.err) == (0, "", "")


def test_a_problem_is_named_with_file_line_code_and_message(
    workflow_command: Command, tmp_path: Path
) -> None:
    path = stored(tmp_path, a_saga("orders", WITHOUT_EFFECT))

    said = workflow_command("validate", path)

    assert said.code == 1
    place, _, rest = said.err.partition(" ")
    line = 1 + path.read_text().split("\n").index("    {")
    assert place == f"{path}:{line}:"
    assert rest.startswith("E1 ")


def test_problems_as_json(workflow_command: Command, tmp_path: Path) -> None:
    good = workflow_command("validate", stored(tmp_path, a_definition()), "--json")
    bad = workflow_command("validate", stored(tmp_path, a_saga("orders", WITHOUT_EFFECT)), "--json")

    assert (good.code, json.loads(good.out)["problems"]) == (0, [])
    assert json.loads(good.out)["coverage"]["text"] == "There is no effect to undo"
    assert bad.code == 1
    assert "E1" in {problem["code"] for problem in json.loads(bad.out)["problems"]}
    assert bad.err == ""


BROKEN = ['{"name": "x",\n "tasks": [}', '{"name": "x",\n "name": "y"}', '{"a":\n NaN}']


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_no_json_is_placed_too(
    workflow_command: Command, tmp_path: Path, text: str
) -> None:
    path = stored(tmp_path, text)

    said = workflow_command("validate", path)
    as_json = workflow_command("validate", path, "--json")

    assert said.code == as_json.code == 1
    assert said.err.startswith(f"{path}:")
    assert json.loads(as_json.out)["problems"][0]["severity"] == "error"


def test_a_missing_file_is_named(workflow_command: Command, tmp_path: Path) -> None:
    said = workflow_command("validate", tmp_path / "nosuch.json")

    assert said.code == 1
    assert "nosuch.json" in said.err


def test_publishing(workflow_command: Command, tmp_path: Path) -> None:
    path = stored(tmp_path, a_definition())

    first = workflow_command("publish", path, "--note", "by hand")
    again = workflow_command("publish", path, "--json")

    assert (first.code, first.out) == (0, "Published orders version 1.\n")
    assert json.loads(again.out) == {
        "name": "orders",
        "version": 1,
        "created": False,
        "problems": [],
    }
    assert WorkflowVersion.objects.get().note == "by hand"


def test_what_has_errors_is_not_published(workflow_command: Command, tmp_path: Path) -> None:
    path = stored(tmp_path, a_saga("orders", WITHOUT_EFFECT))

    said = workflow_command("publish", path)
    as_json = workflow_command("publish", path, "--json")

    assert said.code == as_json.code == 1
    assert f"{path}:" in said.err
    assert "E1" in said.err
    assert "E1" in {problem["code"] for problem in json.loads(as_json.out)["problems"]}
    assert not Workflow.objects.exists()


def test_acting_as_somebody_takes_their_rights(
    workflow_command: Command, tmp_path: Path, make_user: Callable[[str], User]
) -> None:
    make_user("person")
    path = stored(tmp_path, a_definition())

    assert workflow_command("publish", path, "--as", "person").code == 1
    assert workflow_command("publish", path, "--as", "nobody").code == 1
    assert not Workflow.objects.exists()


def test_exporting_gives_the_definition_back(workflow_command: Command) -> None:
    versions.register(actor=None, document=a_definition())
    versions.register(actor=None, document=a_definition(version=2, description="new"))

    newest = workflow_command("export", "orders")
    first = workflow_command("export", "orders", "--version", "1")

    assert json.loads(newest.out)["description"] == "new"
    assert json.loads(first.out) == a_definition()
    assert workflow_command("export", "nosuch").code == 1
    assert workflow_command("export", "orders", "--version", "9").code == 1


def test_showing(workflow_command: Command, make_workflow: Callable[..., Workflow]) -> None:
    execution = make_execution(
        make_workflow(),
        state="NEEDS_ATTENTION",
        failure={"taskReferenceName": "ship", "message": "HTTP 422"},
    )
    make_step(execution, "charge", seq=1, entry_state="MANUAL")
    make_plan(execution)

    said = workflow_command("show", execution.pk)
    as_json = workflow_command("show", execution.pk, "--json")

    assert said.code == 0
    assert f"{execution.pk} orders v1 NEEDS_ATTENTION" in said.out
    assert "failed: ship: HTTP 422" in said.out
    assert json.loads(as_json.out)["id"] == str(execution.pk)
    assert workflow_command("show", uuid.uuid4()).code == 1
    assert workflow_command("show", "not-an-id").code == 1


def test_starting_and_waiting(workflow_command: Command, tmp_path: Path) -> None:
    versions.register(
        actor=None, document=a_definition(outputParameters={"n": "${workflow.input.n}"})
    )
    file = stored(tmp_path, {"n": 5}, "input.json")

    inline = workflow_command("start", "orders", "--input", '{"n": 5}', "--wait", "--json")
    from_file = workflow_command("start", "orders", "--input", f"@{file}", "--wait")

    execution = json.loads(inline.out)
    assert inline.code == 0
    assert (execution["state"], execution["output"]) == ("COMPLETED", {"n": 5})
    assert from_file.code == 0
    assert "orders v1 COMPLETED" in from_file.out


def test_waiting_for_what_does_not_complete_fails(workflow_command: Command) -> None:
    end = {
        "name": "end",
        "taskReferenceName": "end",
        "type": "TERMINATE",
        "inputParameters": {"terminationStatus": "FAILED", "terminationReason": "no stock"},
    }
    nap = {
        "name": "nap",
        "taskReferenceName": "nap",
        "type": "WAIT",
        "inputParameters": {"duration": "1 hours"},
    }
    versions.register(actor=None, document=a_definition("failing", tasks=[end]))
    versions.register(actor=None, document=a_definition("waiting", tasks=[nap]))

    failed = workflow_command("start", "failing", "--wait", "--json")
    waited = workflow_command("start", "waiting", "--wait", "--timeout", "0.3", "--json")
    left = workflow_command("start", "waiting")

    assert (failed.code, json.loads(failed.out)["state"]) == (1, "FAILED")
    assert (waited.code, json.loads(waited.out)["state"]) == (1, "RUNNING")
    assert "has not ended within 0.3 s" in waited.err
    assert left.code == 0


def test_the_same_key_starts_once(workflow_command: Command) -> None:
    versions.register(actor=None, document=a_definition())

    first = workflow_command("start", "orders", "--key", "k", "--json")
    again = workflow_command("start", "orders", "--key", "k", "--json")
    other = workflow_command("start", "orders", "--key", "k", "--input", '{"n": 1}')

    assert json.loads(first.out)["id"] == json.loads(again.out)["id"]
    assert other.code == 1


BAD_STARTS = [
    ["nosuch"],
    ["orders", "--version", "9"],
    ["orders", "--input", "[]"],
    ["orders", "--input", "{broken"],
    ["orders", "--input", "@nosuch.json"],
]


@pytest.mark.parametrize("arguments", BAD_STARTS)
def test_a_bad_start_fails_with_a_sentence(workflow_command: Command, arguments: list[str]) -> None:
    versions.register(actor=None, document=a_definition())

    said = workflow_command("start", *arguments)

    assert said.code == 1
    assert said.err.strip()
    assert not Execution.objects.exists()


TRIP = saga("trip", reversible("book_flight"), reversible("book_hotel"))


def test_a_file_is_simulated(workflow_command: Command, tmp_path: Path) -> None:
    said = workflow_command("simulate", stored(tmp_path, TRIP))

    assert (said.code, said.err) == (0, "")
    lines = said.out.split("\n")
    assert lines[:2] == [
        "without trouble: COMPLETED after 0 s",
        "coverage: 2 of 2 effects can be undone",
    ]
    assert lines[3].split("  ")[0] == "fails at"
    (row,) = [line for line in lines if line.startswith("book_hotel") and " FAILED " in line]
    assert row.split() == ["book_hotel", "FAILED", "book_flight", "-", "COMPENSATED", "0", "s", "-"]
    assert "6 of 6 scenarios end clean." in lines


def test_a_workflow_is_simulated_as_json(workflow_command: Command, db: None) -> None:
    versions.register(actor=None, document=TRIP)

    given = ("--version", 1, "--input", '{"order": 1}', "--mocks", '{"nobody": {}}', "--json")
    said = workflow_command("simulate", "trip", *given)

    told = json.loads(said.out)
    assert said.code == 0
    assert (told["version"], told["input"], told["unusedMocks"]) == (1, {"order": 1}, ["nobody"])
    assert len(told["scenarios"]) == 6


def test_simulating_what_is_wrong(workflow_command: Command, tmp_path: Path) -> None:
    path = stored(tmp_path, a_saga("orders", WITHOUT_EFFECT))

    wrong = workflow_command("simulate", path)
    missing = workflow_command("simulate", "nothing")
    no_file = workflow_command("simulate", tmp_path / "no.json")

    assert [said.code for said in (wrong, missing, no_file)] == [1, 1, 1]
    line = 1 + path.read_text().split("\n").index("    {")
    assert wrong.err.startswith(f"{path}:{line}: E1 ")
    assert missing.err == "There is no workflow named nothing.\n"
    assert "No such file" in no_file.err


def test_a_run_that_does_not_get_through_is_no_success(
    workflow_command: Command, tmp_path: Path
) -> None:
    end = {
        "name": "end",
        "taskReferenceName": "end",
        "type": "TERMINATE",
        "inputParameters": {"terminationStatus": "FAILED", "terminationReason": "too late"},
    }

    said = workflow_command("simulate", stored(tmp_path, a_saga("orders", end)))

    assert said.code == 1
    assert said.out.startswith("without trouble: FAILED after 0 s\n  end: too late")
