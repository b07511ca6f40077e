"""Light that flickers with the mains is learned and shut out, pixel by pixel.

Lamps flicker at twice the mains' frequency, 100 or 120 Hz, and every pixel that sees one fires at
the same place in each cycle. Time is cut into windows of 100 ms. In each, every eighth ON event (of
a flood about 64 a block) is sorted by blocks of 16 x 16 pixels and by its place p in the cycle;
where the mean of exp(2 pi i p) is longer than 0.6 (the mean resultant length of directional
statistics), the light may flicker, and only there the pixels are looked at: one that fires together
with the cycle (longer than 0.85, over at least eight events, which fade by a quarter with each
window) is shut out in the next window. It comes back when it stops to. A scene without flicker
costs little, and loses nothing: the real recordings that come with edgesnn do not.

What truly moves to and fro at 100 or 120 Hz, or a half or a third of it, is taken for flicker too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgesnn.events import Events, joined_events
from edgesnn.senses.clock import WindowClock

WINDOW_US = 100_000
LIGHTS_HZ = (100, 120)
_BLOCK = 16
_SAMPLE, _ENOUGH = 8, 64
_PLACES = 100
_LEAST_BLOCK, _LEAST_PIXEL = 16, 8
_ALIKE_BLOCK, _ALIKE_PIXEL = 0.6, 0.85
_FADE = 0.75
_ANGLES = 2 * np.pi * (np.arange(_PLACES) + 0.5) / _PLACES
_COS, _SIN = np.cos(_ANGLES), np.sin(_ANGLES)
_Index = NDArray[np.intp]


class Flicker:
    """The filter of one sensor. removed: events taken out so far."""

    def __init__(self, size: tuple[int, int]) -> None:
        """Prepare for a sensor of (width, height); every event must lie on it."""
        self.removed = 0
        self._width = size[0]
        self._columns = -(-size[0] // _BLOCK)
        self._blocks = self._columns * -(-size[1] // _BLOCK)
        self._cells = size[0] * size[1]
        self._clock = WindowClock(WINDOW_US)
        self._seen = 0  # ON events of the open window
        self._every = _SAMPLE
        self._sample: list[Events] = []
        self._window: list[Events] = []  # of the open window, while something flickers
        self._lights = {hz: _Light(self._cells) for hz in LIGHTS_HZ}
        self._watched: dict[int, NDArray[np.bool_]] = {}  # blocks where a light may flicker
        self._shut = np.zeros(self._cells, bool)
        self._any = False
        self.found_hz: set[int] = set()

    def feed(self, events: Events) -> Events:
        """Return the events that are kept; the same array where all are."""
        if not len(events):
            return events
        if self._clock.stays(events["t"]):
            return self._taken(events)
        parts, first = [], 0
        for last, window in self._clock.runs(events["t"]):
            before = self._clock.enter(window)
            if before is not None:
                self._judge()
            parts.append(self._taken(events[first:last]))
            first = last
        return events if sum(map(len, parts)) == len(events) else joined_events(parts)

    def _taken(self, events: Events) -> Events:
        """Look at events of the open window, and take out those of pixels that are shut out."""
        on = np.flatnonzero(events["p"])
        sampled = on[-self._seen % self._every :: self._every]
        self._seen += len(on)
        if len(sampled):
            self._sample.append(events[sampled])
        if self._watched:
            self._window.append(events[on])
        if not self._any:
            return events
        shut = self._shut[self._pixels(events)]
        if not shut.any():
            return events
        self.removed += int(np.count_nonzero(shut))
        return events[~shut]

    def _judge(self) -> None:
        """End the open window."""
        # Of a flood fewer are looked at: as many as the window before gave.
        self._every, self._seen = max(_SAMPLE, self._seen // (_ENOUGH * self._blocks)), 0
        sample, window = joined_events(self._sample), joined_events(self._window)
        self._sample, self._window = [], []
        self._shut[:] = False
        for hz, light in self._lights.items():
            if hz in self._watched:
                inside = self._watched[hz][self._block(window)]
                light.add(self._pixels(window[inside]), _places(window[inside], hz))
                shut = light.together()
                if shut.any():
                    self.found_hz.add(hz)
                self._shut |= shut
            elif light.known:
                light.forget()
        self._any = bool(self._shut.any())
        self._watched = {}
        block = self._block(sample)
        for hz in LIGHTS_HZ:
            count, alike = _alike(block, _places(sample, hz), self._blocks)
            watched = (count >= _LEAST_BLOCK) & (alike > _ALIKE_BLOCK * count)
            if watched.any():
                self._watched[hz] = watched

    def _pixels(self, events: Events) -> _Index:
        pixels: _Index = events["y"].astype(np.intp) * self._width + events["x"]
        return pixels

    def _block(self, events: Events) -> _Index:
        blocks: _Index = (events["y"] // _BLOCK).astype(np.intp) * self._columns
        blocks += events["x"] // _BLOCK
        return blocks


class _Light:
    """Which pixels fire together with a light of one frequency."""

    def __init__(self, cells: int) -> None:
        self._cells = cells
        self._sums: list[NDArray[np.float64]] = []

    @property
    def known(self) -> bool:
        """Whether anything is remembered."""
        return bool(self._sums)

    def add(self, pixels: _Index, places: _Index) -> None:
        """Take ON events of a window; those before count less."""
        new = [
            np.bincount(pixels, weights=weights, minlength=self._cells)
            for weights in (None, _COS[places], _SIN[places])
        ]
        before = self._sums or [np.zeros(self._cells)] * len(new)
        self._sums = [_FADE * a + b for a, b in zip(before, new, strict=True)]

    def together(self) -> NDArray[np.bool_]:
        """Return which pixels fire together with the light, (cells,)."""
        count, cosine, sine = self._sums
        both: NDArray[np.bool_] = np.hypot(cosine, sine) > _ALIKE_PIXEL * count
        return both & (count >= _LEAST_PIXEL)

    def forget(self) -> None:
        """Begin anew."""
        self._sums = []


def _places(events: Events, hz: int) -> _Index:
    """Return where in the light's cycle each event lies, 0 to _PLACES - 1."""
    return (events["t"] * hz % 1_000_000 * _PLACES // 1_000_000).astype(np.intp)


def _alike(
    where: _Index, places: _Index, cells: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return how many events each cell has, and the length of the sum of their unit vectors."""
    cosine = np.bincount(where, weights=_COS[places], minlength=cells)
    sine = np.bincount(where, weights=_SIN[places], minlength=cells)
    return np.bincount(where, minlength=cells), np.hypot(cosine, sine)
