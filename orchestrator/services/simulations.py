"""The undo simulator (saga-semantics §14): for a definition given or stored, called by nobody.

Nothing is called and nothing is started. The result of a stored version is kept beside it, made
after the transaction that published it, or when somebody first asks.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction

from orchestrator.access import limits, policy
from orchestrator.access.limits import Limit
from orchestrator.access.permissions import Permission
from orchestrator.border.input import check as check_json
from orchestrator.border.input import size_of
from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.definition.model import Definition, Kind
from orchestrator.engine.simulation.outputs import sample_of
from orchestrator.engine.simulation.setup import Scene
from orchestrator.engine.simulation.simulate import simulate as play
from orchestrator.models import VersionSimulation, Workflow, WorkflowVersion
from orchestrator.services import checks, children, facts, versions
from orchestrator.services.errors import Invalid, NotFound
from orchestrator.services.locked import problem
from orchestrator.services.simulated_versions import Outside, Queues
from orchestrator.store import clock, definitions

if TYPE_CHECKING:
    from django.contrib.auth.models import User

PER_MINUTE = Limit(name="simulate", times=30, seconds=60)
MAX_INPUT = 5 * 2**20
"""Bytes of input and mocks each, as of a run's input (reliability.md §12)."""
_DEFINITION = "/definition"


def simulate(
    *,
    actor: "User | None",
    name: str | None,
    document: JSONValue = None,
    number: int | None = None,
    input: Mapping[str, JSONValue] | None = None,  # noqa: A002 - the word of the contract
    mocks: Mapping[str, Any] | None = None,
    failures_persist: bool = True,
) -> dict[str, Any]:
    """Play a definition, or a version of the workflow, and fail it everywhere; changes nothing.

    Args:
        actor: Who asks; None is the system.
        name: The workflow; None only for a document of the system's own.
        document: A definition that is in no version.
        number: A version; without it and without a document, the stable one.
        input: The run's input; without it the workflow's first sample.
        mocks: Outputs by reference name; a list gives them round by round.
        failures_persist: A step that goes wrong does so again after a return to a savepoint.

    Raises:
        NotFound: There is no such workflow to be seen, or no such version of it.
        Forbidden: The actor may see it but not simulate.
        TooMany: That was too often.
        Invalid: The definition, the input or the mocks are not acceptable.
    """
    workflow = versions.find_workflow(name) if name is not None else None
    if workflow is not None:
        policy.require(actor, Permission.SIMULATE_WORKFLOW, workflow)
    if actor is not None:
        limits.take(PER_MINUTE, str(actor.pk))
    _check(document, number, input, mocks)
    outside = Outside(actor)
    if document is not None:
        definition = _sound(document)
        version = outside.given(definition)
    else:
        stored = _version(workflow, number)
        version = outside.stored(stored)
        definition = version.graph.definition
    scene = Scene(
        input=input if input is not None else _input_of(workflow, definition),
        mocks=mocks or {},
        starts_at=clock.now(),
        failures_persist=failures_persist,
    )
    result = outside.carry_out(play(version, scene, queues=Queues()))
    result["coverage"] = facts.coverage_of(definition).public()
    result["input"] = dict(scene.input)
    result["version"] = version.child.number or None
    result["unusedMocks"] = sorted(set(scene.mocks) - set(result.pop("references")))
    result["cut"] += [
        f'The steps of "{hidden}" are not shown: it is not yours to see.'
        for hidden in sorted(outside.hidden)
    ]
    return result


def simulation_of(*, actor: "User | None", name: str, number: int) -> dict[str, Any]:
    """Return the stored result of a version, made now if there is none.

    Who may not see every workflow in it gets one that is made for them.

    Raises:
        NotFound: There is no such workflow or version to be seen.
        Forbidden: The actor may see it but not simulate.
    """
    workflow = versions.find_workflow(name)
    policy.require(actor, Permission.SIMULATE_WORKFLOW, workflow)
    version = _version(workflow, number)
    kept = VersionSimulation.objects.filter(version=version).first()
    result: dict[str, Any] = kept.result if kept is not None else keep(version_id=version.pk)
    if sees_all(actor=actor, names=result["workflows"]):
        return result
    return simulate(actor=actor, name=name, number=number)


