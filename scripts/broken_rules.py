"""The rules that `scripts.mutants` breaks, each with the edit that breaks it."""

import dataclasses

ENGINE = "orchestrator/engine"


@dataclasses.dataclass(frozen=True)
class Edit:
    """A text that stands exactly once in a file, and what takes its place."""

    path: str
    old: str
    new: str


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One rule, broken."""

    name: str
    rule: str
    edits: tuple[Edit, ...]

    @property
    def where(self) -> str:
        """The file that is edited first, below the engine."""
        return self.edits[0].path.removeprefix(f"{ENGINE}/")


def _mutant(name: str, rule: str, *edits: tuple[str, str, str]) -> Mutant:
    return Mutant(name, rule, tuple(Edit(f"{ENGINE}/{path}", old, new) for path, old, new in edits))


MUTANTS = (
    _mutant(
        "armed-late",
        "an entry is written only once its step has completed",
        (
            "steps/entry.py",
            "        run.entry_state = EntryState.TENTATIVE\n        run.policy = node.step",
            "        run.policy = node.step",
        ),
        (
            "steps/entry.py",
            "    if run.entry_state not in _UNDECIDED:\n        return effect\n",
            (
                "    late = run.entry_state is None and run.policy is not None\n"
                "    if late and state is not StepState.COMPLETED:\n        return effect\n"
                "    if not late and run.entry_state not in _UNDECIDED:\n        return effect\n"
            ),
        ),
    ),
    _mutant(
        "unknown-ignored",
        "an unknown outcome counts as not applied",
        (
            "steps/entry.py",
            "    if state is StepState.UNKNOWN or (state",
            (
                "    if state is StepState.UNKNOWN:\n"
                '        return {"entry_state": EntryState.VOID}\n'
                "    if False or (state"
            ),
        ),
    ),
    _mutant(
        "order-by-clock",
        "undos are ordered by when their steps ended",
        (
            "order.py",
            "    nearest = _nearest_entries(runs, frozenset(chosen), frozenset(independent))\n",
            (
                "    ended = sorted(chosen, key=lambda k: (str(runs[k].ended_at), runs[k].seq))\n"
                "    return tuple(sorted(zip(ended, ended[1:], strict=False)))\n"
                "    nearest = _nearest_entries(runs, frozenset(chosen), frozenset(independent))\n"
            ),
        ),
    ),
    _mutant(
        "all-at-once",
        "all undos go at once",
        (
            "order.py",
            "    return tuple(sorted(edges))\n",
            "    return ()\n",
        ),
    ),
    _mutant(
        "forwards",
        "undos go in the order of the steps",
        (
            "order.py",
            "        (before, entry) for entry in chosen",
            "        (entry, before) for entry in chosen",
        ),
    ),
    _mutant(
        "no-epoch-in-key",
        "the key of a forward call does not change with the epoch",
        (
            "keys.py",
            'return f"f:{execution_id}:{position}:e{epoch}"',
            'return f"f:{execution_id}:{position}"',
        ),
    ),
    _mutant(
        "no-round-in-key",
        "an undo of a new round carries the key of the old one",
        (
            "keys.py",
            'if reference else f"c:{entry_id}:r{round_}"',
            'if reference else f"c:{entry_id}"',
        ),
    ),
    _mutant(
        "approval-not-bound",
        "what was approved is not compared with what is sent",
        (
            "compensation/undo.py",
            (
                "    if not holds:\n"
                "        asking.ask_people(work, compensation, entry, undo_input)\n"
                "    return holds\n"
            ),
            "    return True\n",
        ),
    ),
    _mutant(
        "failure-swallowed",
        "an undo that failed for good counts as done",
        (
            "compensation/settling.py",
            "    fail_entry(work, entry, reason)\n\n\ndef fail_entry",
            "    settle_entry(work, entry, EntryState.COMPENSATED)\n\n\ndef fail_entry",
        ),
    ),
    _mutant(
        "failure-lets-go",
        "a failed undo lets go those that must wait for it",
        (
            "compensation/settling.py",
            "    if compensation is not None and not compensation.blocks_on_failure:\n",
            "    if compensation is not None:\n",
        ),
    ),
    _mutant(
        "no-pivot-guard",
        "after a completed pivot everything may be undone by itself",
        (
            "forward/direction.py",
            '    if "pivot" not in work.frontier or stop.get("override"):\n',
            "    if True:\n",
        ),
    ),
    _mutant(
        "black-box-unfinished",
        "a child that did not complete is undone by the black box's undo",
        (
            "compensation/children.py",
            "    return not node.has_undo or entry.state is not StepState.COMPLETED\n",
            "    return not node.has_undo\n",
        ),
    ),
    _mutant(
        "savepoint-by-time",
        "a savepoint cuts off what was scheduled later, also beside it",
        (
            "forward/part.py",
            '        return scopes.after(work, [part["savepoint"]])\n',
            (
                '        first = work.runs[part["savepoint"]].seq\n'
                "        present = scopes.present(work)\n"
                "        return frozenset(key for key, run in present.items() if run.seq > first)\n"
            ),
        ),
    ),
    _mutant(
        "counter-shared",
        "an undo goes on counting where the forward step stopped",
        (
            "compensation/tries.py",
            "    tried = entry.undo_attempts + 1\n",
            "    tried = max(entry.undo_attempts, entry.attempt) + 1\n",
        ),
    ),
    _mutant(
        "sealed-planned",
        "sealed entries are chosen by automatic plans",
        (
            "compensation/plan.py",
            "CHOOSABLE = frozenset({EntryState.ARMED, EntryState.UNCERTAIN})",
            "CHOOSABLE = frozenset({EntryState.ARMED, EntryState.UNCERTAIN, EntryState.SEALED})",
        ),
    ),
    _mutant(
        "late-success-ignored",
        "a success that comes after the undo changes nothing",
        (
            "forward/attempts.py",
            "        unknown.take_late_success(work, run, outcome)\n",
            "        return\n",
        ),
    ),
    _mutant(
        "fence-unchecked",
        "forward steps are handed out while the run stops",
        (
            "forward/attempts.py",
            "        return state is ExecutionState.RUNNING and not (work.execution.paused",
            "        return not state.is_terminal and not (work.execution.paused",
        ),
        (
            "forward/stopping.py",
            "    if run.state is StepState.SCHEDULED:\n        _cancel_scheduled",
            (
                "    if run.state is StepState.SCHEDULED and run.type != 'SIMPLE':\n"
                "        _cancel_scheduled"
            ),
        ),
    ),
    _mutant(
        "plan-too-early",
        "a plan is made while steps are in flight",
        (
            "forward/stopping.py",
            '    return work.active == 0 and not work.frontier.get("doubts")\n',
            "    return True\n",
        ),
    ),
    _mutant(
        "old-lease-counts",
        "the result of an earlier attempt settles the present one",
        (
            "forward/attempts.py",
            (
                "    if run.attempt_id != item.attempt_id:\n        return False\n"
                "    if run.state in (StepState.SCHEDULED"
            ),
            "    if run.state in (StepState.SCHEDULED",
        ),
    ),
    _mutant(
        "question-not-asked",
        "an unknown outcome is undone though the undo is not safe for what never happened",
        (
            "forward/unknown.py",
            "    return bool(compensation.safe_if_not_applied) and not node.undo_reads_output\n",
            "    return not node.undo_reads_output\n",
        ),
    ),
    _mutant(
        "end-too-clean",
        "a run is COMPENSATED though something was waived or not chosen",
        (
            "forward/finish.py",
            "        ExecutionState.PARTIALLY_COMPENSATED\n        if work.entries_in(LIVE)\n",
            "        ExecutionState.PARTIALLY_COMPENSATED\n        if False\n",
        ),
    ),
)
