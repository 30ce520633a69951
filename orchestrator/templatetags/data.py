"""JSON and money for people."""

import json
from collections.abc import Mapping

from django import template

register = template.Library()

SHOWN_CHARACTERS = 200_000


@register.filter
def pretty(value: object) -> str:
    """Write JSON with line breaks; more than a browser can bear is cut, and says so."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    if len(text) <= SHOWN_CHARACTERS:
        return text
    return f"{text[:SHOWN_CHARACTERS]}\n… {len(text) - SHOWN_CHARACTERS} more characters"


@register.filter
def money(amount: Mapping[str, object] | None) -> str:
    """Write an amount with its currency; nothing where there is none."""
    if not amount or amount.get("value") is None:
        return ""
    value = amount["value"]
    shown = f"{value:,.2f}" if isinstance(value, int | float) else str(value)
    return f"{amount.get('currency') or ''} {shown.replace(',', ' ')}".strip()


@register.filter
def short(identifier: object) -> str:
    """Show the end of an id: the beginning is a time, and so alike for neighbours."""
    return str(identifier)[-8:]


@register.filter
def words(name: str | None) -> str:
    """Write a constant such as `NOT_APPLIED` as words."""
    return (name or "").replace("_", " ").lower()
