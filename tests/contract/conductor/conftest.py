"""A caller with a key of its own, as client packages are, and requests as they send them."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from orchestrator.services import accounts
from orchestrator.store import definitions

JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody with a token; every call is one HTTP request."""

    user: User
    token: str
    http: Client

    def send(
        self, method: str, path: str, body: bytes = b"", *, kind: str = JSON, **headers: str
    ) -> Any:
        """Send a request exactly as given."""
        sent = {"X-Authorization": self.token, **headers}
        return self.http.generic(method, f"/api{path}", body, content_type=kind, headers=sent)

    def call(self, method: str, path: str, body: Any = None, expect: int = 200) -> Any:
        """Send JSON, check the status, return JSON or text."""
        answer = self.http.generic(
            method,
            f"/api{path}",
            b"" if body is None else json.dumps(body).encode(),
            content_type=JSON,
            headers={"X-Authorization": self.token},
        )
        assert answer.status_code == expect, answer.content[:1000]
        is_json = answer.headers.get("Content-Type", "").startswith(JSON)
        return answer.json() if is_json and answer.content else answer.content.decode()

    def define(self, *tasks: dict[str, Any], **more: Any) -> str:
        """Register a workflow and return its name."""
        name = unique("wf")
        document = {"name": name, "version": 1, "schemaVersion": 2, "tasks": list(tasks), **more}
        self.call("POST", "/metadata/workflow?overwrite=true", document)
        return name

    def start(self, name: str, input: dict[str, Any] | None = None, **more: Any) -> str:  # noqa: A002
        """Start a run and return its id."""
        return str(self.call("POST", "/workflow", {"name": name, "input": input or {}, **more}))

    def run(self, workflow_id: str) -> dict[str, Any]:
        """Read a run."""
        found: dict[str, Any] = self.call("GET", f"/workflow/{workflow_id}")
        return found

    def poll(self, name: str, **query: str) -> list[dict[str, Any]]:
        """Poll without waiting."""
        more = "".join(f"&{key}={value}" for key, value in query.items())
        found: list[dict[str, Any]] = self.call(
            "GET", f"/tasks/poll/batch/{name}?workerid=w1&count=5&timeout=0{more}"
        )
        return found

    def report(self, task: dict[str, Any], status: str = "COMPLETED", **more: Any) -> str:
        """Report a result the old way."""
        ids = {key: task[key] for key in ("workflowInstanceId", "taskId")}
        return str(self.call("POST", "/tasks", {**ids, "status": status, **more}))


def unique(prefix: str) -> str:
    """Return a name that nobody else uses."""
    return f"{prefix}_{uuid4().hex[:10]}"


def worker_step(name: str, reference: str = "t1", **more: Any) -> dict[str, Any]:
    """Return a step for polling workers."""
    return {"name": name, "taskReferenceName": reference, "type": "SIMPLE", **more}


@pytest.fixture
def caller(db: None) -> Caller:
    """A service account that may create workflows."""
    definitions.graph_of_version.cache_clear()
    user = accounts.ensure_service_account(name=unique("svc"), key_id="k1", secret="s" * 40)
    user.user_permissions.add(Permission.objects.get(codename="create_workflow"))
    token = accounts.exchange_key(key_id="k1", secret="s" * 40, address="127.0.0.1")
    return Caller(user=user, token=token, http=Client())


@pytest.fixture
def stranger(db: None) -> Caller:
    """A service account without any right."""
    user = accounts.ensure_service_account(name=unique("svc"), key_id="k2", secret="t" * 40)
    token = accounts.exchange_key(key_id="k2", secret="t" * 40, address="127.0.0.1")
    return Caller(user=user, token=token, http=Client())
