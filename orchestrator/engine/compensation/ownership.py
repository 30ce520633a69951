"""Whose effect is it? An undo must not take away what another run did (saga-semantics §8)."""

from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.work import Work


def refusal(work: Work, entry: StepRun) -> str | None:
    """Return why the undo of an entry may not be sent; empty = it may, None = must be loaded.

    The effect is another's if a step of another run settled COMPLETED with the same `effectId` and
    is not being undone.
    """
    if not entry.effect_id:
        return ""
    if entry.effect_id not in work.snapshot.owners:
        work.needs.owners.add(entry.effect_id)
        return None
    owner = work.snapshot.owners[entry.effect_id]
    if owner is None:
        return ""
    return (
        f"The effect {entry.effect_id!r} belongs to execution {owner} as well, which is not being "
        "undone."
    )
