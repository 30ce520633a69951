"""How states and step types are shown to people: family, icon and word, as one table."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a state looks like; the word is never left out, so colour is never the only sign."""

    tone: str
    icon: str
    word: str
    motion: str = ""


_QUEUED = Look(tone="neutral", icon="circle", word="Queued")
_RUNNING = Look(tone="run", icon="half-circle", word="Running", motion="turning")
_RETRY = Look(tone="run", icon="loop", word="Waiting to retry")
_WAITING = Look(tone="wait", icon="hourglass", word="Waiting")
_UNKNOWN = Look(tone="wait", icon="question", word="Outcome unknown")
_SUCCEEDED = Look(tone="ok", icon="tick", word="Succeeded")
_FAILED = Look(tone="bad", icon="cross", word="Failed")
_TIMED_OUT = Look(tone="bad", icon="clock-cross", word="Timed out")
_SKIPPED = Look(tone="neutral", icon="dash", word="Skipped")
_CANCELLED = Look(tone="neutral", icon="square", word="Cancelled")

PAUSED = Look(tone="neutral", icon="pause", word="Paused")
NOT_REACHED = Look(tone="neutral", icon="ring", word="Not reached")

EXECUTION: Mapping[str, Look] = {
    "CREATED": _QUEUED,
    "RUNNING": _RUNNING,
    "STOPPING": Look(tone="undo", icon="pause", word="Stopping"),
    "PLANNING": Look(tone="undo", icon="list", word="Planning undo"),
    "COMPENSATING": Look(tone="undo", icon="undo", word="Undoing", motion="turning-back"),
    "NEEDS_ATTENTION": Look(tone="wait", icon="person-alert", word="Needs attention"),
    "COMPLETED": _SUCCEEDED,
    "FAILED": _FAILED,
    "TIMED_OUT": _TIMED_OUT,
    "TERMINATED": Look(tone="neutral", icon="stop", word="Terminated"),
    "COMPENSATED": Look(tone="undo", icon="undo-tick", word="Undone"),
    "PARTIALLY_COMPENSATED": Look(tone="undo", icon="undo-half", word="Partly undone"),
}

STEP: Mapping[str, Look] = {
    "SCHEDULED": _QUEUED,
    "DISPATCHED": _RUNNING,
    "WAITING": _WAITING,
    "RETRY_WAIT": _RETRY,
    "COMPLETED": _SUCCEEDED,
    "COMPLETED_WITH_ERRORS": Look(tone="ok", icon="tick-alert", word="Succeeded with errors"),
    "FAILED": _FAILED,
    "UNKNOWN": _UNKNOWN,
    "SKIPPED": _SKIPPED,
    "CANCELLED": _CANCELLED,
}

ENTRY: Mapping[str, Look] = {
    "TENTATIVE": Look(tone="neutral", icon="circle", word="Not settled yet"),
    "ARMED": Look(tone="ok", icon="tick-shield", word="Undo ready"),
    "UNCERTAIN": _UNKNOWN,
    "VOID": Look(tone="neutral", icon="ring", word="Nothing to undo"),
    "SEALED": Look(tone="neutral", icon="lock", word="Sealed"),
    "PLANNED": Look(tone="neutral", icon="circle", word="Planned"),
    "AWAITING_APPROVAL": Look(tone="wait", icon="person-alert", word="Needs approval"),
    "DELAYED": _WAITING,
    "READY": Look(tone="neutral", icon="circle", word="Ready"),
    "RUNNING": Look(tone="undo", icon="undo", word="Undoing", motion="turning-back"),
    "RETRY_WAIT": _RETRY,
    "COMPENSATION_FAILED": Look(tone="bad", icon="undo-cross", word="Undo failed"),
    "MANUAL": Look(tone="wait", icon="person-alert", word="Manual"),
    "COMPENSATED": Look(tone="undo", icon="undo-tick", word="Undone"),
    "SKIPPED": _SKIPPED,
    "RESOLVED_MANUALLY": Look(tone="undo", icon="hand", word="Done by hand"),
    "LATE_EFFECT": Look(tone="bad", icon="clock-late", word="Late effect"),
}

ATTEMPT: Mapping[str, Look] = {
    "SCHEDULED": _QUEUED,
    "DISPATCHED": _RUNNING,
    "WAITING": _WAITING,
    "SUCCEEDED": _SUCCEEDED,
    "FAILED": _FAILED,
    "FAILED_TERMINAL": Look(tone="bad", icon="cross", word="Failed for good"),
    "TIMED_OUT": _TIMED_OUT,
    "UNKNOWN": _UNKNOWN,
    "CANCELLED": _CANCELLED,
}

KNOWLEDGE: Mapping[str, str] = {
    "SUCCEEDED": "applied",
    "FAILED": "not applied",
    "FAILED_TERMINAL": "not applied",
    "TIMED_OUT": "unknown whether applied",
    "UNKNOWN": "unknown whether applied",
    "CANCELLED": "not applied",
}
"""What an attempt's end says about the effect of the step."""

APPROVAL: Mapping[str, Look] = {
    "PENDING": Look(tone="wait", icon="person-alert", word="Open"),
    "APPROVED": Look(tone="ok", icon="tick", word="Approved"),
    "SKIPPED": Look(tone="bad", icon="cross", word="Refused"),
    "STALE": Look(tone="neutral", icon="loop", word="Out of date"),
}

TABLES: Mapping[str, Mapping[str, Look]] = {
    "execution": EXECUTION,
    "step": STEP,
    "entry": ENTRY,
    "attempt": ATTEMPT,
    "approval": APPROVAL,
}


def look(kind: str, state: str) -> Look:
    """Return what a state looks like; one that is not in the table shows as its own name."""
    plain = Look(tone="neutral", icon="question", word=state.replace("_", " ").capitalize())
    return TABLES[kind].get(state.upper(), plain)


KINDS: Mapping[str, str] = {
    "DECISION": "Switch",
    "DO_WHILE": "Loop",
    "FORK_JOIN": "Fork",
    "FORK_JOIN_DYNAMIC": "Dynamic fork",
    "HTTP": "HTTP",
    "HUMAN": "Human",
    "INLINE": "Script",
    "JSON_JQ_TRANSFORM": "Transform",
    "LAMBDA": "Script",
    "NOOP": "Nothing",
    "SET_VARIABLE": "Set variable",
    "SIMPLE": "Worker",
    "SUB_WORKFLOW": "Sub-workflow",
    "SWITCH": "Switch",
    "TERMINATE": "Terminate",
    "WAIT": "Wait",
}


def kind(step_type: str) -> str:
    """Name a step type for people."""
    return KINDS.get(step_type, step_type.replace("_", " ").capitalize())
