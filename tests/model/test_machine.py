"""The engine against the model, over random definitions and interleavings (docs/proof.md)."""

from tests.model.budget import BUDGET
from tests.model.machine import SagaMachine


class TestSaga(SagaMachine.TestCase):  # type: ignore[misc,valid-type]  # made by Hypothesis
    """Plays; a failure says in which play it was met first."""

    settings = BUDGET

    def runTest(self) -> None:  # noqa: N802 - the name that unittest knows
        SagaMachine.plays = 0
        try:
            super().runTest()
        except Exception as failure:
            failure.add_note(f"met in play {SagaMachine.plays}")
            raise
