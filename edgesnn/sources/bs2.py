"""The .bs2 format of SLAYER, which is also N-MNIST's .bin.

Five bytes an event, no header: x, y, then one bit of polarity (1 = ON) and 23 bits of time in us,
big endian. Nothing says how large the sensor is. In files of the N-MNIST family y = 240 is no
event: it says that the sensor's clock ran over, and that 8,192 us are to be added to all later
times (Orchard et al., 2015, the data set's own reader).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError
from edgesnn.events import Events, events_from_arrays
from edgesnn.sources.found import Found, counted
from edgesnn.sources.mending import in_microseconds
from edgesnn.sources.stored import BLOCK, Spool

_BYTES = 5
_SENSORS = ((34, 34), (128, 128), (256, 256))
"""N-MNIST, DVS128, and all that a byte can say."""
LONGEST_US = 2**23 - 1
_OVERFLOW_Y, _OVERFLOW_US = 240, 8192
_STRAY = 500
"""One event in so many may lie outside the sensor that holds all others: damage, not a sensor."""
_AGAIN = 3
"""So many strays that none lies beyond the next larger sensor are no accident."""


def events_from_bs2(
    path: Path, size: tuple[int, int] | None = None, unit: str | None = None
) -> Found:
    """Read a file; the sensor is the smallest known one that holds its events, but for strays.

    Raises InputError when the file is cut off inside an event.
    """
    count, rest = divmod(path.stat().st_size, _BYTES)
    if rest:
        raise InputError(
            f"{path} ends inside an event, at byte {path.stat().st_size}: {path.stat().st_size} "
            "bytes are no multiple of 5; the file is truncated or not a .bs2 file"
        )
    seen, others = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for rows in _rows(path):
        largest = rows[:, :2].max(1)
        seen += np.bincount(largest, minlength=256)
        others += np.bincount(largest[rows[:, 1] != _OVERFLOW_Y], minlength=256)
    marks = count - int(others.sum())
    tall = size[1] if size else _smallest_sensor(others)[1]
    overflows = bool(0 < marks < count and tall <= _OVERFLOW_Y)
    sensor = size or _smallest_sensor(others if overflows else seen)
    spool, lost_us, strays = Spool(), 0, 0
    for rows in _rows(path):
        high, middle, low = (rows[:, i].astype(np.int64) for i in (2, 3, 4))
        t = in_microseconds(((high & 127) << 16) | (middle << 8) | low, unit, str(path))
        events = events_from_arrays(t, rows[:, 0], rows[:, 1], high >> 7)
        if overflows:
            clock = lost_us + _OVERFLOW_US * np.cumsum(events["y"] == _OVERFLOW_Y)
            lost_us = int(clock[-1])
            events["t"] += clock
            events = events[events["y"] != _OVERFLOW_Y]
        if size is None:
            inside = (events["x"] < sensor[0]) & (events["y"] < sensor[1])
            strays += int(np.count_nonzero(~inside))
            events = events[inside]
        spool.write(events)
    notes = []
    if overflows:
        said = f"{counted(marks, 'overflow marker')} (y = {_OVERFLOW_Y}) of the sensor's clock"
        notes.append(f"{said} added {lost_us:,} us")
    if strays:
        notes.append(
            f"{counted(strays, 'event')} outside the {sensor[0]} x {sensor[1]} sensor of all "
            f"others {'was' if strays == 1 else 'were'} left out (--sensor WxH says what it is)"
        )
    return Found(spool, sensor, tuple(notes))


def _rows(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Yield the file's rows in blocks, (n, 5)."""
    with path.open("rb") as file:
        while len(said := file.read(_BYTES * BLOCK)) >= _BYTES:
            yield np.frombuffer(said[: len(said) // _BYTES * _BYTES], np.uint8).reshape(-1, _BYTES)


def _smallest_sensor(counts: NDArray[np.int64]) -> tuple[int, int]:
    """Return the smallest of the usual sensors, from how many events have which largest side.

    Damage is one event in 500 at most, and lies anywhere in what a byte can say: strays that all
    lie inside the next larger sensor are what that one saw.
    """
    beyond = np.flatnonzero(counts)
    farthest = int(beyond[-1]) if len(beyond) else 0
    for size, larger in pairwise(_SENSORS):
        strays = int(counts[size[0] :].sum())
        within_next = strays > _AGAIN and farthest < larger[0] < 256
        if strays <= counts.sum() // _STRAY and not within_next:
            return size
    return _SENSORS[-1]


def bs2_from_events(path: Path, events: Events) -> None:
    """Write events with x, y below 256 and t from 0 to 8.388607 s; raises InputError otherwise."""
    t = events["t"]
    if len(events) and (
        t.min() < 0 or t.max() > LONGEST_US or events["x"].max() > 255 or events["y"].max() > 255
    ):
        raise InputError(
            f"{path}: a .bs2 file holds x and y below 256 and times from 0 to {LONGEST_US} us"
        )
    rows = np.empty((len(events), _BYTES), np.uint8)
    rows[:, 0], rows[:, 1] = events["x"], events["y"]
    rows[:, 2] = (events["p"] << 7) | (t >> 16).astype(np.uint8)
    rows[:, 3], rows[:, 4] = (t >> 8) & 255, t & 255
    path.write_bytes(rows.tobytes())
