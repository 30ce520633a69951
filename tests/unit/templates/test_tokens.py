"""The colours: pairs used together are far enough apart, and no theme differs by chance."""

import re
from pathlib import Path

import pytest

TOKENS = Path(__file__).parents[3] / "static" / "css" / "tokens.css"
FAMILIES = ("neutral", "run", "wait", "ok", "bad", "undo")
TEXT, LINE = 4.5, 3.0
GROUNDS = ("bg", "surface", "surface-2")


def block(selector: str) -> dict[str, str]:
    """Return the colours set under a selector."""
    found = re.search(re.escape(selector) + r" \{(.*?)\n\s*\}", TOKENS.read_text(), re.DOTALL)
    assert found is not None, selector
    return dict(re.findall(r"--([\w-]+): (#[0-9A-Fa-f]{6});", found.group(1)))


THEMES = {
    "light": block(":root"),
    "dark": block(':root[data-theme="dark"]'),
}


def luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2."""
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of WCAG 2."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def pairs() -> list[tuple[str, str, float]]:
    """Return which tokens stand on which, and how far apart they must be."""
    texts = [
        (text, ground) for text in ("text", "text-2", "text-3", "accent") for ground in GROUNDS
    ]
    lines = [(line, ground) for line in ("border-strong", "focus") for ground in GROUNDS]
    lines += [("edge", "bg"), ("edge", "surface")]
    texts += [("accent-hover", "surface"), ("on-accent", "accent"), ("on-accent", "accent-hover")]
    texts += [("text", "accent-soft"), ("accent", "accent-soft")]
    for family in FAMILIES:
        texts += [(f"{family}-fg", ground) for ground in (f"{family}-soft", "surface", "bg")]
        texts += [("text", f"{family}-soft"), (f"{family}-on", f"{family}-solid")]
        lines += [(f"{family}-solid", "surface"), (f"{family}-solid", "bg")]
    return [(*pair, TEXT) for pair in texts] + [(*pair, LINE) for pair in lines]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("front", "ground", "least"), pairs())
def test_contrast_is_enough(theme: str, front: str, ground: str, least: float) -> None:
    colours = THEMES[theme]

    ratio = contrast(colours[front], colours[ground])

    assert ratio >= least, f"{front} on {ground}: {ratio:.2f}"


def test_both_themes_set_the_same_colours() -> None:
    assert set(THEMES["light"]) == set(THEMES["dark"])


def test_system_theme_is_the_dark_one_when_the_machine_is_dark() -> None:
    assert block(':root[data-theme="system"]') == THEMES["dark"]
