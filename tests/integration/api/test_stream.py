"""The event stream: order, resuming, waking up, and its ends."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient

from orchestrator.access import grants
from orchestrator.api.v1 import stream
from orchestrator.border import doorbell
from orchestrator.models import Execution, Workflow
from tests.integration.api.conftest import make_event, make_execution


@pytest.fixture
def viewer(make_user: Callable[[str], User]) -> User:
    return make_user("viewer")


@pytest.fixture
def workflow(
    make_workflow: Callable[..., Workflow], give_role: Callable[..., bool], viewer: User
) -> Workflow:
    made = make_workflow()
    give_role(viewer, "viewer", made)
    return made


@pytest.fixture
def ended(workflow: Workflow) -> Execution:
    execution = make_execution(workflow, state="COMPLETED")
    for seq in range(1, 4):
        make_event(execution, seq, "step.completed", reference=f"s{seq}")
    return execution


async def opened(viewer: User, execution: Execution, **headers: str) -> Any:
    client = AsyncClient()
    await client.aforce_login(viewer, backend="django.contrib.auth.backends.ModelBackend")
    path = f"/api/v1/executions/{execution.pk}/stream"
    return await client.get(path, headers={"Accept": "text/event-stream", **headers})


def fields_of(block: str) -> dict[str, str]:
    lines = [line for line in block.split("\n") if line]
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def all_of(answer: Any) -> list[dict[str, str]]:
    return [fields_of(part.decode()) async for part in answer.streaming_content]


async def next_of(parts: AsyncIterator[bytes]) -> dict[str, str]:
    return fields_of((await anext(parts)).decode())


def test_a_snapshot_then_every_event_then_the_end(viewer: User, ended: Execution) -> None:
    answer = async_to_sync(opened)(viewer, ended)
    snapshot, *events, last = async_to_sync(all_of)(answer)

    assert answer.headers["Content-Type"] == "text/event-stream"
    assert snapshot["event"] == "snapshot"
    assert json.loads(snapshot["data"])["id"] == str(ended.pk)
    assert [event["id"] for event in events] == ["1", "2", "3"]
    assert json.loads(events[2]["data"])["taskReferenceName"] == "s3"
    assert last == {"event": "end", "data": "{}"}
    assert stream.STREAMS.by_user.total() == 0


@pytest.mark.parametrize(("last_seen", "rest"), [("2", ["3"]), ("3", []), ("x", ["1", "2", "3"])])
def test_it_goes_on_after_the_last_event_seen(
    viewer: User, ended: Execution, last_seen: str, rest: list[str]
) -> None:
    answer = async_to_sync(opened)(viewer, ended, **{"Last-Event-ID": last_seen})

    blocks = async_to_sync(all_of)(answer)

    assert [block["id"] for block in blocks if "id" in block] == rest


def test_news_arrives_with_the_doorbell(viewer: User, workflow: Workflow) -> None:
    execution = make_execution(workflow)

    async def follow() -> list[dict[str, str]]:
        parts = aiter((await opened(viewer, execution)).streaming_content)
        seen = [await next_of(parts)]
        for seq, state in ((1, "RUNNING"), (2, "FAILED")):
            await sync_to_async(make_event)(execution, seq, "step.failed")
            await Execution.objects.filter(pk=execution.pk).aupdate(state=state)
            doorbell.ring(f"execution:{execution.pk}")
            seen.append(await next_of(parts))
        seen += [fields_of(part.decode()) async for part in parts]
        return seen

    seen = async_to_sync(follow)()

    assert [block.get("event") or block["id"] for block in seen] == ["snapshot", "1", "2", "end"]


def test_a_silent_stream_gives_signs_of_life(
    viewer: User, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(stream, "LOOK_AGAIN_SECONDS", 0.05)
    execution = make_execution(workflow)

    async def listen() -> bytes:
        parts = aiter((await opened(viewer, execution)).streaming_content)
        await anext(parts)
        sign: bytes = await anext(parts)
        await parts.aclose()
        return sign

    assert async_to_sync(listen)() == b": still here\n\n"
    assert stream.STREAMS.by_user.total() == 0


def test_it_ends_when_the_right_is_taken_away(
    viewer: User, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "RECHECK_SECONDS", 0.0)
    execution = make_execution(workflow)

    async def lose() -> list[dict[str, str]]:
        parts = aiter((await opened(viewer, execution)).streaming_content)
        await anext(parts)
        await sync_to_async(grants.replace)(None, workflow, [])
        return [fields_of(part.decode()) async for part in parts]

    assert async_to_sync(lose)() == []


def test_it_ends_with_its_time(
    viewer: User, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "LIFETIME_SECONDS", 0.0)

    blocks = async_to_sync(all_of)(async_to_sync(opened)(viewer, make_execution(workflow)))

    assert [block["event"] for block in blocks] == ["snapshot"]


def test_too_many_streams_are_refused(
    viewer: User, ended: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PER_USER", 0)

    answer = async_to_sync(opened)(viewer, ended)

    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "15"


def test_strangers_get_a_problem_document(
    make_user: Callable[[str], User], ended: Execution
) -> None:
    answer = async_to_sync(opened)(make_user("stranger"), ended)

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
