"""Live sources, durations and slow networks: what waits, what is dropped, what is late."""

import time
from collections.abc import Iterator

import numpy as np
import pytest
from fake_runs import (
    SCENE,
    STEP,
    FakeSource,
    LeftOrRight,
    Listener,
    cut,
    heard_of,
    live,
    play,
    scene,
)

from edgesnn.events import EVENT, Packet


def test_a_quiet_live_sensor_still_steps():
    def dark() -> Iterator[Packet]:
        for watermark in range(0, 100_001, 5_000):
            yield Packet(np.empty(0, EVENT), watermark, time.monotonic_ns())

    summary = play(FakeSource(dark(), can_wait=False))
    assert (summary.steps, summary.events, summary.decision) == (10, 0, "no gesture")


def test_duration_of_a_recording_is_event_time():
    heard = []
    summary = play(FakeSource(cut(scene(*["left"] * 50), 40)), Listener(heard), duration_s=0.1)
    assert summary.steps == 10
    assert heard_of(heard, "close") == [summary]


def test_duration_ends_within_a_silence():
    events = scene(*["left"] * 3)
    late = events.copy()
    late["t"] += 40_000_000
    seen = []

    def packets():
        yield from cut(events, 40, until=3 * STEP)
        for watermark in range(1_000_000, 41_000_000, 1_000_000):
            seen.append(watermark)
            yield Packet(np.empty(0, EVENT), watermark, time.monotonic_ns())
        yield from cut(late, 1000)

    summary = play(FakeSource(packets()), duration_s=15)
    assert summary.events == len(events) and summary.queued + summary.dropped <= len(late)
    assert summary.steps <= 15e6 / STEP and summary.realtime_factor > 0
    together = np.concatenate([events, late])
    summary = play(FakeSource(cut(together, len(together))), duration_s=15)
    assert (summary.events, summary.queued) == (len(events), len(late))


def test_late_events_of_a_recording_are_told():
    events = scene(*["left"] * 20)
    events["t"][-1] = 10_000
    summary = play(FakeSource(cut(events, 9)))
    assert summary.late == 1
    assert summary.notes[0].startswith("1 events came after their step was closed")


def test_duration_of_a_live_source_is_host_time():
    began = time.monotonic()
    play(FakeSource(live(1, 30), can_wait=False), duration_s=0.2)
    assert 0.2 <= time.monotonic() - began < 5


@pytest.mark.parametrize("bound, value", [("RING_PACKETS", 20), ("RING_AGE_S", 0.02)])
def test_a_network_too_slow_for_its_sensor_drops_whole_packets_and_lags_no_more_than_that(
    monkeypatch, bound, value
):
    monkeypatch.setattr(f"edgesnn.stream.loop.{bound}", value)
    model, heard = LeftOrRight(), []
    model.slow_s = 0.03  # three times the length of a step
    source = FakeSource(live(7, 0.5), can_wait=False)
    summary = play(source, Listener(heard), model=model)
    given = sum(heard_of(heard, "packet"))
    assert summary.dropped > 0
    assert summary.dropped % 7 == 0
    assert summary.events + summary.dropped == given
    assert summary.late == 0
    assert summary.latency_us.max < 2e6


def test_a_recording_waits_for_a_slow_network(monkeypatch):
    monkeypatch.setattr("edgesnn.stream.loop.RING_PACKETS", 2)
    model = LeftOrRight()
    model.slow_s = 0.005
    summary = play(FakeSource(cut(scene(*SCENE), 5)), model=model)
    assert (summary.events, summary.dropped, summary.steps) == (351, 0, 11)


def test_late_steps_are_counted():
    model, listener = LeftOrRight(), Listener([])
    model.slow_s = 0.015
    play(FakeSource(cut(scene(*["left"] * 3), 51)), listener, model=model)
    assert listener.monitor.latest().steps_late == 3
