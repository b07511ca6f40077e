"""What displays see: the last moment of a camera, and the whole last picture of trials."""

from collections.abc import Iterator

import numpy as np
import pytest
from fake_runs import FakeSource, Listener, cut, heard_of, play, scene

from edgesnn.decide.decision import Decision, Turn
from edgesnn.events import Events, Packet, events_from_arrays
from edgesnn.stream.meter import LatencyMeter
from edgesnn.stream.monitor import Counts, LiveMonitor
from edgesnn.stream.slicer import Step

STEP_US = 5_000
HELD = Decision(0, -1, "nothing", 1.0, 0.0)


def pixel(x: int) -> Events:
    return events_from_arrays(np.array([0]), np.array([x]), np.array([0]), np.array([1]))


def seen(*, pictures: bool, steps: list[tuple[Events, Turn]]) -> list[int]:
    """Return the ON counts of the first row after the steps."""
    monitor = LiveMonitor((8, 2), ("a", "b"), LatencyMeter(), pictures=pictures)
    for i, (events, turn) in enumerate(steps):
        step = Step(i, i * STEP_US, (i + 1) * STEP_US, events, 0)
        monitor.show(step, np.array([0.5, 0.5]), HELD, Counts(i, 0, 0, 0, 0), turn)
    snapshot = monitor.latest()
    assert snapshot is not None
    return snapshot.frame[1, 0].tolist()


def test_a_picture_stays_until_the_next_one_and_what_was_used_is_bright() -> None:
    none = pixel(0)[:0]
    trial: list[tuple[Events, Turn]] = [(pixel(1), "reset"), (pixel(2), "step"), (pixel(3), "skip")]
    pause: list[tuple[Events, Turn]] = [(none, "skip")] * 100
    assert seen(pictures=True, steps=trial + pause) == [0, 3, 3, 1, 0, 0, 0, 0]
    following: list[tuple[Events, Turn]] = [(pixel(6), "reset")]
    assert seen(pictures=True, steps=trial + pause + following) == [0, 0, 0, 0, 0, 0, 3, 0]


@pytest.mark.parametrize("pictures", [True, False])
def test_nothing_yet_is_an_empty_frame(pictures: bool) -> None:
    assert seen(pictures=pictures, steps=[(pixel(0)[:0], "skip")]) == [0] * 8


def test_events_of_a_camera_fade_after_40_ms() -> None:
    none = pixel(0)[:0]
    shown = [(pixel(1), "step"), *[(none, "step")] * 7]
    assert seen(pictures=False, steps=shown)[1] == 1
    assert seen(pictures=False, steps=[*shown, (none, "step")])[1] == 0


def test_the_monitor_shows_the_newest_step():
    heard, seen = [], []
    listener = Listener(heard)

    def packets() -> Iterator[Packet]:
        assert listener.monitor is not None
        seen.append(listener.monitor.latest())
        yield from cut(scene(*["left"] * 30), 40)

    play(FakeSource(packets()), listener)
    assert seen == [None]
    snapshot = listener.monitor.latest()
    assert (snapshot.t_us, snapshot.steps, snapshot.events) == (300_000, 30, 1501)
    assert (snapshot.dropped, snapshot.late) == (0, 0)
    assert (snapshot.frame.shape, snapshot.frame.dtype) == ((2, 16, 16), np.uint8)
    # 40 ms are four steps of 50 events, all in one pixel.
    assert int(snapshot.frame[:, 5, 2].astype(int).sum()) == int(snapshot.frame.sum()) == 200
    assert snapshot.labels == ("left", "right")
    assert snapshot.decision == heard_of(heard, "decision")[-1]
    assert snapshot.probabilities[0] > 0.9
    assert snapshot.event_rate_hz == pytest.approx(5000)
    assert snapshot.rates_hz == pytest.approx((5004,))


def test_pictures_saturate():
    listener = Listener([])
    play(FakeSource(cut(scene("left", per_step=3000), 50)), listener)
    assert listener.monitor.latest().frame[:, 5, 2].tolist() == [255, 255]


def test_pictures_of_large_sensors_are_small():
    listener = Listener([])
    events = scene("left", size=(640, 480))
    play(FakeSource(cut(events, 50), size=(640, 480)), listener)
    assert listener.monitor.latest().frame.shape == (2, 96, 128)
