"""Every event that a source gives is told in just one place, whatever the schedule."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from fake_runs import FakeSource, LeftOrRight, bundle_of
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesnn.events import EVENT, Packet
from edgesnn.stream.pipeline import run
from edgesnn.stream.sink import Decision

Schedule = list[tuple[int, int, int]]
"""Per packet: events, how far time goes on (us, may be back), what pixel fires."""


def packets(schedule: Schedule) -> Iterator[Packet]:
    t, watermark = 1_000_000, 0
    for count, forward, place in schedule:
        t = max(0, t + forward)
        events = np.zeros(count, EVENT)
        events["t"] = t + np.arange(count) * 37 - (np.arange(count) % 5) * 900
        events["x"], events["y"], events["p"] = place, place // 2, np.arange(count) % 2
        watermark = max(watermark, int(events["t"].max())) if count else watermark + 1000
        yield Packet(events, watermark, time.monotonic_ns())


class Counting(FakeSource):
    """Counts what it gave."""

    def __init__(self, schedule: Schedule, can_wait: bool) -> None:
        super().__init__(packets(schedule), can_wait=can_wait)
        self.given = 0

    def read(self) -> Packet | None:
        packet = super().read()
        self.given += 0 if packet is None else len(packet.events)
        return packet


class StopsAt:
    """A sink that ends the run at its n-th packet."""

    def __init__(self, n: int, stop: threading.Event) -> None:
        self.left, self.stop = n, stop

    def open(self, info: object, monitor: object) -> None: ...

    def packet(self, packet: Packet) -> None:
        self.left -= 1
        if self.left == 0:
            self.stop.set()

    def decision(self, decision: Decision) -> None: ...

    def close(self, summary: object) -> None: ...


SCHEDULES = st.lists(
    st.tuples(st.integers(0, 400), st.integers(-3_000_000, 60_000), st.integers(0, 15)),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(
    SCHEDULES,
    st.booleans(),
    st.sampled_from(["off", "hot", "full"]),
    st.integers(0, 40),
    st.sampled_from([None, 0.02, 0.3]),
    st.sampled_from([300, 4000, 10**6]),
)
def test_given_is_processed_dropped_late_filtered_and_queued(
    schedule: Schedule,
    can_wait: bool,
    denoise: str,
    stop_at: int,
    duration_s: float | None,
    ring: int,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgesnn.stream.loop.RING_EVENTS", ring)
        patch.setattr("edgesnn.stream.loop.RING_PACKETS", 7)
        source, model, stop = Counting(schedule, can_wait), LeftOrRight(), threading.Event()
        summary = run(
            source,
            bundle_of(model),
            model,
            [StopsAt(stop_at, stop)],
            backend_name="fake",
            stop=stop,
            duration_s=duration_s,
            denoise=denoise,
        )
    told = (summary.events, summary.dropped, summary.late, summary.filtered, summary.queued)
    assert sum(told) == source.given, told
    assert min(told) >= 0
