"""`manage.py workflow`: check, publish, simulate, start, show and export from a shell.

The exit code is 0 only on success. With `--json` standard output holds JSON and nothing else.
"""

import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NoReturn
from uuid import UUID

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from orchestrator.access.errors import Refusal
from orchestrator.border import input as border_input
from orchestrator.border.input import InputError
from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.states import ExecutionState
from orchestrator.management import simulations as told
from orchestrator.selectors import executions, workflows
from orchestrator.services import executions as execution_services
from orchestrator.services import simulations, validating, versions
from orchestrator.services.errors import Invalid

POLL_SECONDS = 0.2
MOVES_ALONE = frozenset(
    state
    for state in ExecutionState
    if not state.is_terminal and state is not ExecutionState.NEEDS_ATTENTION
)
"""States in which waiting makes sense; in NEEDS_ATTENTION nothing moves without a person."""


class Command(BaseCommand):
    """Check, publish, start, show and export workflows."""

    help = "Check, publish, start, show and export workflows."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the subcommands and what each takes."""
        acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")
        validate = acts.add_parser("validate", help="list everything wrong with a definition")
        validate.add_argument("file")
        publish = acts.add_parser("publish", help="publish a definition as a version")
        publish.add_argument("file")
        publish.add_argument("--note", default="", help="what changed")
        start = acts.add_parser("start", help="start a run")
        start.add_argument("name")
        start.add_argument("--version", dest="number", type=int, help="default: the stable one")
        start.add_argument("--input", default="{}", metavar="JSON|@FILE")
        start.add_argument("--key", default="", help="start once per key")
        start.add_argument("--correlation-id", default="")
        start.add_argument("--wait", action="store_true", help="until it ends or needs a person")
        start.add_argument("--timeout", type=float, help="seconds to wait at most")
        show = acts.add_parser("show", help="show a run")
        show.add_argument("id")
        export = acts.add_parser("export", help="print a published definition")
        export.add_argument("name")
        export.add_argument("--version", dest="number", type=int, help="default: the stable one")
        simulate = acts.add_parser("simulate", help="fail a definition everywhere; calls nothing")
        simulate.add_argument("name", metavar="NAME|FILE", help="a file, - or a workflow")
        simulate.add_argument("--version", dest="number", type=int, help="default: the stable one")
        simulate.add_argument("--input", metavar="JSON|@FILE", help="default: the first sample")
        simulate.add_argument("--mocks", metavar="JSON|@FILE", help="outputs by reference name")
        for act in (validate, publish, start, show, export, simulate):
            act.add_argument("--json", action="store_true", help="answer in JSON")
            act.add_argument("--as", dest="actor", metavar="USER", help="default: the system")

    def handle(self, *_args: object, **options: Any) -> None:
        """Do one act; a refusal is its sentence and exit code 1."""
        act = self._acts[options["act"]]
        try:
            act(self, options)
        except (Refusal, InputError) as error:
            self._refuse(error, as_json=options["json"])

    def _validate(self, options: Mapping[str, Any]) -> None:
        source = Source(options["file"])
        found = validating.validate(document=source.document(), actor=_actor(options["actor"]))
        problems = found["problems"]
        if options["json"]:
            self._print(found)
        else:
            self._list_problems(source, problems)
        if any(problem["severity"] == "error" for problem in problems):
            raise SystemExit(1)

    def _publish(self, options: Mapping[str, Any]) -> None:
        source = Source(options["file"])
        try:
            registered = versions.register(
                actor=_actor(options["actor"]), document=source.document(), note=options["note"]
            )
        except Invalid as error:
            if not options["json"]:
                self._list_problems(source, error.problems)
            raise
        version = registered.version
        if options["json"]:
            self._print(
                {
                    "name": version.workflow.name,
                    "version": version.number,
                    "created": registered.created,
                    "problems": list(registered.problems),
                }
            )
            return
        self._list_problems(source, registered.problems)
        done = "Published" if registered.created else "Nothing changed in"
        self.stdout.write(f"{done} {version.workflow.name} version {version.number}.")

    def _start(self, options: Mapping[str, Any]) -> None:
        actor = _actor(options["actor"])
        started = execution_services.start_execution(
            actor=actor,
            workflow_name=options["name"],
            version=options["number"],
            input=_input(options["input"]),
            correlation_id=options["correlation_id"],
            idempotency_key=options["key"],
        )
        if options["wait"]:
            self._await_end(started.id, options["timeout"])
        found = executions.execution_detail(actor=actor, execution_id=started.id)
        self._show_execution(found, as_json=options["json"])
        if options["wait"] and found["state"] != ExecutionState.COMPLETED:
            raise SystemExit(1)

    def _show(self, options: Mapping[str, Any]) -> None:
        found = executions.execution_detail(
            actor=_actor(options["actor"]), execution_id=options["id"]
        )
        self._show_execution(found, as_json=options["json"])

    def _export(self, options: Mapping[str, Any]) -> None:
        actor, name = _actor(options["actor"]), options["name"]
        number = options["number"] or workflows.stable_number(actor=actor, name=name)
        if number is None:
            raise CommandError(f"Nothing was published yet of {name}.")
        found = workflows.version_detail(actor=actor, name=name, number=number)
        self._print(found["definition"])

    def _simulate(self, options: Mapping[str, Any]) -> None:
        """Exit code 1 also when the run does not get through without trouble."""
        name, given = options["name"], options["input"]
        source = Source(name) if is_file(name) else None
        try:
            result = simulations.simulate(
                actor=_actor(options["actor"]),
                name=None if source is not None else name,
                document=source.document() if source is not None else None,
                number=options["number"],
                input=_input(given) if given is not None else None,
                mocks=_input(options["mocks"]) if options["mocks"] is not None else None,
            )
        except Invalid as error:
            if source is not None and not options["json"]:
                self._list_problems(source, map(simulations.of_document, error.problems))
            raise
        if options["json"]:
            self._print(result)
        else:
            self.stdout.write("\n".join(told.lines(result)))
        if result["path"]["finalState"] != ExecutionState.COMPLETED:
            raise SystemExit(1)

    _acts: ClassVar[Mapping[str, Callable[["Command", Mapping[str, Any]], None]]] = {
        "validate": _validate,
        "publish": _publish,
        "start": _start,
        "show": _show,
        "export": _export,
        "simulate": _simulate,
    }

    def _await_end(self, execution_id: UUID, timeout: float | None) -> None:
        """Wait by looking: the run may be worked on in another process or on another machine."""
        deadline = time.monotonic() + timeout if timeout is not None else None
        while executions.state_of(execution_id=execution_id) in MOVES_ALONE:
            if deadline is not None and time.monotonic() >= deadline:
                self.stderr.write(f"{execution_id} has not ended within {timeout:g} s.")
                return
            time.sleep(POLL_SECONDS)

    def _show_execution(self, found: Mapping[str, Any], *, as_json: bool) -> None:
        if as_json:
            self._print(found)
            return
        lines = [f"{found['id']} {found['workflowName']} v{found['version']} {found['state']}"]
        if found["failure"]:
            failure = found["failure"]
            lines.append(f"failed: {failure.get('taskReferenceName')}: {failure.get('message')}")
        if found["waitingOn"]:
            lines.append(f"waiting: {found['waitingOn']}")
        lines += [
            f"  {step['direction'].lower():<12} {step['taskReferenceName']:<30} {step['state']}"
            for step in found["steps"]
        ]
        lines += [
            f"  {'ledger':<12} {entry['taskReferenceName']:<30} {entry['state']}"
            for entry in found["ledger"]
        ]
        self.stdout.write("\n".join(lines))

    def _list_problems(self, source: "Source", problems: Any) -> None:
        for problem in problems:
            line, _ = source.locate(str(problem["path"]))
            self.stderr.write(f"{source.name}:{line}: {problem['code']} {problem['message']}")

    def _refuse(self, error: Refusal | InputError, *, as_json: bool) -> NoReturn:
        if as_json:
            problems = [dict(problem) for problem in getattr(error, "problems", ())]
            self._print(
                {
                    "code": error.code,
                    "detail": error.message,
                    "problems": problems or [_as_problem(error)],
                }
            )
        else:
            self.stderr.write(error.message)
        raise SystemExit(1)

    def _print(self, value: object) -> None:
        self.stdout.write(json.dumps(value, indent=2, ensure_ascii=False))


class Source:
    """A file with a definition, or standard input as `-`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._text = ""

    def document(self) -> JSONValue:
        """Read and parse it, or end with the place where it cannot be read."""
        try:
            raw = sys.stdin.buffer.read() if self.name == "-" else Path(self.name).read_bytes()
        except OSError as error:
            raise CommandError(f"{self.name}: {error.strerror}") from error
        try:
            parsed = border_input.parse_json(raw, limits=border_input.LARGE_LIMITS)
        except InputError as error:
            line = error.at[0] if error.at is not None else 1
            error.message = f"{self.name}:{line}: {error.code.upper()} {error.message}"
            raise
        self._text = raw.decode()
        return parsed

    def locate(self, pointer: str) -> tuple[int, int]:
        """Return line and column of a JSON pointer."""
        return border_input.locate(self._text, pointer)


def is_file(name: str) -> bool:
    """Tell whether a name means a file; one that looks like a file and is none is told as such."""
    return name == "-" or "/" in name or name.endswith(".json") or Path(name).is_file()


def _input(text: str) -> dict[str, JSONValue]:
    """Parse `--input`: JSON, or @ and the file that holds it."""
    if text.startswith("@"):
        value = Source(text[1:]).document()
    else:
        value = border_input.parse_json(text.encode(), limits=border_input.LARGE_LIMITS)
    if not isinstance(value, dict):
        raise CommandError("The input is an object: --input '{\"key\": 1}'.")
    return value


def _actor(username: str | None) -> User | None:
    """Return the user to act as; without one the command acts as the system itself."""
    if username is None:
        return None
    found = User.objects.filter(username=username, is_active=True).first()
    if found is None:
        raise CommandError(f"There is no active user {username}.")
    return found


def _as_problem(error: Refusal | InputError) -> dict[str, object]:
    return {
        "severity": "error",
        "code": error.code,
        "path": getattr(error, "pointer", ""),
        "taskReferenceName": "",
        "message": error.message,
    }
