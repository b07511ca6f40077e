"""When a readout may stop before its time: exact, by a margin, or never.

exact     only when no possible future could change the answer (a proven bound)
margin:X  as soon as the best answer leads by X, a number from 0 to 1
never     at the end
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError


@dataclass(frozen=True, slots=True)
class ExitRule:
    """kind and, for "margin", the lead that is enough."""

    kind: Literal["exact", "margin", "never"]
    margin: float = 0.0

    def __str__(self) -> str:
        """Return the rule as it is typed."""
        return f"margin:{self.margin:g}" if self.kind == "margin" else self.kind


EXACT, NEVER = ExitRule("exact"), ExitRule("never")


def lead(values: NDArray[Any]) -> float:
    """Return by how much the largest of values, (classes,), leads the next, 0 if there is none."""
    if len(values) < 2:
        return float(values[0])
    second, first = np.sort(values)[-2:]
    return float(first - second)


def exit_rule(text: str) -> ExitRule:
    """Return the rule that was typed; raises InputError that shows the right forms."""
    if text in ("exact", "never"):
        return EXACT if text == "exact" else NEVER
    kind, colon, number = text.partition(":")
    try:
        margin = float(number)
    except ValueError:
        margin = math.nan
    if kind != "margin" or not colon or not 0 <= margin <= 1:
        raise InputError(
            f"--exit {text} is no exit rule; give exact, margin:X with X from 0 to 1, or never"
        )
    return ExitRule("margin", margin)
