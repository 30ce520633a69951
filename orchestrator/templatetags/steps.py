"""Step types and undo policies in words."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orchestrator.engine.definition.model import Compensation, UndoPolicy
from orchestrator.templatetags.shell import icon

register = template.Library()

KINDS = {
    "DECISION": "Switch",
    "DO_WHILE": "Loop",
    "FORK_JOIN": "Fork",
    "FORK_JOIN_DYNAMIC": "Dynamic fork",
    "HTTP": "HTTP",
    "HUMAN": "Human",
    "INLINE": "Script",
    "JSON_JQ_TRANSFORM": "Transform",
    "LAMBDA": "Script",
    "NOOP": "Nothing",
    "SET_VARIABLE": "Set variable",
    "SIMPLE": "Worker",
    "SUB_WORKFLOW": "Sub-workflow",
    "SWITCH": "Switch",
    "TERMINATE": "Terminate",
    "WAIT": "Wait",
}
POLICIES = {
    UndoPolicy.AUTOMATIC: ("neutral", "loop", "automatic"),
    UndoPolicy.APPROVAL: ("wait", "person-alert", "needs approval"),
    UndoPolicy.APPROVAL_IF: ("wait", "person-alert", "approval by rule"),
    UndoPolicy.MANUAL: ("wait", "hand", "manual"),
}


@register.filter
def kind(step_type: str) -> str:
    """Name a step type for people."""
    return KINDS.get(step_type, step_type.replace("_", " ").capitalize())


@register.filter
def policy(name: str | None) -> str:
    """Say in words who lets an undo start."""
    return POLICIES[UndoPolicy(name)][2] if name else POLICIES[UndoPolicy.AUTOMATIC][2]


@register.simple_tag
def policy_badge(compensation: Compensation) -> SafeString:
    """Show who lets an undo start."""
    tone, picture, word = POLICIES[compensation.policy]
    return format_html(
        '<span class="badge" data-tone="{}">{}<span>{}</span></span>', tone, icon(picture), word
    )
