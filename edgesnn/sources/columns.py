"""What recordings of others call the four columns of events, and what they hold."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError

NAMES = {
    "t": ("t", "ts", "timestamp", "timestamps", "time"),
    "x": ("x", "xs"),
    "y": ("y", "ys"),
    "p": ("p", "ps", "pol", "polarity", "polarities"),
}
"""The columns in our order, and their names, the likeliest first."""
_MOST_VALUES = 9
Array = NDArray[Any]


def named(names: Iterable[str]) -> dict[str, str]:
    """Return which of some names stands for each of our columns, as far as there is one."""
    known = {name.lower(): name for name in reversed(list(names))}
    found = {
        ours: next((known[name] for name in likely if name in known), None)
        for ours, likely in NAMES.items()
    }
    return {ours: name for ours, name in found.items() if name is not None}


class Polarity:
    """Says which events are ON, and at the end whether that was certain."""

    def __init__(self) -> None:
        self._values: set[int] = set()
        self._byte = False

    def on(self, p: Array) -> Array:
        """Return which events of a block are ON."""
        self._byte = p.dtype == np.uint8
        if len(self._values) < _MOST_VALUES:
            self._values |= {int(value) for value in np.unique(p)[:_MOST_VALUES]}
        return p == 1 if self._byte else p > 0

    def notes(self, path: Path) -> tuple[str, ...]:
        """Return what was mended; raises InputError for values that are no polarities."""
        told = self._values
        if told <= {0, 1} or told <= {-1, 1}:
            return ()
        if self._byte and told == {1, 255}:
            return ("polarities of 255 were taken as OFF: -1, kept in a byte",)
        shown = ", ".join(str(value) for value in sorted(told)[:5])
        raise InputError(
            f"{path}: p has the values {shown}{', ...' if len(told) > 5 else ''}; wanted 0 (OFF) "
            "and 1 (ON), or -1 and 1"
        )
