"""Work that could not be handed out for a while is rung for again."""

from orchestrator.engine.snapshot import StepRun
from orchestrator.engine.states import StepState
from orchestrator.engine.steps import watch
from orchestrator.engine.work import Work


def ring_again(work: Work) -> None:
    """Have everything that waits for a worker, or for the engine itself, looked at again.

    All step runs in motion must be loaded.
    """
    for run in work.unsettled():
        _ring(work, run)


def _ring(work: Work, run: StepRun) -> None:
    due_at = max(work.now, run.due_at or work.now)
    if run.state is StepState.RETRY_WAIT and run.type in watch.STARTED_BY_TIMER:
        work.wake_at("STEP", due_at, run.id)
    if run.state in (StepState.SCHEDULED, StepState.RETRY_WAIT) and run.queue:
        run = work.change(run, wake_at=due_at, rings=0)
        work.fresh.append(run)
