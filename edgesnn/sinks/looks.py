"""How words, bars and faults look on a terminal: readable on dark and on bright backgrounds.

Each colour differs from its background by 4.5 to 1 and more, as WCAG 2.2 asks of text (1.4.3).
"""

from __future__ import annotations

from rich.theme import Theme

from edgesnn.sinks.picture import Palette

MARK = ".mark"
"""Behind the name of a bar's colour: how a mark upon that bar looks."""


def _theme(ground: str, accent: str, fault: str, rate: str, rest: str) -> Theme:
    return Theme(
        {
            "accent": accent,
            "answer": f"bold {accent}",
            "title": f"{ground} on {accent}",
            "trouble": f"bold not dim {fault}",
            "rate": f"not dim {rate}",
            "rest": rest,
            "accent" + MARK: f"bold {ground} on {accent}",
            "rest" + MARK: f"bold {ground} on {rest}",
        }
    )


_DARK = _theme("#10141a", "#7fd962", "#f07178", "#ffb454", "#8593a0")
_LIGHT = _theme("#ffffff", "#1f7a1f", "#b3261e", "#a04800", "#5f6b78")
THEMES: dict[Palette, Theme] = {
    "dark": _DARK,
    "dark16": _DARK,
    "light": _LIGHT,
    "light16": _LIGHT,
}
