"""The events of one step in square cells, on a sensor of any size, and by parts of the step.

    x[2 b + p, i, j]   events of polarity p (0 OFF, 1 ON) in part b of the step and cell (i, j)

For networks that are the same everywhere, which run on a grid of any size: the last row and column
of cells may lie in part beyond the sensor, and the grid is filled up with empty ones to what the
network needs. Integers only; every cutting into packets gives the same x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError
from edgesnn.events import EVENT, Events

MOST_CELLS = (176, 136)
"""Columns and rows that a sensor is brought to where nobody asks for more: those of a DAVIS346."""
_LARGEST_CELL = 64
_LEAST_PIXELS = 16


@dataclass(frozen=True, slots=True)
class CellsSpec:
    """How the events of one step become x.

    cell: pixels along a cell's side. parts: of a step. highest: larger counts are taken as this.
    multiple: columns and rows of the grid are multiples of it.
    """

    cell: int
    parts: int
    highest: int
    multiple: int

    @property
    def sensor(self) -> tuple[int, int]:
        """The smallest sensor, (width, height)."""
        return _LEAST_PIXELS, _LEAST_PIXELS

    @property
    def levels(self) -> tuple[int, ...]:
        """All values of x."""
        return tuple(range(self.highest + 1))

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return (rows, columns) for a sensor of (width, height) pixels."""
        width, height = (-(-side // self.cell // self.multiple) * self.multiple for side in size)
        return height, width

    def cell_for(self, size: tuple[int, int]) -> int:
        """Return how large the cells of a sensor are where nobody says it."""
        needed = (-(-side // most) for side, most in zip(size, MOST_CELLS, strict=True))
        return max(self.cell, *needed)


def check_cell(cell: int) -> None:
    """Raise InputError for cells that are none."""
    if not 1 <= cell <= _LARGEST_CELL:
        raise InputError(f"--cells {cell}: a cell has 1 to {_LARGEST_CELL} pixels along its side")


class CellsEncoder:
    """Encodes the steps of one source. used: events of the last step."""

    def __init__(
        self,
        spec: CellsSpec,
        input_shape: tuple[int, int, int],
        size: tuple[int, int],
        step_us: int,
    ) -> None:
        """Prepare for a sensor of (width, height), whose grid input_shape (2 parts, H, W) has."""
        channels, height, width = input_shape
        if (height, width) != spec.grid(size) or channels != 2 * spec.parts:
            raise InputError(
                f"this network was made for {width} x {height} cells, and a sensor of "
                f"{size[0]} x {size[1]} pixels has others"
            )
        self._shape, self._highest = input_shape, spec.highest
        self._parts, self._step_us = spec.parts, step_us
        self._area = height * width
        self._columns = np.arange(size[0]) // spec.cell
        self._rows = np.arange(size[1]) // spec.cell * width
        self.used = 0

    def encode(self, events: Events, start_us: int) -> NDArray[np.uint8]:
        """Return x of a step that begins at start_us, uint8 of input_shape, a new array."""
        events = np.ascontiguousarray(events, EVENT)
        part = (events["t"] - start_us) * self._parts // self._step_us
        index = (2 * part + events["p"]) * self._area
        index += self._rows.take(events["y"])
        index += self._columns.take(events["x"])
        counts = np.bincount(index, minlength=self._shape[0] * self._area)
        self.used = len(events)
        x = np.empty(self._shape, np.uint8)  # without arrays of int64 in between, which take longer
        return np.minimum(counts.reshape(self._shape), self._highest, out=x, casting="unsafe")
