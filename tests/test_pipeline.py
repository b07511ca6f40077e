import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict

import numpy as np
import pytest

from edgesnn.bundle import Bundle, EncoderSpec, ReadoutSpec
from edgesnn.decision import Decision, Monitor, RunInfo, Summary
from edgesnn.errors import InputError, RunError
from edgesnn.events import EVENT, Packet, events_from_arrays
from edgesnn.pipeline import run
from edgesnn.program import Layer, Program

STEP = 10_000


class LeftOrRight:
    """A model of two classes: which half of the grid saw more events. Stateless enough to fake."""

    def __init__(self) -> None:
        weight = np.zeros((2, 2, 8, 8), np.int8)
        weight[0, :, :, :4] = weight[1, :, :, 4:] = 1
        self.program = Program(
            name="left-or-right",
            step_us=STEP,
            input_shape=(2, 8, 8),
            input_high=255,
            nodes=(Layer("out", "x", "w", op="linear"),),
            output="out",
            tensors={"w": weight.reshape(2, -1)},
        )
        self.frames: list[np.ndarray] = []
        self.slow_s = 0.0

    def stream(self) -> "LeftOrRight":
        return self

    def step(self, x: np.ndarray) -> np.ndarray:
        time.sleep(self.slow_s)
        self.frames.append(x)
        return (self.program.tensors["w"].astype(np.int32) @ x.reshape(-1)).astype(np.int32)


def bundle_of(model: LeftOrRight) -> Bundle:
    readout = ReadoutSpec(("left", "right"), 20.0, 2, 0.9, 0.6, quiet_events=20, quiet_us=2 * STEP)
    encoder = EncoderSpec((16, 16), tuple(range(256)))
    return Bundle(model.program, encoder, readout, {}, b"", {})


def scene(*sides: str, per_step: int = 50, size: tuple[int, int] = (16, 16)) -> np.ndarray:
    """One step of events for each of "left", "right", "dark"; an event at the very start."""
    t, x = [np.zeros(1, np.int64)], [np.zeros(1, np.int64)]
    for number, side in enumerate(sides):
        if side != "dark":
            t.append(number * STEP + np.linspace(1, STEP - 1, per_step).astype(np.int64))
            x.append(np.full(per_step, 2 if side == "left" else size[0] - 3))
    times = np.concatenate(t)
    return events_from_arrays(
        times, np.concatenate(x), np.full(len(times), 5), np.arange(len(times)) % 2
    )


class FakeSource:
    """Packets from a list or a generator; notes on whom and how often it is closed."""

    name = "fake"

    def __init__(
        self,
        packets: Iterator[Packet],
        *,
        size: tuple[int, int] = (16, 16),
        can_wait: bool = True,
    ) -> None:
        self.packets = packets
        self.size = size
        self.can_wait = can_wait
        self.closed = 0

    def read(self) -> Packet | None:
        return next(self.packets, None)

    def close(self) -> None:
        self.closed += 1


def cut(events: np.ndarray, size: int, until: int | None = None) -> Iterator[Packet]:
    for first in range(0, len(events), size):
        piece = events[first : first + size]
        yield Packet(piece, int(piece["t"][-1]), time.monotonic_ns())
    if until is not None:
        yield Packet(np.empty(0, EVENT), until, time.monotonic_ns())


class Listener:
    """A sink that keeps everything it hears in one list shared by all sinks."""

    def __init__(self, heard: list, name: str = "sink") -> None:
        self.heard = heard
        self.name = name
        self.monitor: Monitor | None = None
        self.threads: set[str] = set()

    def open(self, info: RunInfo, monitor: Monitor) -> None:
        self.monitor = monitor
        self.heard.append((self.name, "open", info))

    def packet(self, packet: Packet) -> None:
        self.threads.add(threading.current_thread().name)
        self.heard.append((self.name, "packet", len(packet.events)))

    def decision(self, decision: Decision) -> None:
        self.heard.append((self.name, "decision", decision))

    def close(self, summary: Summary | None) -> None:
        self.heard.append((self.name, "close", summary))


