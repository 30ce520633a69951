"""What services that act on one execution share; the execution is locked, or gets locked here."""

from uuid import UUID

from orchestrator import dispatch
from orchestrator.engine.snapshot import Input
from orchestrator.engine.states import EntryState, ExecutionState
from orchestrator.models import Execution
from orchestrator.services import advance
from orchestrator.services.errors import Invalid, NotFound
from orchestrator.store import load
from orchestrator.store.load import Loaded

MAX_REASON = 2000
DISPATCHED_ENTRIES = (
    EntryState.RUNNING,
    EntryState.RETRY_WAIT,
    EntryState.COMPENSATION_FAILED,
    EntryState.COMPENSATED,
    EntryState.LATE_EFFECT,
)


def problem(path: str, message: str) -> list[dict[str, object]]:
    """Return the one problem of a request, as answers of 422 show it."""
    return [{"code": "FORMAT", "severity": "error", "path": path, "message": message}]


def find_locked(execution_id: "UUID | str") -> tuple[Execution, Loaded]:
    """Lock an execution; for services that act on one.

    Raises:
        NotFound: There is none.
    """
    try:
        key = str(UUID(str(execution_id)))
    except ValueError:
        raise NotFound(f"There is no execution {execution_id}.") from None
    found = load.lock_executions([key])
    if key not in found:
        raise NotFound(f"There is no execution {key}.")
    row = Execution.objects.select_related("workflow", "version").get(pk=key)
    return row, found[key]


def apply_locked(loaded: Loaded, *items: Input) -> advance.Advanced:
    """Decide with these inputs for an execution that is locked, and wake whoever must go on."""
    key = loaded.view.id
    advanced = advance.advance_locked({key: loaded}, {key: items})
    dispatch.ring_executions(advanced.to_advance)
    return advanced


def require_reason(reason: str) -> str:
    """Return a reason that says something.

    Raises:
        Invalid: It is empty or too long.
    """
    told = reason.strip()
    if not told:
        raise Invalid("Please give a reason.", problem("/reason", "a reason is required"))
    if len(told) > MAX_REASON:
        raise Invalid(
            f"The reason has at most {MAX_REASON} characters.", problem("/reason", "too long")
        )
    return told


def live_entries(loaded: Loaded) -> int:
    """Count the entries that still stand for an effect."""
    gone = {EntryState.VOID.value, EntryState.COMPENSATED.value}
    counts = loaded.view.frontier.get("ledger", {})
    return sum(int(count) for state, count in counts.items() if state not in gone)


def is_asked(loaded: Loaded) -> bool:
    """Tell whether a stopped run waits for a person to say how it goes on."""
    waits_for_undo = any(name in loaded.view.frontier for name in ("undo", "late", "part"))
    return loaded.view.state is ExecutionState.NEEDS_ATTENTION and not waits_for_undo


def was_dispatched(loaded: Loaded) -> bool:
    """Tell whether an undo of this run was ever sent."""
    counts = loaded.view.frontier.get("ledger", {})
    return any(state.value in counts for state in DISPATCHED_ENTRIES)
