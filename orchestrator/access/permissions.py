"""Every right by name: what one may do to a workflow and to all that hangs on it."""

from enum import StrEnum


class Permission(StrEnum):
    """A right on one workflow; the value is the codename of its row and its name on the wire."""

    VIEW_WORKFLOW = "view_workflow"
    START_EXECUTION = "start_execution"
    CONTROL_EXECUTION = "control_execution"  # pause, resume, retry, send signals
    CANCEL_EXECUTION = "cancel_execution"  # with undo; without it break_glass is needed as well
    COMPENSATE_EXECUTION = "compensate_execution"
    SETTLE_COMPENSATION = "settle_compensation"  # stuck undos and unknown outcomes
    REPORT_TASK = "report_task"  # poll and report: what a worker needs
    APPROVE_COMPENSATION = "approve_compensation"  # decide approvals and human tasks
    EDIT_DRAFT = "edit_draft"
    SIMULATE_WORKFLOW = "simulate_workflow"
    PUBLISH_VERSION = "publish_version"
    CHANGE_ROLLOUT = "change_rollout"
    CHANGE_GRANTS = "change_grants"
    DELETE_WORKFLOW = "delete_workflow"  # archive, delete versions
    DELETE_EXECUTION = "delete_execution"
    COMPENSATE_BATCH = "compensate_batch"
    EXPORT_AUDIT = "export_audit"
    BREAK_GLASS = "break_glass"


class GlobalPermission(StrEnum):
    """A right that belongs to no single workflow."""

    CREATE_WORKFLOW = "create_workflow"
    READ_AUDIT = "read_audit"  # the whole log: verify and export


_SENTENCES = {
    Permission.VIEW_WORKFLOW: "Can see the workflow and its runs",
    Permission.START_EXECUTION: "Can start runs",
    Permission.CONTROL_EXECUTION: "Can pause, resume and retry runs",
    Permission.CANCEL_EXECUTION: "Can cancel runs with undo",
    Permission.COMPENSATE_EXECUTION: "Can undo runs",
    Permission.SETTLE_COMPENSATION: "Can settle stuck undos and unknown outcomes",
    Permission.REPORT_TASK: "Can poll and report tasks",
    Permission.APPROVE_COMPENSATION: "Can decide approvals and human tasks",
    Permission.EDIT_DRAFT: "Can edit the draft",
    Permission.SIMULATE_WORKFLOW: "Can simulate",
    Permission.PUBLISH_VERSION: "Can publish versions",
    Permission.CHANGE_ROLLOUT: "Can roll versions out and back",
    Permission.CHANGE_GRANTS: "Can change who may do what",
    Permission.DELETE_WORKFLOW: "Can archive the workflow and delete versions",
    Permission.DELETE_EXECUTION: "Can delete runs with their history",
    Permission.COMPENSATE_BATCH: "Can undo many runs at once",
    Permission.EXPORT_AUDIT: "Can export the audit trail of the workflow",
    Permission.BREAK_GLASS: "Can override seals and pivots and stop without undo",
    GlobalPermission.CREATE_WORKFLOW: "Can create workflows",
    GlobalPermission.READ_AUDIT: "Can read, verify and export the whole audit trail",
}

# For the Meta of the model: Django makes the rows after every migrate.
MODEL_PERMISSIONS = tuple((name.value, sentence) for name, sentence in _SENTENCES.items())


def sentence_of(permission: Permission | GlobalPermission) -> str:
    """Return the words shown to people for a right."""
    return _SENTENCES[permission]