def play(source, *sinks, model: LeftOrRight | None = None, **options) -> Summary:
    model = model or LeftOrRight()
    options = {"stop": threading.Event(), "backend_name": "fake", **options}
    return run(source, bundle_of(model), model, sinks, **options)


def heard_of(heard: list, what: str) -> list:
    return [thing for _, kind, thing in heard if kind == what]


SCENE = ["left"] * 4 + ["dark"] * 4 + ["right"] * 3


def test_a_recording_becomes_decisions_and_a_summary():
    heard = []
    source = FakeSource(cut(scene(*SCENE), 37, until=12 * STEP))
    summary = play(source, Listener(heard))
    decisions = heard_of(heard, "decision")
    assert [(d.t_us, d.label) for d in decisions] == [
        (10_000, "left"),
        (60_000, "no gesture"),
        (90_000, "right"),
    ]
    assert all(0 < d.latency_us < 5e6 for d in decisions)
    assert (summary.source, summary.model, summary.backend) == ("fake", "left-or-right", "fake")
    assert (summary.events, summary.dropped, summary.late) == (351, 0, 0)
    assert (summary.steps, summary.decision) == (12, "left")
    assert summary.realtime_factor > 0
    assert 0 < summary.latency_us.p50 <= summary.latency_us.p99 <= summary.latency_us.max
    assert heard_of(heard, "close") == [summary]
    assert source.closed == 1


def test_sinks_hear_the_run_in_the_promised_order_and_threads():
    heard = []
    sinks = [Listener(heard, "first"), Listener(heard, "second")]
    play(FakeSource(cut(scene("left"), 20)), *sinks)
    assert [(who, what) for who, what, _ in heard if what in ("open", "close")] == [
        ("first", "open"),
        ("second", "open"),
        ("second", "close"),
        ("first", "close"),
    ]
    assert heard_of(heard, "open")[0] == RunInfo(
        "fake", (16, 16), "left-or-right", "fake", STEP, ("left", "right"), can_wait=True
    )
    assert [n for who, what, n in heard if (who, what) == ("first", "packet")] == [20, 20, 11]
    assert sinks[0].threads == {"edgesnn-reader"}


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_any_cutting_gives_the_same_frames_and_decisions(size):
    def outcome(pieces):
        model, heard = LeftOrRight(), []
        play(FakeSource(cut(scene(*SCENE), pieces)), Listener(heard), model=model)
        decisions = [(d.t_us, d.index, d.confidence) for d in heard_of(heard, "decision")]
        return [frame.tolist() for frame in model.frames], decisions

    assert outcome(size) == outcome(50)


def test_only_events_that_the_encoder_uses_count_as_a_scene():
    # Of a 32 x 32 sensor every second pixel counts: column 29 does, column 2 does not.
    heard = []
    events = scene("right", "left", "left", "left", size=(32, 32))
    play(FakeSource(cut(events, 50), size=(32, 32)), Listener(heard))
    decisions = [(d.t_us, d.label) for d in heard_of(heard, "decision")]
    assert decisions == [(10_000, "right"), (30_000, "no gesture")]


def test_the_network_sees_silence_between_events():
    model = LeftOrRight()
    play(FakeSource(cut(scene(*SCENE), 50)), model=model)
    assert [int(frame.sum()) for frame in model.frames] == [51, 50, 50, 50, 0, 0, 0, 0, 50, 50, 50]


def test_a_quiet_live_sensor_still_steps():
    def dark() -> Iterator[Packet]:
        for watermark in range(0, 100_001, 5_000):
            yield Packet(np.empty(0, EVENT), watermark, time.monotonic_ns())

    summary = play(FakeSource(dark(), can_wait=False))
    assert (summary.steps, summary.events, summary.decision) == (10, 0, "no gesture")


def test_nothing_at_all_is_a_run_without_steps():
    heard = []
    summary = play(FakeSource(iter(())), Listener(heard))
    assert (summary.steps, summary.events, summary.realtime_factor) == (0, 0, 0.0)
    assert (summary.latency_us.max, summary.decision) == (0.0, "no gesture")


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


