"""Step types and undo policies in words."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orchestrator.engine.definition.model import Compensation, UndoPolicy
from orchestrator.selectors.words import kind
from orchestrator.templatetags.shell import icon

register = template.Library()

POLICIES = {
    UndoPolicy.AUTOMATIC: ("neutral", "loop", "automatic"),
    UndoPolicy.APPROVAL: ("wait", "person-alert", "needs approval"),
    UndoPolicy.APPROVAL_IF: ("wait", "person-alert", "approval by rule"),
    UndoPolicy.MANUAL: ("wait", "hand", "manual"),
}


register.filter("kind", kind)


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
