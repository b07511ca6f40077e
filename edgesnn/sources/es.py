"""Event Stream files (.es) of version 2: events of a DVS, or of an ATIS without its exposures.

A byte of the time since the event before, in us, and of polarity, then x and y in 16 bits each. A
first byte that no time has adds to the next event's time, or means nothing (a "reset"). Rows count
from the bottom. Layout: the Event Stream specification, version 2.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError
from edgesnn.events import events_from_arrays
from edgesnn.sources.found import Found, check_counts_us, counted
from edgesnn.sources.stored import Spool

_MARK = b"Event Stream"
_HEAD_BYTES, _EVENT_BYTES = 20, 5
_BLOCK_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class _Kind:
    """time: bits of the first byte below the time. reset: the byte that means nothing; those above
    it add `longest` us, once for each that they are above."""

    time: int
    reset: int
    longest: int


_KINDS = {1: _Kind(1, 0xFE, 127), 2: _Kind(2, 0xFC, 63)}
_NAMES = {0: "generic data", 3: "a display", 4: "colours"}


def events_from_es(
    path: Path, size: tuple[int, int] | None = None, unit: str | None = None
) -> Found:
    """Read a file; raises InputError for other versions and kinds, and damaged ones."""
    check_counts_us(path, unit, "an .es file")
    spool, clock_us, left_out = Spool(), 0, 0
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        if len(head) < 16 or not head.startswith(_MARK):
            raise InputError(f"{path} is no Event Stream file: it does not begin with that name")
        if head[12] != 2:
            raise InputError(
                f"{path} is of version {head[12]}.{head[13]} of Event Stream; edgesnn reads "
                "version 2"
            )
        kind = _KINDS.get(head[15])
        if kind is None or len(head) < _HEAD_BYTES:
            what = _NAMES.get(head[15], "something unknown")
            raise InputError(f"{path} holds {what}, no events of a DVS or an ATIS")
        width, height = np.frombuffer(head[16:], "<u2").tolist()
        if not width or not height:
            raise InputError(f"{path} says that its sensor is {width} x {height}; it is damaged")
        said = b""
        while more := file.read(_BLOCK_BYTES):
            data = np.frombuffer(said + more, np.uint8)
            firsts, end = _firsts(data, kind)
            said = data[end:].tobytes()
            adds = data[firsts] >= kind.reset
            at = firsts[~adds]
            step = np.where(
                adds,
                (data[firsts].astype(np.int64) - kind.reset) * kind.longest,
                data[firsts] >> kind.time,
            )
            t = clock_us + np.cumsum(step)
            clock_us = int(t[-1]) if len(t) else clock_us
            x, y = (data[at + i] | data[at + i + 1].astype(np.uint16) << 8 for i in (1, 3))
            outside = y >= height
            if outside.any():
                row = int(y[outside.argmax()])
                raise InputError(
                    f"{path} has an event in row {row} of a sensor of {height}; it is damaged"
                )
            events = events_from_arrays(
                t[~adds], x, height - 1 - y, data[at] >> (kind.time - 1) & 1
            )
            if kind.time == 2:
                measures = (data[at] & 1).astype(bool)
                left_out += int(np.count_nonzero(measures))
                events = events[~measures]
            spool.write(events)
    notes = []
    if left_out:
        notes.append(f"{counted(left_out, 'measurement')} of exposure are no events")
    if said:
        notes.append(f"its last {counted(len(said), 'byte')} are no whole event: it was cut off")
    return Found(spool, size or (width, height), tuple(notes), clock_us)


def _firsts(data: NDArray[np.uint8], kind: _Kind) -> tuple[NDArray[np.intp], int]:
    """Return the places of first bytes, and the end of the last whole event.

    What a byte is depends on all before it: an event takes five, what adds time one. So the places
    that are reached from the beginning are found by steps of doubled length.
    """
    count = len(data)
    jump = np.minimum(np.arange(count) + np.where(data < kind.reset, _EVENT_BYTES, 1), count + 1)
    # Beyond the end: `count` when the last event is whole, `count + 1` when it is not.
    jump = np.append(jump, [count, count + 1])
    reached = np.zeros(count + 2, bool)
    reached[0], known = True, 0
    while (places := np.flatnonzero(reached)).size > known:
        known = places.size
        reached[jump[places]] = True
        jump = jump[jump]
    cut_off = places[-1] == count + 1
    inside = places[places < count]
    if cut_off:
        return inside[:-1], int(inside[-1])
    return inside, count
