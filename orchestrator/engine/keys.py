"""Ids and idempotency keys: both are derived, so that doing a thing twice names it alike.

An id made from the identity of what it names cannot be given twice; its first 48 bits are those of
the execution's id (a time), so that rows made together lie together in the index.
"""

import hashlib

from orchestrator.engine.states import Direction


def derive_id(execution_id: str, *identity: str | int) -> str:
    """Return the id (UUID spelling, version 8) of something that belongs to an execution."""
    name = "\x1f".join([execution_id, *map(str, identity)])
    raw = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
    prefix = execution_id.replace("-", "")[:12]
    variant = "89ab"[int(raw[16], 16) & 3]
    return f"{prefix[:8]}-{prefix[8:]}-8{raw[13:16]}-{variant}{raw[17:20]}-{raw[20:]}"


def step_run_id(execution_id: str, position: str, epoch: int) -> str:
    """Return the id of a forward step run: (execution, position, epoch) is its identity."""
    return derive_id(execution_id, "f", position, epoch)


def attached_run_id(
    execution_id: str, entry_id: str, direction: Direction, reference: str, round_: int
) -> str:
    """Return the id of an undo, probe or confirm step run."""
    return derive_id(execution_id, direction.value, entry_id, reference, round_)


def attempt_id(execution_id: str, run_id: str, number: int) -> str:
    """Return the id of an attempt; the first attempt of a step run carries the step run's id."""
    return run_id if number == 1 else derive_id(execution_id, "a", run_id, number)


def child_id(execution_id: str, run_id: str, attempt: int) -> str:
    """Return the id of the child execution that one attempt of a SUB_WORKFLOW step starts."""
    return derive_id(execution_id, "child", run_id, attempt)


def forward_key(execution_id: str, position: str, epoch: int) -> str:
    """Return the key of a forward call (saga-semantics §12)."""
    return f"f:{execution_id}:{position}:e{epoch}"


def undo_key(entry_id: str, round_: int, reference: str = "") -> str:
    """Return the key of an undo call; `reference` only where the undo has several steps."""
    return f"c:{entry_id}:r{round_}:{reference}" if reference else f"c:{entry_id}:r{round_}"


def probe_key(entry_id: str, attempt: int) -> str:
    """Return the key of a probe: one per attempt it asks about."""
    return f"p:{entry_id}:a{attempt}"


def confirm_key(entry_id: str, reference: str = "") -> str:
    """Return the key of a confirm hook; `reference` only where it has several steps (§10.4)."""
    return f"k:{entry_id}:{reference}" if reference else f"k:{entry_id}"
