"""Background activity: events that no neighbour saw are taken out.

An event is kept when one of its eight neighbours fired within 10 ms before it, kept or not: what
moves makes neighbours fire together, the noise of a pixel is alone (Delbruck, 2008, "Frame-free
dynamic digital vision"). Every event is judged by those before it in their order, never by where a
packet ends.

It changes what a network sees, and those that come with edgesnn were trained without it: it is
on with `--denoise full` only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgesnn.events import Events

SUPPORT_US = 10_000
_NEVER = -(2**62)


class BackgroundActivity:
    """The filter of one sensor. removed: events taken out so far."""

    def __init__(self, size: tuple[int, int], support_us: int = SUPPORT_US) -> None:
        """Prepare for a sensor of (width, height); every event must lie on it."""
        self.removed = 0
        self._support_us = support_us
        self._stride = size[0] + 2  # a frame of pixels that never fire
        self._last = np.full((size[1] + 2) * self._stride, _NEVER, np.int64)
        rows = (-self._stride, 0, self._stride)
        self._around = [row + column for row in rows for column in (-1, 0, 1) if row or column]

    def feed(self, events: Events) -> Events:
        """Return the events that are kept; the same array where all are."""
        if not len(events):
            return events
        t: NDArray[np.int64] = np.ascontiguousarray(events["t"])
        pixel = (events["y"].astype(np.int64) + 1) * self._stride + events["x"] + 1
        # Keys in the order of (pixel, place): the event before a given place at a given pixel is
        # found by bisection.
        n = len(events)
        place = np.arange(n)
        keys = np.sort(pixel * n + place)
        kept = np.zeros(n, bool)
        for offset in self._around:
            open_places = np.flatnonzero(~kept)
            neighbour = pixel[open_places] + offset
            found = np.searchsorted(keys, neighbour * n + open_places) - 1
            here = (found >= 0) & (keys[found] // n == neighbour)
            seen = np.where(here, t[keys[found] % n], self._last[neighbour])
            near = np.abs(t[open_places] - seen) <= self._support_us
            kept[open_places[near]] = True
        self._last[pixel] = t  # of several at one pixel the last one stays
        if kept.all():
            return events
        self.removed += n - int(np.count_nonzero(kept))
        return events[kept]
