"""Events are put in the order of time, however many: runs that fit in memory, then a merge."""

from __future__ import annotations

import numpy as np

from edgesnn.events import Events, joined_events
from edgesnn.sources.stored import Held, Part, Spool, Stored

RUN = 4_000_000
"""Events that are sorted at once, 64 MB and half as much for their order; a merge holds as many,
and all that have one time."""


def sort_into(out: Spool, events: Stored, first: int, stop: int, run: int | None = None) -> None:
    """Append events first, ... before stop to `out` by time; events of one time keep their order.

    run: how many are sorted at once, RUN if None. Raises OSError (disk full).
    """
    run = run or RUN
    if stop - first <= run:
        out.write(_by_time(events.read(first, stop)))
        return
    begins = range(first, stop, run)
    parts_of = Spool()
    for begin in begins:
        parts_of.write(_by_time(events.read(begin, min(begin + run, stop))))
    piece = max(1, run // len(begins))
    runs = [
        _Run(Part(parts_of, begin - first, min(begin + run, stop) - first), piece)
        for begin in begins
    ]
    while runs:
        # Before this time no run has an event that was not read.
        limit = min((int(one.held["t"][-1]) for one in runs if one.more()), default=None)
        parts = [one.before(limit) for one in runs]
        if limit is not None and not any(map(len, parts)):
            next(one for one in runs if one.more() and one.held["t"][-1] == limit).grow()
            continue
        out.write(_by_time(joined_events(parts)))
        for one in runs:
            one.refill()
        runs = [one for one in runs if len(one.held)]


class _Run:
    """A sorted run; held: those of its events that were read and not given."""

    def __init__(self, events: Part, piece: int) -> None:
        self._events, self._piece, self._read = events, piece, 0
        self.held = events.read(0, 0)
        self.refill()

    def more(self) -> bool:
        """Whether events of it were not read yet."""
        return self._read < len(self._events)

    def before(self, limit: int | None) -> Events:
        """Give its held events of times before `limit` (None: all)."""
        end = len(self.held)
        if limit is not None:
            end = int(np.searchsorted(self.held["t"], limit, side="left"))
        given, self.held = self.held[:end], self.held[end:]
        return given

    def refill(self) -> None:
        """Read on when nothing is held."""
        if not len(self.held):
            self.grow()

    def grow(self) -> None:
        """Read a piece more."""
        stop = min(self._read + self._piece, len(self._events))
        self.held = joined_events([self.held, self._events.read(self._read, stop)])
        self._read = stop


def in_order(events: Stored, ends: list[int]) -> Stored:
    """Return events of which each part, from one of `ends` to the next, is put in order."""
    out = Spool()
    for first, stop in zip(ends, ends[1:], strict=False):
        sort_into(out, events, first, stop)
    return Held(out.read(0, len(out))) if len(out) <= RUN else out


def _by_time(events: Events) -> Events:
    return events[np.argsort(events["t"], kind="stable")]
