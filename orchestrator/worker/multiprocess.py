"""Processes that count together: a fresh folder in which each keeps its share of the metrics."""

import os
import tempfile

from orchestrator.metrics import FOLDER_VARIABLE


def share_metrics(role: str) -> None:
    """Let the children of this process, which is about to become a supervisor, add up.

    The supervisor removes the folder when it ends.
    """
    os.environ[FOLDER_VARIABLE] = tempfile.mkdtemp(prefix=f"amends-metrics-{role}-")