def summary_of(*, actor: "User | None", name: str, number: int) -> dict[str, Any]:
    """Return what the simulation of a version says in short; it is made now if there is none.

    The caller has found the version for an actor who may see it. Weak points are told to who may
    see every workflow that they are in; a plain version has nothing to undo, and none.
    """
    version = _version(versions.find_workflow(name), number)
    if version.kind == Kind.PLAIN:
        definition = definitions.graph_of_version(version.pk).definition
        return {"coverage": facts.coverage_of(definition).public(), "weakPoints": []}
    kept = VersionSimulation.objects.filter(version=version).first()
    result: dict[str, Any] = kept.result if kept is not None else keep(version_id=version.pk)
    is_open = sees_all(actor=actor, names=result["workflows"])
    return {
        "coverage": result["coverage"],
        "weakPoints": result["weakPoints"] if is_open else None,
    }


def keep(*, version_id: int) -> dict[str, Any]:
    """Simulate a version and keep the result; safe to call twice: the first result stays."""
    version = WorkflowVersion.objects.select_related("workflow").get(pk=version_id)
    result = simulate(actor=None, name=version.workflow.name, number=version.number)
    _keep(version, result)
    return result


def keep_if_missing(*, version_id: int) -> None:
    """Simulate a version unless that was done, or the version is gone."""
    rows = WorkflowVersion.objects.filter(pk=version_id, is_deleted=False, simulation=None)
    if rows.exists():
        keep(version_id=version_id)


def sees_all(*, actor: "User | None", names: list[str]) -> bool:
    """Tell whether an actor may see every workflow that a simulation has gone through."""
    found = Workflow.objects.filter(name__in=names)
    return all(policy.can(actor, Permission.VIEW_WORKFLOW, workflow) for workflow in found)


@transaction.atomic(durable=True)
def _keep(version: WorkflowVersion, result: Mapping[str, Any]) -> None:
    try:
        with transaction.atomic():
            VersionSimulation.objects.create(
                version=version, result=dict(result), coverage=result["coverage"]
            )
    except IntegrityError:
        # Somebody else was faster, or the version was replaced meanwhile: either is fine.
        return


def of_document(problem: Mapping[str, object]) -> Mapping[str, object]:
    """Return a problem of the request's definition with its pointer into the document alone."""
    return {**problem, "path": str(problem["path"]).removeprefix(_DEFINITION)}


def _sound(document: JSONValue) -> Definition:
    """Return a definition without errors, or tell them where they stand in the request."""
    try:
        return checks.require_sound(checks.examine(document=document, inline=True))
    except Invalid as error:
        moved = [
            {**found, "path": f"{_DEFINITION}{found['path']}"}
            for found in map(dict, error.problems)
        ]
        raise Invalid(error.message, moved) from error


def _version(workflow: Workflow | None, number: int | None) -> WorkflowVersion:
    name = workflow.name if workflow is not None else ""
    found = children.find_version(name=name, number=number)
    if found is None:
        wanted = f"version {number}" if number else "published version"
        raise NotFound(f"The workflow {name!r} has no {wanted} to simulate.")
    return found


def _input_of(workflow: Workflow | None, definition: Definition) -> Mapping[str, JSONValue]:
    """Return an input to play with: the first sample, else what the schema describes."""
    samples = workflow.samples if workflow is not None else []
    if samples and isinstance(samples[0].get("input"), dict):
        found: Mapping[str, JSONValue] = samples[0]["input"]
        return found
    sample = sample_of(definition.input_schema) if definition.input_schema is not None else {}
    return sample if isinstance(sample, dict) else {}


def _check(
    document: JSONValue,
    number: int | None,
    given: Mapping[str, JSONValue] | None,
    mocks: Mapping[str, Any] | None,
) -> None:
    if document is not None and number is not None:
        message = "Give a `definition` or a `version`, not both."
        raise Invalid(message, problem("/version", message))
    for key, value in (("input", given), ("mocks", mocks)):
        if value is None:
            continue
        check_json(dict(value))
        if size_of(value) > MAX_INPUT:
            message = f"The {key} of a simulation has at most {MAX_INPUT // 2**20} MiB."
            raise Invalid(message, problem(f"/{key}", message))
    for reference, mock in (mocks or {}).items():
        _check_mock(reference, mock)


def _check_mock(reference: str, mock: Any) -> None:
    place = f"/mocks/{reference.replace('~', '~0').replace('/', '~1')}"
    if isinstance(mock, Mapping):
        return
    if not isinstance(mock, list) or not mock:
        message = "A mock is an output, which is an object, or a list of outputs round by round."
        raise Invalid(message, problem(place, message))
    for index, output in enumerate(mock):
        if not isinstance(output, Mapping):
            message = "An output is an object."
            raise Invalid(message, problem(f"{place}/{index}", message))
