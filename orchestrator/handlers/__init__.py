"""What the author of a step handler needs: the decorator, the context and two exceptions."""

from orchestrator.handlers.base import StepContext, TerminalError, UnknownOutcome
from orchestrator.handlers.registry import step

__all__ = ["StepContext", "TerminalError", "UnknownOutcome", "step"]
