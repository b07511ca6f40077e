"""Hot pixels are learned and shut out, event by event, whatever packets the events come in.

Time is cut into windows of 50 ms by the sensor's clock (the largest time told so far), and these
are taken together by 2, 4 and 20: 0.1, 0.2 and 1 s. At the end of a span of each length a pixel is
suspicious that fired at least 15, 25, 40 and 15 times in it, and more than four times as often as
the six quietest of its neighbours together: an edge that moves makes all around it fire, a defect
does not, nor do two side by side or a column of them. One that was suspicious in two spans of a
length running is shut out from the next window on: a pixel of 300 Hz after 0.1 s, of 250 Hz after
0.2 s, of 200 Hz after 0.4 s, of 15 Hz, or one that fires in bursts, after 2 s. The pixels of a row
or column that is noisy in two spans running (`senses.lines`) are shut out sooner, at 50 Hz after
0.1 s, at 15 Hz after 0.2 s. A pixel comes back after two spans of 1 s in which it was calm. What is
decided holds for later windows only, so that nothing waits: a noisy part of the sensor may be
taken for motion until then.

The real recording of a gesture that comes with edgesnn loses no event to it as it lies, that of
digits 25 of one pixel; a busy pixel whose windows fall otherwise may be lost (115 of 101,288 events
of one clip, moved by 20 ms).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgesnn.events import Events, joined_events
from edgesnn.senses.clock import WindowClock
from edgesnn.senses.lines import OFTEN, ONCE, noisy_lines

WINDOW_US = 50_000
SPANS = {1: 15, 2: 25, 4: 40, 20: 15}
"""Windows that are looked at together, and how often a suspicious pixel fires in them."""
_TIMES, _CALM = 4, 2
_BUSIEST = 2
"""Neighbours that may be defects as well."""
_Index = NDArray[np.int64]


class _Span:
    """Windows looked at together. suspicious: pixels that were so in the span before. lined: its
    counts, where it had noisy lines."""

    def __init__(self, length: int, least: int, cells: int) -> None:
        self.length, self.least = length, least
        self.counts = np.zeros(cells, np.int32)
        self.suspicious: set[int] = set()
        self.lined: NDArray[np.int32] | None = None


class HotPixels:
    """The filter of one sensor. removed: events taken out so far."""

    def __init__(self, size: tuple[int, int]) -> None:
        """Prepare for a sensor of (width, height); every event must lie on it."""
        self.removed = 0
        self._width, self._height = size
        cells = size[0] * size[1]
        self._counts = np.zeros(cells, np.int32)
        self._spans = [_Span(length, least, cells) for length, least in SPANS.items()]
        self._first = self._spans.pop(0)
        self._shut = np.zeros(cells, bool)
        self._calm: dict[int, int] = {}  # of pixels shut out: long spans since they were busy
        self._clock = WindowClock(WINDOW_US)
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
        if self._clock.stays(events["t"]):
            self._count(pixel)
            return self._without_shut(events, pixel) if self._calm else events
        parts, first = [], 0
        for last, window in self._clock.runs(events["t"]):
            self._enter(window)
            here, shown = pixel[first:last], events[first:last]
            self._count(here)
            parts.append(self._without_shut(shown, here) if self._calm else shown)
            first = last
        kept = sum(map(len, parts))
        return events if kept == len(events) else joined_events(parts)

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

    def _enter(self, window: int) -> None:
        """End the window that was open, if this is another one."""
        open_window = self._clock.enter(window)
        if open_window is None:
            return
        self._judge(self._first, self._counts, open_window, window)
        for span in self._spans:
            span.counts += self._counts
            if open_window // span.length != window // span.length:
                self._judge(span, span.counts, open_window, window)
                if span is self._spans[-1]:
                    self._release(span, open_window, window)
                span.counts[:] = 0
        self._counts[:] = 0

    def _judge(self, span: _Span, counts: NDArray[np.int32], before: int, now: int) -> None:
        """Shut out what was suspicious in this span and in the one before it."""
        busy = np.flatnonzero(counts >= span.least)
        busy = busy[counts[busy] > _TIMES * self._around(counts, busy)]
        hot = set(busy.tolist())
        lines = self._in_lines(counts)
        if lines and span.lined is not None:
            # An edge that passes between two spans is in both, but not often.
            both = noisy_lines(self._grid(counts + span.lined), OFTEN)
            hot_lines = lines & set(np.flatnonzero(both).tolist())
        else:
            hot_lines = set()
        for p in (hot & span.suspicious) | hot_lines:
            self._shut[p] = True
            self._calm.setdefault(p, 0)
        running = now // span.length == before // span.length + 1
        span.suspicious = hot if running else set()
        span.lined = counts.copy() if running and lines else None

    def _release(self, span: _Span, before: int, now: int) -> None:
        """Let pixels come back that were calm for long."""
        passed = max(1, now // span.length - before // span.length)
        lines = self._in_lines(span.counts) if self._calm else set()
        for p in list(self._calm):
            busy = span.counts[p] >= span.least or p in lines
            calm = 0 if busy else self._calm[p] + passed
            self._calm[p] = calm
            if calm >= _CALM:
                self._shut[p] = False
                del self._calm[p]

    def _in_lines(self, counts: NDArray[np.int32]) -> set[int]:
        """Return the pixels of noisy rows and columns."""
        return set(np.flatnonzero(noisy_lines(self._grid(counts), ONCE)).tolist())

    def _grid(self, counts: NDArray[np.int32]) -> NDArray[np.int32]:
        return counts.reshape(self._height, self._width)

    def _around(self, counts: NDArray[np.int32], pixels: _Index) -> _Index:
        """Return how often the quietest neighbours of each pixel fired."""
        if not len(pixels):
            return np.zeros(0, np.int64)
        width, height = self._width, self._height
        framed = np.zeros((height + 2, width + 2), np.int32)
        framed[1:-1, 1:-1] = counts.reshape(height, width)
        y, x = np.divmod(pixels, width)
        around = np.stack([framed[y + dy, x + dx] for dy in range(3) for dx in range(3)])
        around = np.delete(around, 4, axis=0)
        around.sort(axis=0)
        quiet: _Index = around[:-_BUSIEST].sum(axis=0, dtype=np.int64)
        return quiet
