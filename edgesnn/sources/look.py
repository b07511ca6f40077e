"""One look at all events of a recording, piece by piece, before the first of them is played."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.events import Events, empty_events, joined_events
from edgesnn.sources.stored import Stored, blocks_of
from edgesnn.stream.slicer import RESET_US

Times = NDArray[np.int64]
FEW = 10
"""Events at either end that may be strays."""
SILENCE_US = 60_000_000
MOST_STRAYS = 1000
_BACK_US = 1_000
_LATE_SHARE = 1000
"""One event in so many may come more than 1 ms late: more are no busy sensor's."""
_MOST_LIVES = 4096
"""A sensor whose clock began anew more often than this did not: the file is in no order."""
_MOST_JUMPS = 1_000_000
"""So many are listed: a file with more is in no order, whatever else it holds."""


class Look:
    """What there is to know of a recording's order and times; feed it all events, in any pieces.

    jumps: numbers of the events that come first after a jump back as the slicer knows it, of a
    million at most; lost_us: the time lost after 0, 1, ... of them. last_us: time of the last
    event. clock_us: how far playback is at the end: it goes on over jumps. gap_us, gap_at_us: the
    longest silence, and how long after the first event it begins, by playback's clock. strays:
    numbers of single events a minute or more from the one before and back again, MOST_STRAYS at
    most. overruns: how often a clock of 32 bits came to its end. flowing_us: the time that passed
    without silences and jumps. whole_ms: whether all times are whole milliseconds apart.
    """

    def __init__(self) -> None:
        self.count = self.back = 0
        self.first_us = self.last_us = self.clock_us = 0
        self.gap_us = self.gap_at_us = self.flowing_us = self.overruns = 0
        self.strays: list[int] = []
        self._last_clock_us = 0
        self.whole_ms = True
        self._head = self._tail = empty_events()
        self._jumps: list[Times] = []
        self._lost: list[Times] = []
        self._lost_us = self._forwards = self._jumped = 0
        self._sorted = {(name, up): True for name in "xyp" for up in (False, True)}
        self._whole, self._life = _Order(), _Order()
        self._lives: list[_Order] = []

    @classmethod
    def of(cls, events: Stored) -> Look:
        """Look at stored events."""
        look = cls()
        for _, block in blocks_of(events):
            look.add(block)
        return look

    @property
    def jumps(self) -> Times:
        """Numbers of the first events after jumps back, (n,)."""
        return np.concatenate([np.zeros(0, np.int64), *self._jumps])

    @property
    def lost_us(self) -> Times:
        """Time lost after 0, 1, ... jumps back, (n + 1,)."""
        return np.concatenate([np.zeros(1, np.int64), *self._lost])

    def add(self, events: Events) -> None:
        """Take the next events."""
        if not len(events):
            return
        t: Times = events["t"]
        if not self.count:
            self.first_us = self.clock_us = int(t[0])
            self._head = events[:0].copy()
        if len(self._head) <= FEW:
            self._head = joined_events([self._head, events[: FEW + 1 - len(self._head)].copy()])
        before = self._tail[-1:]
        self._find_strays(t)
        self._add_times(t if not self.count else np.concatenate([before["t"], t]), len(before))
        for name in "xyp":
            values = events[name]
            joined = values if not self.count else np.concatenate([before[name], values])
            for up in (False, True):
                if self._sorted[name, up]:
                    kept = joined[1:] >= joined[:-1] if up else joined[1:] <= joined[:-1]
                    self._sorted[name, up] = bool(kept.all())
        self._tail = joined_events([self._tail, events[-FEW - 1 :]])[-FEW - 1 :].copy()
        self.count += len(events)
        self.last_us = int(t[-1])

    def _find_strays(self, t: Times) -> None:
        """Note single events that are far from the one before them and from the one behind."""
        known = self._tail["t"][-2:]
        near = np.concatenate([known, t])
        if len(near) < 3 or len(self.strays) > MOST_STRAYS:
            return
        there, back = np.diff(near[:-1]), np.diff(near[1:])
        found = np.flatnonzero((np.abs(there) > SILENCE_US) & (np.abs(there + back) < RESET_US))
        self.strays += (found + 1 - len(known) + self.count).tolist()

    def _add_times(self, t: Times, known: int) -> None:
        """Take times; the first `known` of them (0 or 1) was seen before."""
        steps = np.diff(t)
        self.back += int(np.count_nonzero(steps < 0))
        at = np.flatnonzero(steps < -RESET_US)
        lost = self._lost_us + np.cumsum(-steps[at])
        new = t[known:]
        if len(at):
            self._jumped += len(at)
            if self._jumped <= _MOST_JUMPS:
                self._jumps.append(at + 1 - known + self.count)
                self._lost.append(lost)
            runs = np.diff(at + 1 - known, prepend=0, append=len(new))
            new = new + np.repeat(np.concatenate([[self._lost_us], lost]), runs)
            self._lost_us = int(lost[-1])
        elif self._lost_us:
            new = new + self._lost_us
        near_end = t[at] > 2**32 - RESET_US
        self.overruns += int(np.count_nonzero(near_end & (t[at] < 2**32) & (t[at + 1] < RESET_US)))
        self.clock_us = max(self.clock_us, int(new.max()))
        self._forwards += int(np.count_nonzero(steps > RESET_US))
        if len(steps):
            longest = int(steps.argmax())
            if steps[longest] > self.gap_us:
                self.gap_us = int(steps[longest])
                begins = self._last_clock_us if longest < known else int(new[longest - known])
                self.gap_at_us = begins - self.first_us
        self._last_clock_us = int(new[-1])
        self.flowing_us += int(steps[(steps >= 0) & (steps < SILENCE_US)].sum())
        if self.whole_ms:
            self.whole_ms = not ((t - self.first_us) % 1000).any()
        self._whole.add(t[known:])
        if len(self._lives) <= _MOST_LIVES:
            first = known
            for jump in (at + 1).tolist():
                self._life.add(t[first:jump])
                self._lives.append(self._life)
                self._life, first = _Order(), jump
            self._life.add(t[first:])

    def lives(self) -> bool:
        """Whether the jumps back are restarts of the sensor's clock.

        A clock that began anew goes on in order; what jumps forwards as it jumps back was never in
        order, and what lies in the order of x, y or polarity was sorted by it.
        """
        jumps = self._jumped
        if not jumps or jumps > _MOST_LIVES or self.is_sorted_by_a_field():
            return False
        return jumps <= 2 or not (self._forwards > jumps // 2 or jumps * 4 > self.count)

    def is_sorted_by_a_field(self) -> bool:
        """Whether the events lie in the order of x, y or polarity, up or down, not all alike."""
        first, last = self._head[:1], self._tail[-1:]
        return any(
            first[name] != last[name] and (self._sorted[name, True] or self._sorted[name, False])
            for name in "xyp"
        )

    def disordered(self) -> bool:
        """Whether the events are not in the order of time, and no busy sensor made it so."""
        lives = [*self._lives, self._life] if self.lives() else [self._whole]
        return self._jumped > _MOST_JUMPS or any(life.disordered() for life in lives)

    def far(self, far_us: int) -> tuple[int, int]:
        """Return how many events at the beginning and the end lie that far from the rest.

        Not more than FEW of a hundred times as many, at either end.
        """
        few = min(FEW, self.count // 100)
        if few < 1:
            return 0, 0
        head = np.flatnonzero(np.abs(np.diff(self._head["t"][: few + 1])) > far_us)
        tail = np.flatnonzero(np.abs(np.diff(self._tail["t"][-few - 1 :])) > far_us)
        return (int(head[-1]) + 1 if len(head) else 0), (few - int(tail[0]) if len(tail) else 0)


class _Order:
    """How far events, one after the other, are from the order of time."""

    def __init__(self) -> None:
        self.count = self.late = self.back = 0
        self._clock_us: Any = None
        self._last_us = 0

    def add(self, t: Times) -> None:
        """Take the next times."""
        if not len(t):
            return
        if self._clock_us is None:
            self._clock_us = self._last_us = int(t[0])
        clock = np.maximum(np.maximum.accumulate(t), self._clock_us)
        self.late += int(np.count_nonzero(t < clock - _BACK_US))
        self.back += int(np.count_nonzero(t[1:] < t[:-1])) + int(t[0] < self._last_us)
        self.count += len(t)
        self._clock_us, self._last_us = int(clock[-1]), int(t[-1])

    def disordered(self) -> bool:
        """Whether so many came late or out of order that no busy sensor made it so."""
        if self.count <= FEW:
            return False
        return self.late > max(20, self.count // _LATE_SHARE) or self.back > self.count // 4
