"""Rows of the orchestrator: fields and constraints, nothing else."""

from orchestrator.models.account import ApiKey, ApiToken, ServiceAccount
from orchestrator.models.compensation import CompensationPlan
from orchestrator.models.execution import Attempt, AttemptLog, Execution, StartKey, StepRun
from orchestrator.models.journal import ExecutionEvent
from orchestrator.models.outbox import OutboxMessage, StoredAnswer
from orchestrator.models.pending import PendingAct
from orchestrator.models.permissions import (
    WorkflowGroupObjectPermission,
    WorkflowRole,
    WorkflowUserObjectPermission,
)
from orchestrator.models.simulation import VersionSimulation
from orchestrator.models.timer import Notice, Timer
from orchestrator.models.worker import QueuePoll, Worker
from orchestrator.models.workflow import (
    Rollout,
    TaskDefinition,
    VersionTrigger,
    Workflow,
    WorkflowVersion,
)

__all__ = [
    "ApiKey",
    "ApiToken",
    "Attempt",
    "AttemptLog",
    "CompensationPlan",
    "Execution",
    "ExecutionEvent",
    "Notice",
    "OutboxMessage",
    "PendingAct",
    "QueuePoll",
    "Rollout",
    "ServiceAccount",
    "StartKey",
    "StepRun",
    "StoredAnswer",
    "TaskDefinition",
    "Timer",
    "VersionSimulation",
    "VersionTrigger",
    "Worker",
    "Workflow",
    "WorkflowGroupObjectPermission",
    "WorkflowRole",
    "WorkflowUserObjectPermission",
    "WorkflowVersion",
]
