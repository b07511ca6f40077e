"""Hot pixels are learned and shut out, event by event, whatever packets the events come in.

Time is cut into windows of 50 ms by the sensor's clock (the largest time told so far). At the end
of a window a pixel is suspicious that fired at least 15 times in it, and more than four times as
often as the six quietest of its neighbours together: an edge that moves makes all around it fire, a
defect does not, nor do two side by side or a column of them. One that was suspicious in two windows
running is shut out from the next window on, and comes back after 2 s in which it was calm. What is
decided holds for later windows only, so that nothing waits.

The real recordings of gestures and digits that come with edgesnn lose no event to it as they lie; a
busy pixel whose windows fall otherwise may (115 of 101,288 events of one clip, moved by 20 ms).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgesnn.events import Events, joined_events

WINDOW_US = 50_000
_LEAST, _TIMES, _CALM = 15, 4, 40
_RESET_US = 1_000_000
_PIECE = 1 << 16  # events looked at together, however often the clock begins anew
_BUSIEST = 2
"""Neighbours that may be defects as well."""
_Index = NDArray[np.int64]


class HotPixels:
    """The filter of one sensor. removed: events taken out so far."""

    def __init__(self, size: tuple[int, int]) -> None:
        """Prepare for a sensor of (width, height); every event must lie on it."""
        self.removed = 0
        self._width, self._height = size
        cells = size[0] * size[1]
        self._counts = np.zeros(cells, np.int32)
        self._suspicious: set[int] = set()  # in the window before
        self._shut = np.zeros(cells, bool)
        self._calm: dict[int, int] = {}  # of pixels shut out: windows since they last were busy
        self._clock: int | None = None
        self._window: int | None = None
        self._found: set[int] = set()

    def found(self) -> list[tuple[int, int]]:
        """Return (x, y) of every pixel that events were taken from, sorted."""
        return sorted((p % self._width, p // self._width) for p in self._found)

    def feed(self, events: Events) -> Events:
        """Return the events that are kept; the same array where all are."""
        if not len(events):
            return events
        pixel = events["y"].astype(np.intp)
        pixel *= self._width
        pixel += events["x"]
        if self._in_open_window(events["t"]):
            self._count(pixel)
            return self._without_shut(events, pixel) if self._calm else events
        parts, first = [], 0
        for last, window in self._windows(events["t"]):
            self._enter(window)
            here, shown = pixel[first:last], events[first:last]
            self._count(here)
            parts.append(self._without_shut(shown, here) if self._calm else shown)
            first = last
        kept = sum(map(len, parts))
        return events if kept == len(events) else joined_events(parts)

    def _in_open_window(self, t: _Index) -> bool:
        """Whether the clock stays in the window that is open, whatever the order of the events."""
        if self._clock is None or int(t.min()) < self._clock - _RESET_US:
            return False
        newest = max(self._clock, int(t.max()))
        if newest // WINDOW_US != self._window:
            return False
        self._clock = newest
        return True

    def _count(self, pixel: _Index) -> None:
        if len(pixel) * 8 > len(self._counts):
            self._counts += np.bincount(pixel, minlength=len(self._counts))
        else:
            np.add.at(self._counts, pixel, np.int32(1))  # of another type it is 30 times slower

    def _without_shut(self, events: Events, pixel: _Index) -> Events:
        shut = self._shut[pixel]
        if not shut.any():
            return events
        self._found |= set(np.unique(pixel[shut]).tolist())
        self.removed += int(np.count_nonzero(shut))
        return events[~shut]

    def _windows(self, t: _Index) -> list[tuple[int, int]]:
        """Return (end, window) of each run of events that belong to one window."""
        runs: list[tuple[int, int]] = []
        first = 0
        while first < len(t):
            here = t[first : first + _PIECE]
            clock = np.maximum.accumulate(here)
            if self._clock is not None:
                clock = np.maximum(clock, self._clock)
            back = np.flatnonzero(here < clock - _RESET_US)
            n = int(back[0]) if len(back) else len(here)
            if n:
                window = clock[:n] // WINDOW_US
                ends = np.append(np.flatnonzero(np.diff(window)) + 1, n)
                runs += [(first + int(end), int(window[end - 1])) for end in ends]
                self._clock = int(clock[n - 1])
            if len(back):  # the sensor's clock began anew
                self._clock = int(here[n])
            first += n
        return runs

    def _enter(self, window: int) -> None:
        """End the window that was open, if this is another one."""
        open_window, self._window = self._window, window
        if open_window is None or window == open_window:
            return
        busy = np.flatnonzero(self._counts >= _LEAST)
        hot = set(busy[self._counts[busy] > _TIMES * self._around(busy)].tolist())
        follows = window == open_window + 1
        for p in hot & self._suspicious:
            self._shut[p] = True
            self._calm.setdefault(p, 0)
        self._suspicious = hot if follows else set()
        passed = max(1, window - open_window)
        for p in list(self._calm):
            calm = 0 if self._counts[p] >= _LEAST // 3 else self._calm[p] + passed
            self._calm[p] = calm
            if calm >= _CALM:
                self._shut[p] = False
                del self._calm[p]
        self._counts[:] = 0

    def _around(self, pixels: _Index) -> _Index:
        """Return how often the quietest neighbours of each pixel fired in the open window."""
        if not len(pixels):
            return np.zeros(0, np.int64)
        width, height = self._width, self._height
        framed = np.zeros((height + 2, width + 2), np.int32)
        framed[1:-1, 1:-1] = self._counts.reshape(height, width)
        y, x = np.divmod(pixels, width)
        around = np.stack([framed[y + dy, x + dx] for dy in range(3) for dx in range(3)])
        around = np.delete(around, 4, axis=0)
        around.sort(axis=0)
        quiet: _Index = around[:-_BUSIEST].sum(axis=0, dtype=np.int64)
        return quiet
