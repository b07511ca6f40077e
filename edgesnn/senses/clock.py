"""Windows of a sensor's clock, which is the largest time told so far and may begin anew."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RESET_US = 1_000_000
"""A time so far before the clock is that of a clock that began anew."""
_PIECE = 1 << 16  # events looked at together, however often the clock begins anew
_Times = NDArray[np.int64]


class WindowClock:
    """Says in which window of `length_us` each event comes, whatever packets it comes in.

    window: the one that the newest event lies in; None before the first.
    """

    def __init__(self, length_us: int) -> None:
        self._length_us = length_us
        self._clock: int | None = None
        self.window: int | None = None

    def stays(self, t: _Times) -> bool:
        """Take times (n,), n > 0, if all lie in the open window, whatever their order."""
        if self._clock is None:
            return False
        newest = max(self._clock, int(t.max()))
        if newest // self._length_us != self.window or int(t.min()) < newest - RESET_US:
            return False
        self._clock = newest
        return True

    def runs(self, t: _Times) -> list[tuple[int, int]]:
        """Take times (n,); return (end, window) of each run of events that share a window."""
        found: list[tuple[int, int]] = []
        first = 0
        while first < len(t):
            here = t[first : first + _PIECE]
            clock = np.maximum.accumulate(here)
            if self._clock is not None:
                clock = np.maximum(clock, self._clock)
            back = np.flatnonzero(here < clock - RESET_US)
            n = int(back[0]) if len(back) else len(here)
            if n:
                window = clock[:n] // self._length_us
                ends = np.append(np.flatnonzero(np.diff(window)) + 1, n)
                found += [(first + int(end), int(window[end - 1])) for end in ends]
                self._clock = int(clock[n - 1])
            if len(back):  # the sensor's clock began anew
                self._clock = int(here[n])
            first += n
        return found

    def enter(self, window: int) -> int | None:
        """Go to a window; return the one that ends by that, None where none does."""
        before, self.window = self.window, window
        return before if before != window else None
