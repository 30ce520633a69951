"""States told from the journal alone (invariant 43), event after event from the start."""

import dataclasses
from collections.abc import Iterable, Iterator

from orchestrator.engine.events import Event
from orchestrator.engine.states import ExecutionState
from tests.unit.engine.driver import Run

FACTS_OF_RUNS = {f"execution.{state.value.lower()}": state.value for state in ExecutionState}
FACTS_OF_RUNS["execution.started"] = "RUNNING"


@dataclasses.dataclass
class Told:
    """What the journal has said so far: the run, its step runs, its ledger, its plans."""

    state: str = "CREATED"
    steps: dict[str, str] = dataclasses.field(default_factory=dict)
    entries: dict[str, str] = dataclasses.field(default_factory=dict)
    plans: list[str] = dataclasses.field(default_factory=list)

    def take(self, event: Event) -> None:
        """Take one fact."""
        self.state = FACTS_OF_RUNS.get(event.type, self.state)
        if event.type == "plan.stored":
            self.plans.append(event.data["hash"])
        if event.step_run_id is None or "state" not in event.data:
            return
        self.steps[event.step_run_id] = event.data["state"]
        self.entries.pop(event.step_run_id, None)
        if "entry" in event.data:
            self.entries[event.step_run_id] = event.data["entry"]


def replayed(events: Iterable[Event]) -> Told:
    """Tell a run from its journal."""
    told = Told()
    for event in events:
        told.take(event)
    return told


def differences(run: Run) -> Iterator[str]:
    """Compare the journal with the rows: states of the run and its steps, the ledger, the plans."""
    told = replayed(run.events)
    if told.state != run.state.value:
        yield f"43: the journal says {told.state}, the row {run.state.value}"
    for step in run.runs.values():
        if told.steps.get(step.id) != step.state.value:
            said = told.steps.get(step.id)
            yield f"43: the journal says {step.position} is {said}, the row {step.state.value}"
        entry = step.entry_state.value if step.entry_state else None
        if told.entries.get(step.id) != entry:
            said = told.entries.get(step.id)
            yield f"43: the journal says the entry of {step.position} is {said}, the row {entry}"
    if told.plans != [plan.command.hash for plan in run.plans]:
        yield "43: the journal names other plans than the rows"