def test_duration_of_a_recording_is_event_time():
    heard = []
    summary = play(FakeSource(cut(scene(*["left"] * 50), 40)), Listener(heard), duration_s=0.1)
    assert summary.steps == 10
    assert heard_of(heard, "close") == [summary]


def live(
    events_a_packet: int, seconds: float, size: tuple[int, int] = (16, 16)
) -> Iterator[Packet]:
    """A live sensor that gives a packet a millisecond."""
    began = time.monotonic()
    number = 0
    while time.monotonic() - began < seconds:
        events = np.zeros(events_a_packet, EVENT)
        events["t"] = number * 1000
        yield Packet(events, number * 1000 + 999, time.monotonic_ns())
        number += 1
        time.sleep(0.001)


def test_duration_of_a_live_source_is_host_time():
    began = time.monotonic()
    play(FakeSource(live(1, 30), can_wait=False), duration_s=0.2)
    assert 0.2 <= time.monotonic() - began < 5


@pytest.mark.parametrize("bound, value", [("RING_PACKETS", 20), ("RING_AGE_S", 0.02)])
def test_a_network_too_slow_for_its_sensor_drops_whole_packets_and_lags_no_more_than_that(
    monkeypatch, bound, value
):
    monkeypatch.setattr(f"edgesnn.pipeline.{bound}", value)
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
    monkeypatch.setattr("edgesnn.pipeline.RING_PACKETS", 2)
    model = LeftOrRight()
    model.slow_s = 0.005
    summary = play(FakeSource(cut(scene(*SCENE), 5)), model=model)
    assert (summary.events, summary.dropped, summary.steps) == (351, 0, 11)


def test_late_steps_are_counted():
    model, listener = LeftOrRight(), Listener([])
    model.slow_s = 0.015
    play(FakeSource(cut(scene(*["left"] * 3), 51)), listener, model=model)
    assert listener.monitor.latest().steps_late == 3


def test_stop_ends_the_run_with_a_summary():
    heard, stop = [], threading.Event()
    source = FakeSource(live(3, 30), can_wait=False)
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()
    summary = play(source, Listener(heard), stop=stop)
    assert time.monotonic() - began < 5
    assert heard_of(heard, "close") == [summary]
    assert summary.steps > 0
    assert source.closed == 1


class Interrupting(Listener):
    def decision(self, decision: Decision) -> None:
        raise KeyboardInterrupt


def test_ctrl_c_ends_the_run_with_a_summary_and_sets_stop():
    heard, stop = [], threading.Event()
    summary = play(FakeSource(live(30, 30), can_wait=False), Interrupting(heard), stop=stop)
    assert stop.is_set()
    assert heard_of(heard, "close") == [summary]


def failing(method: str, error: Exception) -> Callable[[list], Listener]:
    def refuse(self, *_):
        raise error

    return type("Failing", (Listener,), {method: refuse})


@pytest.mark.parametrize("method", ["open", "packet", "decision", "close"])
def test_a_failing_sink_fails_the_run_and_the_others_are_closed(method):
    heard = []
    bad = failing(method, RunError("the disk is full"))(heard, "bad")
    source = FakeSource(live(30, 30) if method == "packet" else cut(scene("left", "left"), 9))
    with pytest.raises(RunError, match="the disk is full"):
        play(source, Listener(heard, "good"), bad)
    (closed,) = [thing for who, what, thing in heard if (who, what) == ("good", "close")]
    assert (closed is None) == (method != "close")
    assert source.closed == 1


def test_a_failing_source_fails_the_run_after_what_it_gave():
    def packets() -> Iterator[Packet]:
        yield from cut(scene("left", "left"), 50)
        raise RunError("the camera DXA00093 was unplugged")

    heard = []
    with pytest.raises(RunError, match="DXA00093 was unplugged"):
        play(FakeSource(packets()), Listener(heard))
    assert [d.label for d in heard_of(heard, "decision")] == ["left"]
    assert heard_of(heard, "close") == [None]


