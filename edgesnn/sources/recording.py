"""Recordings as sources: played at a speed, once or for ever, read from where they are stored."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from edgesnn.errors import InputError
from edgesnn.events import Events, Packet, empty_events
from edgesnn.sources.look import Look, Times
from edgesnn.sources.reading import find_recording, read_events, read_recording
from edgesnn.sources.stored import BLOCK, Stored, stored
from edgesnn.text import shown

__all__ = ("Recording", "open_recording", "read_events", "read_recording")

_CHUNK_US = 10_000
_CHUNK_EVENTS = 100_000
_BREATH_NS = 1_000_000
_LAP_GAP_US = 1_000


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
    the one before. size, unit: see `reading.read_recording`. Raises InputError.
    """
    if not speed > 0:
        raise InputError(f"speed {speed:g} plays nothing; give a number above 0, or max")
    found, look = find_recording(Path(path), size, unit)
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
        look=look,
    )


class Recording:
    """Events, in memory or stored, played as a source; see `edgesnn.events.Source`.

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
        events: Events | Stored,
        size: tuple[int, int],
        name: str,
        *,
        speed: float = math.inf,
        loop: bool = False,
        notes: tuple[str, ...] = (),
        until_us: int | None = None,
        look: Look | None = None,
    ) -> None:
        self.name, self.size = name, size
        self._notes = notes
        self.paced = not math.isinf(speed)  # whether arrival times mean anything
        self._events = stored(events)
        self._count = len(self._events)
        self._speed, self._loop = speed, loop
        look = look or Look.of(self._events)
        self._jumps, self._lost_us = look.jumps, look.lost_us
        self._first_us = look.first_us
        silent_us = 0 if until_us is None else until_us - look.last_us if self._count else 0
        self._until_us = look.clock_us + max(0, silent_us)
        self._silent = self._until_us > look.clock_us and not loop
        self._window = _Window(empty_events(), np.empty(0, np.int64), 0)
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
        if self._at == self._count and not self._next_lap():
            return self._silence() if self._silent else None
        self._look_ahead()
        return self._chunk() if math.isinf(self._speed) else self._what_is_due()

    def _look_ahead(self) -> None:
        """Have in memory what the next packet may hold, and one event more."""
        at, window = self._at, self._window
        if window.first <= at and min(at + _CHUNK_EVENTS + 1, self._count) <= window.stop:
            return
        clock_us = int(window.due_us[at - 1 - window.first]) if at else self._first_us
        events = self._events.read(at, at + BLOCK)
        due_us = _due(events["t"], self._jumps - at, self._lost_us)
        self._window = _Window(events, np.maximum(due_us, clock_us), at)

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
        if not self._loop or not self._count:
            return False
        self._lap, self._at = self._lap + 1, 0
        return True

    def _chunk(self) -> Packet:
        stop = self._window.due_before(self._window.due_at(self._at) + _CHUNK_US, "left")
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
        stop = self._window.due_before(clock_us, "right")
        stop = min(stop, self._at + _CHUNK_EVENTS)
        if stop <= self._at:
            return self._packet(self._at, now, clock_us)
        due_us = self._window.due_at(stop - 1) - self._first_us + self._lap * self._lap_us
        arrival_ns = self._began_ns + int(due_us * 1000 / self._speed)
        return self._packet(stop, arrival_ns, clock_us)

    def _packet(self, stop: int, arrival_ns: int, clock_us: int | None) -> Packet:
        """Deliver events up to `stop`; clock_us: playback's place in the lap, None: the events'."""
        window = self._window
        events = window.events[self._at - window.first : stop - window.first]
        begins = self._lap > 0 and self._at == 0 and stop > 0
        if clock_us is None:
            clock_us = window.due_at(stop - 1)
        if stop < self._count:
            # Truthful whatever the host clock says: nothing before the next event is left.
            clock_us = min(clock_us, window.due_at(stop))
        elif self._loop:
            clock_us = min(clock_us, self._first_us + self._lap_us)
        else:  # a host that is late, or a high speed, makes the recording no longer
            clock_us = min(clock_us, self._until_us)
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


@dataclass(frozen=True, slots=True)
class _Window:
    """The events from number `first` on that are in memory, and when playback must send each."""

    events: Events
    due_us: Times
    first: int

    @property
    def stop(self) -> int:
        """Number of the first event that is not in memory any more."""
        return self.first + len(self.events)

    def due_at(self, number: int) -> int:
        """Return when an event is due."""
        return int(self.due_us[number - self.first])

    def due_before(self, clock_us: int, side: Literal["left", "right"]) -> int:
        """Return the number of the first event that is not due at a time ("left": or just is)."""
        return self.first + int(np.searchsorted(self.due_us, clock_us, side=side))


def _due(t: Times, jumps: Times, lost_us: Times) -> Times:
    """Return how far playback must be for each event, shape (n,), never falling.

    jumps: which events come first after a jump back, in a longer recording before and behind too;
    lost_us: the time lost after 0, 1, ... of them.
    """
    if len(jumps):
        inside = np.clip(jumps, 0, len(t))
        t = t + np.repeat(lost_us, np.diff(inside, prepend=0, append=len(t)))
    due: Times = np.maximum.accumulate(t)
    return due
