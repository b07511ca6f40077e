"""Tables of events as others keep them: what the four columns are called, and what they hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError
from edgesnn.events import events_from_arrays
from edgesnn.sources.mending import in_microseconds
from edgesnn.sources.stored import Spool

NAMES = {
    "t": ("t", "ts", "timestamp", "timestamps", "time"),
    "x": ("x", "xs"),
    "y": ("y", "ys"),
    "p": ("p", "ps", "pol", "polarity", "polarities"),
}
"""The columns in our order, and their names, the likeliest first."""
ORDERS = (("t", "x", "y", "p"), ("x", "y", "p", "t"), ("x", "y", "t", "p"))
"""Of four columns without names, the most usual first."""
_MOST_BACK = 100
"""One time in so many may be before the one above it where columns have no names."""
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


def order_of(table: Array, orders: Sequence[tuple[str, ...]] = ORDERS) -> dict[str, int] | None:
    """Return which column of a table (n, 4) without names is which; None where that is unclear.

    orders: that may be, the likeliest first.
    """
    for order in orders:
        columns = dict(zip(order, table.T, strict=True))
        values = set(np.unique(columns["p"]).tolist())
        t = columns["t"]
        back = int(np.count_nonzero(t[1:] < t[:-1]))  # a difference of unsigned numbers is none
        if (values <= {0, 1} or values <= {-1, 1}) and back * _MOST_BACK <= len(table):
            return {name: at for at, name in enumerate(order)}
    return None


class Gathered:
    """Columns become events, block by block.

    Times with fractions are seconds and whole ones microseconds, unless the user told their unit;
    the first block decides.
    """

    def __init__(self, path: Path, unit: str | None) -> None:
        self.spool = Spool()
        self._path, self._unit, self._told = path, unit, Polarity()
        self._whole: tuple[str, ...] = ("x", "y", "p")
        self._notes: tuple[str, ...] = ()
        self._count = 0

    def add(
        self,
        block: Mapping[str, Array],
        *,
        offset_us: int = 0,
        lines: Sequence[int] | None = None,
    ) -> None:
        """Take t, x, y and p of the next events; raises InputError for what are none.

        offset_us: of the times. lines: in which each stands, for the sentence.
        """
        if self._unit is None:
            self._unit = "us" if _whole(block["t"]).all() else "s"
            if self._unit == "us":
                self._whole = (*self._whole, "t")
            else:
                self._notes = ("its times have fractions and were read as seconds",)
        for name in self._whole:
            values = block[name]
            fits = _whole(values)
            if name in "xy":
                fits &= (values >= 0) & (values < 65536)
            if not fits.all():
                at = int(fits.argmin())
                place = f"event {self._count + at:,}" if lines is None else f"line {lines[at]:,}"
                raise InputError(f"{self._path}: {place} has {name} = {values[at]}, which is none")
        t = in_microseconds(block["t"], self._unit, str(self._path)) + offset_us
        self.spool.write(events_from_arrays(t, block["x"], block["y"], self._told.on(block["p"])))
        self._count += len(t)

    def notes(self) -> tuple[str, ...]:
        """Return what was mended; raises InputError for polarities that are none."""
        return (*self._notes, *self._told.notes(self._path))


def _whole(values: Array) -> NDArray[np.bool_]:
    if values.dtype.kind != "f":
        return np.ones(len(values), bool)
    found: NDArray[np.bool_] = np.isfinite(values) & (values == np.rint(values))
    return found


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
