"""Streaming change of the sample rate, a few milliseconds late and blind to how samples are cut.

Polyphase windowed-sinc interpolation with integer positions: output n lies at n * down / up input
samples, in lowest terms, and is the dot product of the inputs around it with one of `up` rows of
coefficients. Libraries that do this in large blocks answer 100 ms late (python-soxr at its high
quality); for listening that is too late, so this is ours.
Source: Smith, "Digital audio resampling" (the windowed-sinc method); Kaiser window, beta 9.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_CROSSINGS = 16  # zero crossings of the sinc on either side
_ROWS = 128
_PASSED = 0.92  # of the lower of the two Nyquist frequencies


class Resampler:
    """Changes the rate of one stream of samples. Samples before the first and after the last: 0.

    The output's first sample lies at the input's first; delay_s is how far the output lags.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        """Prepare the coefficients: float64 (up, taps)."""
        if from_hz < 1 or to_hz < 1:
            raise ValueError(f"no sample rates: {from_hz}, {to_hz}")
        common = math.gcd(from_hz, to_hz)
        self._up, self._down = to_hz // common, from_hz // common
        slower = min(1.0, to_hz / from_hz) * _PASSED
        self._half = math.ceil(_CROSSINGS / slower)
        self.delay_s = self._half / from_hz
        self._rows: Floats = np.empty((self._up, 2 * self._half))
        for first in range(0, self._up, _ROWS):  # a few at a time: odd rates need many
            last = min(first + _ROWS, self._up)
            self._rows[first:last] = self._coefficients(np.arange(first, last), slower)
        self._same = self._up == self._down
        self._kept = np.zeros(self._half - 1)
        self._first = -(self._half - 1)  # position of the first sample kept
        self._next = 0  # output to make next

    def _coefficients(self, phases: NDArray[np.int64], slower: float) -> Floats:
        offsets = np.arange(-self._half + 1, self._half + 1)
        at = offsets[None, :] - phases[:, None] / self._up
        window = np.i0(9.0 * np.sqrt(np.maximum(1 - (at / self._half) ** 2, 0))) / np.i0(9.0)
        rows = np.sinc(at * slower) * slower * window
        normal: Floats = rows / rows.sum(axis=1, keepdims=True)
        return normal

    def feed(self, samples: NDArray[Any]) -> Floats:
        """Take samples (n,); return the outputs that are complete now."""
        given = np.asarray(samples, np.float64)
        if self._same:
            return given
        self._kept = np.concatenate([self._kept, given])
        end = self._first + len(self._kept)
        # Output n needs inputs up to n * down // up + half.
        ready = ((end - 1 - self._half) * self._up + self._up - 1) // self._down + 1
        numbers = np.arange(self._next, max(self._next, ready))
        made = self._made(numbers)
        self._next += len(numbers)
        used = self._next * self._down // self._up - (self._half - 1) - self._first
        if used > 0:
            self._kept, self._first = self._kept[used:].copy(), self._first + used
        return made

    def flush(self) -> Floats:
        """End the stream: return what was still held back."""
        if self._same:
            return np.zeros(0)
        total = self._first + len(self._kept)
        wanted = -(-total * self._up // self._down) - self._next
        return self.feed(np.zeros(self._half + self._down))[:wanted]

    def _made(self, numbers: NDArray[np.int64]) -> Floats:
        if not len(numbers):
            return np.zeros(0)
        whole, phase = np.divmod(numbers * self._down, self._up)
        windows = np.lib.stride_tricks.sliding_window_view(self._kept, 2 * self._half)
        seen = windows[whole - (self._half - 1) - self._first]
        out: Floats = (seen * self._rows[phase]).sum(axis=1)
        return out
