"""The events of one step become the network's input: counts per polarity and cell, then levels.

Channel 0 counts OFF events, channel 1 ON events. Counts saturate at 255; a table of 256 entries
turns them into levels. Integers only, so that every cutting and every machine gives the same x.

Sensors: a sensor of the size the network was trained on is pooled onto the grid (cell = x * W //
width). A larger sensor is made to look like that one: the largest centred rectangle of its shape
is laid over it, and the one pixel nearest to the centre of each virtual pixel counts, all others
do not. Summing the pixels instead would multiply the event density, which the network knows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError
from edgesnn.events import EVENT, Events

_BLOCK = 1 << 16  # events counted at a time: scratch memory that stays in the cache
_LARGEST_PACKED = 128
_Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """How the events of one step become x.

    sensor: (width, height) the network was trained on; other sensors are mapped onto it.
    levels: 256 entries uint8: level of an event count (counts over 255 count as 255).
    """

    sensor: tuple[int, int]
    levels: tuple[int, ...]


class Encoder:
    """Encodes the steps of one source for one model.

    used: events of the last step that fell on a pixel that counts.
    """

    def __init__(
        self, spec: EncoderSpec, input_shape: tuple[int, int, int], size: tuple[int, int]
    ) -> None:
        """Prepare for events of a sensor of size (width, height).

        input_shape: (2, H, W) of x. Raises InputError for another number of channels, and for a
        sensor smaller than spec.sensor, or spec.sensor smaller than the grid.
        """
        channels, height, width = input_shape
        if len(spec.levels) != 256:
            raise ValueError(f"wanted 256 levels, got {len(spec.levels)}")
        if channels != 2:
            raise InputError(
                f"this model takes {channels} channels, and events have 2: OFF and ON; give it "
                "frames of your own in Python"
            )
        if width > spec.sensor[0] or height > spec.sensor[1]:
            raise InputError(
                f"this model takes {width} x {height} cells and was made for a sensor of "
                f"{spec.sensor[0]} x {spec.sensor[1]} pixels, which has fewer"
            )
        if size[0] < spec.sensor[0] or size[1] < spec.sensor[1]:
            raise InputError(
                f"the recording comes from a {size[0]} x {size[1]} sensor; this model needs at "
                f"least {spec.sensor[0]} x {spec.sensor[1]}"
            )
        columns, rows = virtual_sensor(size, spec.sensor)
        self._grid = Grid(
            _pooled(columns, width, spec.sensor[0]), _pooled(rows, height, spec.sensor[1])
        )
        self._levels = np.array(spec.levels, np.uint8)
        self.used = 0

    def encode(self, events: Events, start_us: int = 0) -> NDArray[np.uint8]:
        """Return x, uint8 of shape (2, H, W), a new array; when the step began is not asked."""
        counts = self._grid.count(events)
        self.used = len(events) if self._grid.whole else int(counts.sum())
        return self._levels.take(counts, mode="clip")  # counts over 255 take the last level


class Grid:
    """Counts events per polarity and cell, in one pass. whole: whether every pixel counts.

    columns: shape (sensor width,), the cell's column of each x, -1 where x does not count; rows:
    shape (sensor height,), the same for y. Every event must lie on the sensor.
    """

    def __init__(self, columns: _Index, rows: _Index) -> None:
        """Prepare the lookup: by arithmetic where the grid is made of powers of two."""
        self._height, self._width = int(rows.max()) + 1, int(columns.max()) + 1
        self._cells = 2 * self._height * self._width
        self._packed = _packed_lookup(columns, rows)
        self.whole = int(columns.min()) >= 0 and int(rows.min()) >= 0
        # The index of a cell is ((row * W) + column) * 2 + p; what does not count lies beyond.
        self._columns = np.where(columns < 0, self._cells, columns * 2)
        self._rows = np.where(rows < 0, self._cells, rows * self._width * 2)

    def count(self, events: Events) -> _Index:
        """Return counts of shape (2, H, W): [0] of OFF events, [1] of ON events."""
        events = np.ascontiguousarray(events, EVENT)
        total = self._count_block(events[:_BLOCK])
        for first in range(_BLOCK, len(events), _BLOCK):
            total += self._count_block(events[first : first + _BLOCK])
        return total.reshape(self._height, self._width, 2).transpose(2, 0, 1)

    def _count_block(self, events: Events) -> _Index:
        if self._packed is None:
            index = self._columns.take(events["x"])
            index += self._rows.take(events["y"])
            index += events["p"]
            return np.bincount(index, minlength=self._cells)[: self._cells]
        mask, factor, shift = self._packed
        packed = _xyp(events) & mask
        np.multiply(packed, factor, out=packed)
        np.right_shift(packed, shift, out=packed)
        return np.bincount(packed.view(np.int64), minlength=self._cells)


def _xyp(events: Events) -> NDArray[np.uint64]:
    """View the second half of each record: x | y << 16 | p << 32, and 24 bits of anything."""
    halves: NDArray[np.uint64] = events.view(np.uint64).reshape(-1, 2)
    return halves[:, 1]


def _packed_lookup(columns: _Index, rows: _Index) -> tuple[np.uint64, np.uint64, np.uint64] | None:
    """Return (mask, factor, shift) with cell index = (xyp & mask) * factor >> shift, or None.

    Where column = x >> a and row = y >> b, the index is three runs of bits of the record, and one
    multiplication brings them together: each run is moved to its place at the top of the word by
    one power of two; the other products land below them without carry, or beyond bit 63 (which
    holds up to _LARGEST_PACKED pixels).
    """
    x_bits, x_drop = _bits_kept(columns)
    y_bits, y_drop = _bits_kept(rows)
    if x_drop < 0 or y_drop < 0:
        return None
    p_at = 63 - x_bits - y_bits
    mask = ((1 << x_bits) - 1) << x_drop | ((1 << y_bits) - 1) << (16 + y_drop) | 1 << 32
    factor = 1 << (p_at - 32) | 1 << (p_at + 1 - x_drop) | 1 << (p_at + 1 + x_bits - 16 - y_drop)
    return np.uint64(mask), np.uint64(factor), np.uint64(p_at)


def _bits_kept(cells: _Index) -> tuple[int, int]:
    """Return (bits, drop) where cell = coordinate >> drop has that many bits; drop -1 if not so."""
    size, count = len(cells), int(cells.max()) + 1
    drop = (size // count).bit_length() - 1
    power_of_two = size & (size - 1) == 0 and 2 <= size <= _LARGEST_PACKED
    if power_of_two and bool((cells == np.arange(size) >> drop).all()):
        return count.bit_length() - 1, drop
    return 0, -1


def virtual_sensor(size: tuple[int, int], sensor: tuple[int, int]) -> tuple[_Index, _Index]:
    """Lay a virtual sensor over a larger real one, centred, as large as fits, of the same shape.

    size, sensor: (width, height) of the real and the virtual one. Returns the virtual column of
    each real x, shape (size[0],), and the virtual row of each real y; -1 where no virtual pixel
    has its centre nearest.
    """
    if size[0] * sensor[1] <= size[1] * sensor[0]:
        spread = size[0], size[0] * sensor[1] // sensor[0]
    else:
        spread = size[1] * sensor[0] // sensor[1], size[1]
    tables = []
    for real, virtual, covered in zip(size, sensor, spread, strict=True):
        table = np.full(real, -1, np.int64)
        centres = (2 * np.arange(virtual) + 1) * covered // (2 * virtual)
        table[(real - covered) // 2 + centres] = np.arange(virtual)
        tables.append(table)
    return tables[0], tables[1]


def _pooled(virtual: _Index, cells: int, sensor: int) -> _Index:
    """Return the cell of each real coordinate; -1 stays -1."""
    return np.where(virtual < 0, -1, virtual * cells // sensor)
