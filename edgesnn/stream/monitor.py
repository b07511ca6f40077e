"""What displays see of a run: the newest state, pulled, never pushed.

The thread that runs the network swaps one reference per step; everything that costs (the picture,
the percentiles) is computed on the thread that asks, and not at all when nobody does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesnn.decide.decision import Decision, Turn
from edgesnn.decide.motion_field import MotionField
from edgesnn.events import Events, empty_events
from edgesnn.senses.encoder import Grid
from edgesnn.stream.meter import LatencyMeter, RateMeter
from edgesnn.stream.sink import Snapshot
from edgesnn.stream.slicer import Step

_WINDOW_US = 40_000  # of event time in a picture
_RASTER_STEPS = 128  # columns of the picture of a sensor that is one row: sound
_LARGEST = 128  # pixels of a picture along either side
_SEEN = 3  # brightness of a spike that the network used before it was sure; of the others: 1


@dataclass(frozen=True, slots=True)
class Counts:
    """What a run has counted so far; see `Snapshot`."""

    steps: int
    steps_late: int
    events: int
    dropped: int
    late: int


@dataclass(frozen=True, slots=True)
class _Newest:
    t_us: int
    recent: tuple[tuple[Events, int], ...]
    probabilities: NDArray[np.float64]
    decision: Decision
    counts: Counts
    event_rate_hz: float
    rates_hz: tuple[float, ...]
    field: MotionField | None


class LiveMonitor:
    """The Monitor of one run: `show` on the running thread, `latest` on any other."""

    def __init__(
        self,
        size: tuple[int, int],
        labels: tuple[str, ...],
        latency: LatencyMeter,
        *,
        pictures: bool = False,
    ) -> None:
        """Prepare for a sensor of size (width, height).

        latency: the run's own meter. pictures: the events are pictures, each one a trial, which
        stays in view until the next one.
        """
        self._raster = size[1] == 1
        self._pictures = pictures
        shrink = -(-max(size) // _LARGEST)
        self._grid = Grid(np.arange(size[0]) // shrink, np.arange(size[1]) // shrink)
        self._labels = labels
        self._latency = latency
        self._rates = RateMeter()
        self._recent: deque[tuple[Step, int]] = deque()
        self._newest: _Newest | None = None

    def show(
        self,
        step: Step,
        probabilities: NDArray[np.float64],
        held: Decision,
        counts: Counts,
        turn: Turn = "step",
        field: MotionField | None = None,
    ) -> None:
        """Publish the state after a step; probabilities must not be written to afterwards.

        turn: what the network did with the step. field: the motion that it saw.
        """
        self._rates.add(step.start_us, step.end_us, len(step.events))
        self._keep(step, turn)
        recent = tuple((shown.events, strength) for shown, strength in self._recent)
        self._newest = _Newest(
            step.end_us,
            recent,
            probabilities,
            held,
            counts,
            self._rates.rate_hz,
            self._rates.history_hz,
            field,
        )

    def latest(self) -> Snapshot | None:
        """Return the newest snapshot, None before the first step. Any thread, never blocks."""
        newest = self._newest
        if newest is None:
            return None
        counts = [strength * self._grid.count(events) for events, strength in newest.recent]
        if not counts:
            counts = [self._grid.count(empty_events())]
        frame = scrolled(counts) if self._raster else sum(counts)
        return Snapshot(
            t_us=newest.t_us,
            frame=np.minimum(frame, 255).astype(np.uint8),
            labels=self._labels,
            probabilities=newest.probabilities,
            decision=newest.decision,
            latency_us=self._latency.percentiles(),
            steps=newest.counts.steps,
            steps_late=newest.counts.steps_late,
            events=newest.counts.events,
            dropped=newest.counts.dropped,
            late=newest.counts.late,
            event_rate_hz=newest.event_rate_hz,
            rates_hz=newest.rates_hz,
            field=newest.field,
        )

    def _keep(self, step: Step, turn: Turn) -> None:
        """Add a step to the picture, and take away what is out of it."""
        if self._pictures:
            if turn == "reset":
                self._recent.clear()
            if len(step.events):
                self._recent.append((step, 1 if turn == "skip" else _SEEN))
            return
        self._recent.append((step, 1))
        while self._old(step):
            self._recent.popleft()

    def _old(self, step: Step) -> bool:
        """Whether the oldest step is out of the picture."""
        if self._raster:
            return len(self._recent) > _RASTER_STEPS
        return self._recent[0][0].end_us <= step.end_us - _WINDOW_US


def scrolled(counts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return a spike raster (2, bands, steps) of counts (2, 1, bands), newest at the right.

    High bands are at the top, as in a spectrogram.
    """
    raster = np.zeros((2, counts[0].shape[2], _RASTER_STEPS), np.int64)
    columns = np.concatenate(counts, axis=1).transpose(0, 2, 1)[:, ::-1]
    raster[:, :, _RASTER_STEPS - columns.shape[2] :] = columns
    return raster
