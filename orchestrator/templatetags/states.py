"""States as badges and words; what each looks like stands in `orchestrator.selectors.words`."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orchestrator.selectors.words import KNOWLEDGE, NOT_REACHED, PAUSED, Look, look
from orchestrator.templatetags.shell import icon

register = template.Library()


def badge(shown: Look, *, detail: str = "", large: bool = False) -> SafeString:
    """Draw a look as a badge."""
    return format_html(
        '<span class="badge{}{}" data-tone="{}">{}<span>{}</span></span>',
        " badge-large" if large else "",
        f" {shown.motion}" if shown.motion else "",
        shown.tone,
        icon(shown.icon),
        f"{shown.word} {detail}".strip(),
    )


@register.simple_tag
def state_badge(kind: str, state: str | None, detail: str = "", size: str = "") -> SafeString:
    """Show the state of an execution, step, entry, attempt or approval as a badge."""
    if not state:
        return SafeString("")
    return badge(look(kind, state), detail=detail, large=size == "large")


@register.simple_tag
def paused_badge(size: str = "") -> SafeString:
    """Show that a run is held."""
    return badge(PAUSED, large=size == "large")


@register.simple_tag
def state_word(kind: str, state: str | None) -> str:
    """Name a state in a sentence or a spoken name."""
    return look(kind, state).word if state else NOT_REACHED.word


@register.simple_tag
def state_tone(kind: str, state: str | None) -> str:
    """Return the colour family of a state."""
    return look(kind, state).tone if state else NOT_REACHED.tone


@register.filter
def known(attempt_state: str) -> str:
    """Say what an attempt's end tells about its effect; nothing while it runs."""
    return KNOWLEDGE.get(attempt_state, "")