def test_a_defect_is_reported_as_a_failed_run_with_its_cause():
    def packets() -> Iterator[Packet]:
        yield from cut(scene("left"), 50)
        raise ZeroDivisionError("oops")

    with pytest.raises(RunError, match=r"the run of fake failed: ZeroDivisionError\('oops'\)") as e:
        play(FakeSource(packets()))
    assert isinstance(e.value.__cause__, ZeroDivisionError)


def test_events_outside_the_sensor_end_the_run_before_any_sink_sees_them():
    heard = []
    events = scene("left")
    events["y"][30] = 16
    with pytest.raises(InputError, match="fake: event 10 at t=.* y=16, outside the 16 x 16 sensor"):
        play(FakeSource(cut(events, 20)), Listener(heard))
    assert heard_of(heard, "packet") == [20]


def test_a_sensor_that_is_too_small_is_refused_before_anything_opens():
    heard = []
    source = FakeSource(iter(()), size=(8, 8))
    with pytest.raises(InputError, match="8 x 8 sensor; this model needs at least 16 x 16"):
        play(source, Listener(heard))
    assert (heard, source.closed) == ([], 1)


def test_a_source_that_hangs_is_left_behind(monkeypatch):
    monkeypatch.setattr("edgesnn.pipeline._GIVE_UP_S", 0.05)
    hung, stop = threading.Event(), threading.Event()

    def packets() -> Iterator[Packet]:
        yield from cut(scene("left"), 50)
        hung.wait(20)

    heard = []
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(RunError, match="fake did not answer"):
        play(FakeSource(packets()), Listener(heard), stop=stop)
    assert heard_of(heard, "close") == [None]
    hung.set()


def test_a_source_that_hangs_is_freed_by_closing_it(monkeypatch):
    monkeypatch.setattr("edgesnn.pipeline._GIVE_UP_S", 0.2)
    freed, stop = threading.Event(), threading.Event()

    def packets() -> Iterator[Packet]:
        yield from cut(scene("left"), 50)
        freed.wait(20)

    source = FakeSource(packets())
    source.close = freed.set
    threading.Timer(0.1, stop.set).start()
    assert play(source, stop=stop).source == "fake"  # and no RunError


def test_the_switch_interval_is_put_back():
    before = sys.getswitchinterval()
    during = []
    play(FakeSource(during.append(sys.getswitchinterval()) for _ in range(1)))
    assert during[0] < before
    assert sys.getswitchinterval() == before


class Notes:
    def __init__(self) -> None:
        self.stages: dict[str, list[int]] = {}
        self.sums: list[tuple[int, list[int]]] = []

    def stage(self, name: str, elapsed_ns: int) -> None:
        self.stages.setdefault(name, []).append(elapsed_ns)

    def step(self, x: np.ndarray, y: np.ndarray) -> None:
        self.sums.append((int(x.sum()), y.tolist()))


def test_a_probe_hears_every_stage():
    notes, model = Notes(), LeftOrRight()
    model.slow_s = 0.002
    play(FakeSource(cut(scene("left", "right"), 51)), model=model, probe=notes)
    counted = {name: len(times) for name, times in notes.stages.items()}
    # Two packets and the end are read.
    expected = {"read": 3, "slice": 2, "encode": 2, "step": 2, "readout": 2, "show": 2}
    assert counted == expected
    assert min(notes.stages["step"]) >= 2_000_000
    assert notes.sums == [(51, [51, 0]), (50, [0, 50])]


def test_the_pipeline_needs_numpy_only():
    code = (
        "import sys, json, edgesnn.pipeline, edgesnn.evaluate; "
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    loaded = set(json.loads(subprocess.check_output([sys.executable, "-c", code], text=True)))
    assert "numpy" in loaded
    assert not loaded & {"torch", "onnx", "onnxruntime", "cv2", "dv_processing", "rich", "typer"}


def test_a_summary_is_plain_values():
    summary = play(FakeSource(cut(scene("left"), 50)))
    assert json.loads(json.dumps(asdict(summary)))["latency_us"].keys() == {
        "p50",
        "p99",
        "p999",
        "max",
    }
