"""What the model looks at: one run at one moment, as an outsider may see it."""

import dataclasses
from collections.abc import Mapping

from tests.model.paths import Place

TERMINAL = frozenset(
    {"COMPLETED", "FAILED", "TIMED_OUT", "TERMINATED", "COMPENSATED", "PARTIALLY_COMPENSATED"}
)


@dataclasses.dataclass(frozen=True)
class SeenStep:
    """A step run; `key` is what its calls carry."""

    id: str
    place: Place
    epoch: int
    state: str
    key: str | None


@dataclasses.dataclass(frozen=True)
class SeenEntry:
    """A ledger entry; `of` is its step run, `snapshot` what was frozen when that settled.

    That of a sub-workflow follows its child instead of the table (saga-semantics §2.3).
    """

    id: str
    of: str
    place: Place
    state: str
    round: int
    attempts: int
    snapshot: object
    policy: str
    follows_child: bool = False
    gave_up: bool = False
    """It failed for good once and let the others go on (`onFailure: CONTINUE`)."""


@dataclasses.dataclass(frozen=True)
class SeenPlan:
    """The plan in force: entries, and pairs (a, b) where a waits for b."""

    id: str
    trigger: str
    entries: frozenset[str]
    edges: frozenset[tuple[str, str]]
    hash: str


@dataclasses.dataclass(frozen=True)
class SeenRun:
    """One run. `plan` is the active one."""

    state: str
    outcome: str | None
    failure: object
    epoch: int
    fence: int
    paused: bool
    steps: Mapping[str, SeenStep]
    entries: Mapping[str, SeenEntry]
    plan: SeenPlan | None
    plans: int
