"""Recordings as sources: read whole, then played at a speed, once or for ever.

The formats are those of `catalog.FORMATS`.
"""

from __future__ import annotations

import importlib
import math
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError
from edgesnn.events import Events, Packet, check_inside, empty_events
from edgesnn.sources.catalog import FORMATS, PICTURES, SOUNDS
from edgesnn.sources.found import Found
from edgesnn.sources.mending import mended
from edgesnn.stream.slicer import RESET_US
from edgesnn.text import shown

_Times = NDArray[np.int64]
_CHUNK_US = 10_000
_CHUNK_EVENTS = 100_000
_BREATH_NS = 1_000_000
_LAP_GAP_US = 1_000
_MOST_PIXELS = 1 << 24
"""Four thousand by four thousand: sixteen times the largest event sensor that is sold."""
_FARTHEST_US = 2**53
"""285 years either way: sensors and Unix clocks lie inside, and sums of it cannot overflow."""


def read_events(
    path: str | Path, size: tuple[int, int] | None = None
) -> tuple[Events, tuple[int, int]]:
    """Read a whole recording; return its events, mended where that is certain, and (width, height).

    See `read_recording`.
    """
    found = read_recording(path, size)
    assert found.size is not None
    return found.events, found.size


def read_recording(
    path: str | Path, size: tuple[int, int] | None = None, unit: str | None = None
) -> Found:
    """Read a whole recording; return its events, and what was mended in them or is unusual.

    size: of the sensor, when the file does not know it or is wrong. unit: of its times, where they
    are not microseconds; see `mending.UNITS_US`. Raises InputError: no such file, a folder, an
    unknown format, a damaged file, no event, an event outside the sensor or 285 years away.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder; give one recording")
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    door = FORMATS.get(path.suffix.lower())
    if door is None:
        known = ", ".join(sorted(FORMATS))
        raise InputError(
            f"{path.name}: edgesnn does not read {path.suffix or 'this'}; it reads {known}, "
            f"sound ({', '.join(SOUNDS)}) and pictures ({', '.join(PICTURES)}, idx3-ubyte)"
        )
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes)")
    try:
        module, _, reader = door.partition(":")
        found: Found = getattr(importlib.import_module(module), reader)(path, size, unit)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    events, size = found.events, size or found.size
    if not len(events):
        raise InputError(f"{path} holds no events")
    if size is None:
        raise InputError(f"{path} does not say how large its sensor is; say it with --sensor WxH")
    if size[0] * size[1] > _MOST_PIXELS:
        raise InputError(
            f"{path} says that its sensor has {size[0]:,} x {size[1]:,} pixels, and edgesnn takes "
            f"{_MOST_PIXELS:,}; say its size with --sensor WxH"
        )
    check_inside(events, size, str(path))
    _check_times(events["t"], path)
    events, notes = mended(events, size, unit_told=unit is not None)
    return Found(events, size, (*found.notes, *notes), found.until_us)


def _check_times(t: _Times, path: Path) -> None:
    if int(t.min()) > -_FARTHEST_US and int(t.max()) < _FARTHEST_US:
        return
    at = int(((t <= -_FARTHEST_US) | (t >= _FARTHEST_US)).argmax())
    raise InputError(
        f"{path}: event {at} is at t={t[at]} us, which no clock tells; the file is damaged or its "
        "times are not microseconds: say their unit with --time-unit ns, ms or s"
    )


def open_recording(
    path: str | Path,
    *,
    speed: float = 1.0,
    loop: bool = False,
    size: tuple[int, int] | None = None,
    unit: str | None = None,
) -> Recording:
    """Open a recording as a source.

    speed: 1.0 is real time, math.inf as fast as it is read. loop: play for ever, each lap after
    the one before. size, unit: see `read_recording`. Raises InputError.
    """
    if not speed > 0:
        raise InputError(f"speed {speed:g} plays nothing; give a number above 0, or max")
    found = read_recording(path, size, unit)
    assert found.size is not None
    name = "file:" + shown(Path(path).name)
    return Recording(
        found.events,
        found.size,
        name,
        speed=speed,
        loop=loop,
        notes=found.notes,
        until_us=found.until_us,
    )


class Recording:
    """Events in memory, played as a source; see `edgesnn.events.Source`.

    At a finite speed an event is delivered when the host clock reaches its time, and its packet's
    arrival_ns is the moment it was due: if the reader came late, that delay is part of the latency
    that is measured.

    The order and the times of the recording are kept. An event older than one before it is due at
    once; after a jump back as the slicer defines it playback goes on at its pace. The watermark
    makes no event late that the events before it do not.
    """

    can_wait = True

    def __init__(
        self,
        events: Events,
        size: tuple[int, int],
        name: str,
        *,
        speed: float = math.inf,
        loop: bool = False,
        notes: tuple[str, ...] = (),
        until_us: int | None = None,
    ) -> None:
        self.name, self.size = name, size
        self._notes = notes
        self.paced = not math.isinf(speed)  # whether arrival times mean anything
        self._events = events
        self._speed, self._loop = speed, loop
        self._jumps, self._lost_us = _jumps_back(events["t"])
        self._due_us = _due(events["t"], self._jumps, self._lost_us)
        self._first_us = int(self._due_us[0]) if len(events) else 0
        last_us = int(self._due_us[-1]) if len(events) else 0
        silent_us = 0 if until_us is None else until_us - int(events["t"][-1]) if len(events) else 0
        self._until_us = last_us + max(0, silent_us)
        self._silent = self._until_us > last_us and not loop
        self._lap_us = self._until_us - self._first_us + _LAP_GAP_US
        self._lap, self._at = 0, 0
        self._began_ns: int | None = None
        self._asked_ns = 0
        self._closed = False

    def notes(self) -> tuple[str, ...]:
        """Return what was mended in the recording, or is unusual about it."""
        return self._notes

    def close(self) -> None:
        """End the source."""
        self._closed = True

    def read(self) -> Packet | None:
        """Return what is due, or at infinite speed the next 10 ms of events; None at the end."""
        if self._closed:
            return None
        if self._at == len(self._events) and not self._next_lap():
            return self._silence() if self._silent else None
        return self._chunk() if math.isinf(self._speed) else self._what_is_due()

    def _silence(self) -> Packet:
        """Return how far the silence after the last event has been played."""
        now = time.monotonic_ns()
        clock_us = self._until_us
        if self._began_ns is not None:
            time.sleep(_BREATH_NS * 1e-9)
            now = time.monotonic_ns()
            played_us = int((now - self._began_ns) * self._speed / 1000)
            clock_us = min(clock_us, self._first_us + played_us)
        self._silent = clock_us < self._until_us
        return Packet(empty_events(), clock_us - int(self._lost_us[-1]), now)

    def _next_lap(self) -> bool:
        if not self._loop or not len(self._events):
            return False
        self._lap, self._at = self._lap + 1, 0
        return True

    def _chunk(self) -> Packet:
        until = int(self._due_us[self._at]) + _CHUNK_US
        stop = int(np.searchsorted(self._due_us, until, side="left"))
        return self._packet(min(stop, self._at + _CHUNK_EVENTS), time.monotonic_ns(), None)

    def _what_is_due(self) -> Packet:
        now = time.monotonic_ns()
        if self._began_ns is None:
            self._began_ns = now
        elif now < self._asked_ns + _BREATH_NS:
            # A millisecond of events at a time, not one by one.
            time.sleep((self._asked_ns + _BREATH_NS - now) * 1e-9)
            now = time.monotonic_ns()
        self._asked_ns = now
        played_us = int((now - self._began_ns) * self._speed / 1000)
        clock_us = self._first_us + played_us - self._lap * self._lap_us
        stop = int(np.searchsorted(self._due_us, clock_us, side="right"))
        stop = min(stop, self._at + _CHUNK_EVENTS)
        if stop <= self._at:
            return self._packet(self._at, now, clock_us)
        due_us = int(self._due_us[stop - 1]) - self._first_us + self._lap * self._lap_us
        arrival_ns = self._began_ns + int(due_us * 1000 / self._speed)
        return self._packet(stop, arrival_ns, clock_us)

    def _packet(self, stop: int, arrival_ns: int, clock_us: int | None) -> Packet:
        """Deliver events up to `stop`; clock_us: playback's place in the lap, None: the events'."""
        events = self._events[self._at : stop]
        begins = self._lap > 0 and self._at == 0 and stop > 0
        if clock_us is None:
            clock_us = int(self._due_us[stop - 1])
        if stop < len(self._events):
            # Truthful whatever the host clock says: nothing before the next event is left.
            clock_us = min(clock_us, int(self._due_us[stop]))
        elif self._loop:
            clock_us = min(clock_us, self._first_us + self._lap_us)
        self._at = stop
        # From playback's clock to the sensor's, which lost time at every jump back, in each lap.
        shift = self._lap * (self._lap_us - int(self._lost_us[-1]))
        lost_us = int(self._lost_us[np.searchsorted(self._jumps, stop - 1, side="right")])
        watermark_us = clock_us - lost_us + shift
        if not len(events):
            return Packet(empty_events(), watermark_us, arrival_ns)
        if shift:
            events = events.copy()
            events["t"] += shift
        return Packet(events, watermark_us, arrival_ns, begins)


def _jumps_back(t: _Times) -> tuple[_Times, _Times]:
    """Return which events come first after a jump back, and the time lost after 0, 1, ... of them.

    Shapes (n,) and (n + 1,); t may be empty.
    """
    jumps = np.flatnonzero(t[1:] < t[:-1] - RESET_US) + 1
    return jumps, np.concatenate([[0], np.cumsum(t[jumps - 1] - t[jumps])])


def _due(t: _Times, jumps: _Times, lost_us: _Times) -> _Times:
    """Return how far playback must be for each event, shape (n,), never falling."""
    if len(jumps):
        t = t + np.repeat(lost_us, np.diff(jumps, prepend=0, append=len(t)))
    due: _Times = np.maximum.accumulate(t)
    return due
