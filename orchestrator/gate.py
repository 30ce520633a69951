"""The port through which `approvals` holds an undo for people.

Whoever registers is called inside the orchestrator's transaction: it opens the request in the one
that starts the wait, is asked again in the one that dispatches, and hears when a request is no
longer needed. With nobody registered an entry waits, and nothing holds.
"""

from datetime import datetime
from typing import Protocol

from orchestrator.engine.commands import OpenApproval


class Gate(Protocol):
    """What whoever holds waits for people must be able to do."""

    def open_request(self, *, execution_id: str, command: OpenApproval, now: datetime) -> None:
        """Ask people about one undo."""

    def still_holds(self, *, approval_id: str, input_hash: str) -> bool:
        """Tell whether what was approved may be sent, checked on rows under lock."""

    def close_request(self, *, approval_id: str, state: str, now: datetime) -> None:
        """Take back a request that is not needed any more."""


_gates: list[Gate] = []


def register(gate: Gate) -> None:
    """Make this the holder of all waits; called once, when the app is ready."""
    _gates[:] = [gate]


def open_request(*, execution_id: str, command: OpenApproval, now: datetime) -> None:
    """Ask people about one undo."""
    for gate in _gates:
        gate.open_request(execution_id=execution_id, command=command, now=now)


def still_holds(*, approval_id: str, input_hash: str) -> bool:
    """Tell whether the approval may be used for what is about to be sent."""
    return bool(_gates) and all(
        gate.still_holds(approval_id=approval_id, input_hash=input_hash) for gate in _gates
    )


def close_request(*, approval_id: str, state: str, now: datetime) -> None:
    """Take back a request."""
    for gate in _gates:
        gate.close_request(approval_id=approval_id, state=state, now=now)
