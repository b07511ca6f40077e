"""Latency percentiles and rates of a run of any length, in memory that does not grow."""

from __future__ import annotations

import math
from array import array
from collections import deque

from edgesnn.stream.sink import Percentiles

_GROWTH = 1.02  # width of a bucket: a value is known to +- 1 %
_LOG_GROWTH = math.log(_GROWTH)
_BUCKETS = 1500  # 1.02 ** 1500 ns is 2.2 hours


class LatencyMeter:
    """A histogram of durations with buckets of equal ratio: <= 1 % error, exact maximum.

    Reading from a second thread while the first one adds is safe: it may miss the newest value.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._buckets = array("q", bytes(8 * _BUCKETS))
        self._count = 0
        self._longest_ns = 0

    @property
    def count(self) -> int:
        """Values taken."""
        return self._count

    def add(self, duration_ns: int) -> None:
        """Take one duration, nanoseconds; a negative one counts as 0."""
        bucket = int(math.log(max(duration_ns, 1)) / _LOG_GROWTH)
        self._buckets[min(bucket, _BUCKETS - 1)] += 1
        self._count += 1
        self._longest_ns = max(self._longest_ns, duration_ns)

    def quantile_us(self, q: float) -> float:
        """Return the smallest duration that a share q of all does not exceed, microseconds.

        0.0 when nothing was taken.
        """
        buckets = self._buckets[:]  # one copy: the other thread may be adding
        rank, seen = max(1, math.ceil(q * sum(buckets))), 0
        for bucket, count in enumerate(buckets):
            seen += count
            if seen >= rank:
                middle_ns = math.exp((bucket + 0.5) * _LOG_GROWTH)
                return min(middle_ns, self._longest_ns) / 1e3
        return 0.0

    def histogram_us(self) -> list[tuple[float, int]]:
        """Return (middle of a bucket, microseconds, and how many fell into it), shortest first."""
        return [
            (math.exp((bucket + 0.5) * _LOG_GROWTH) / 1e3, count)
            for bucket, count in enumerate(self._buckets[:])
            if count
        ]

    def percentiles(self) -> Percentiles:
        """Return the usual ones; all 0.0 when nothing was taken."""
        return Percentiles(
            self.quantile_us(0.5),
            self.quantile_us(0.99),
            self.quantile_us(0.999),
            self._longest_ns / 1e3,
        )


class RateMeter:
    """Events per second of event time, over windows that follow one another."""

    def __init__(self, window_us: int = 250_000, history: int = 120) -> None:
        """Start before the first count; history: how many finished windows are remembered."""
        self._window_us = window_us
        self._finished: deque[float] = deque(maxlen=history)
        self._steps: deque[tuple[int, int]] = deque()  # (end, events) in the last window_us
        self._in_steps = 0
        self._window_end: int | None = None
        self._in_window = 0

    def add(self, start_us: int, end_us: int, events: int) -> None:
        """Take the events of one step; steps follow one another in time."""
        if self._window_end is None:
            self._window_end = start_us + self._window_us
        while end_us > self._window_end:
            self._finish_window(end_us)
        self._in_window += events
        self._steps.append((end_us, events))
        self._in_steps += events
        while self._steps[0][0] <= end_us - self._window_us:
            self._in_steps -= self._steps.popleft()[1]

    def _finish_window(self, until_us: int) -> None:
        assert self._window_end is not None
        self._finished.append(self._in_window * 1e6 / self._window_us)
        self._in_window = 0
        self._window_end += self._window_us
        # A long silence: more empty windows than are remembered are as good as that many.
        unseen = (until_us - self._window_end) // self._window_us - (self._finished.maxlen or 0)
        self._window_end += max(0, unseen) * self._window_us

    @property
    def rate_hz(self) -> float:
        """Events per second over the last window_us."""
        return self._in_steps * 1e6 / self._window_us

    @property
    def history_hz(self) -> tuple[float, ...]:
        """Rates of the finished windows, oldest first."""
        return tuple(self._finished)
