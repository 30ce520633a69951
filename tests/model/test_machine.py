"""The engine against the model, over random definitions and interleavings (docs/proof.md)."""

from tests.model.budget import BUDGET
from tests.model.machine import SagaMachine

TestSaga = SagaMachine.TestCase
TestSaga.settings = BUDGET
