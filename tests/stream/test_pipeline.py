"""From a recording to decisions: what is heard, in which order, whatever the cutting."""

import itertools
import json
import math
import subprocess
import sys
import tracemalloc
from dataclasses import asdict, replace

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
    play,
    scene,
)

from edgesnn.app import load_app, sample_path
from edgesnn.backend import backend
from edgesnn.bundle import load_bundle
from edgesnn.decide.exit_rule import ExitRule
from edgesnn.events import Packet, empty_events, events_from_arrays, joined_events
from edgesnn.program import Integrate
from edgesnn.sources.npz_write import npz_from_events
from edgesnn.sources.recording import open_recording, read_events
from edgesnn.stream.sink import RunInfo


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
    assert list(summary.held_s.items()) == [("left", 0.05), ("right", 0.04)]
    assert summary.realtime_factor > 0
    assert 0 < summary.latency_us.p50 <= summary.latency_us.p99 <= summary.latency_us.max
    assert heard_of(heard, "close") == [summary]
    assert source.closed == 1


def test_sinks_hear_the_run_in_the_promised_order_and_threads():
    heard = []
    sinks = [Listener(heard, "first"), Listener(heard, "second")]
    play(FakeSource(cut(scene("left"), 20)), *sinks)
    assert [(who, what) for who, what, _ in heard if what in ("open", "close")] == [
        ("second", "open"),
        ("first", "open"),
        ("second", "close"),
        ("first", "close"),
    ]
    about = RunInfo("fake", (16, 16), "left-or-right", "fake", STEP, ("left", "right"), True, 0.9)
    assert heard_of(heard, "open")[0] == about
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


def test_nothing_at_all_is_a_run_without_steps():
    heard = []
    summary = play(FakeSource(iter(())), Listener(heard))
    assert (summary.steps, summary.events, summary.realtime_factor) == (0, 0, 0.0)
    assert (summary.latency_us, summary.decision) == (None, "no gesture")


def test_the_switch_interval_is_put_back():
    before = sys.getswitchinterval()
    during = []
    play(FakeSource(during.append(sys.getswitchinterval()) for _ in range(1)))
    assert during[0] < before
    assert sys.getswitchinterval() == before


class Notes:
    def __init__(self) -> None:
        self.stages: dict[str, list[int]] = {}
        self.sums: list[tuple[int, list[int], bool]] = []

    def stage(self, name: str, elapsed_ns: int) -> None:
        self.stages.setdefault(name, []).append(elapsed_ns)

    def step(self, x: np.ndarray, y: np.ndarray, begins: bool) -> None:
        self.sums.append((int(x.sum()), y.tolist(), begins))


def test_a_probe_hears_every_stage():
    notes, model = Notes(), LeftOrRight()
    model.slow_s = 0.002
    play(FakeSource(cut(scene("left", "right"), 51)), model=model, probe=notes)
    counted = {name: len(times) for name, times in notes.stages.items()}
    # Two packets and the end are read.
    expected = {"read": 3, "slice": 2, "encode": 2, "step": 2, "readout": 2, "show": 2}
    assert counted == expected
    assert min(notes.stages["step"]) >= 2_000_000
    assert notes.sums == [(51, [51, 0], True), (50, [0, 50], False)]


def test_the_pipeline_needs_numpy_only():
    code = (
        "import sys, json, edgesnn.stream.pipeline, edgesnn.measure.evaluate; "
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


def test_an_hour_of_silence_takes_no_memory_and_ends_when_it_is_over():
    """A network that never rests is stepped through it, one step at a time."""
    events = scene("left", "left")
    late = scene("right")
    late["t"] += 3_600_000_000
    model = LeftOrRight()
    model.program = replace(
        model.program,
        nodes=(*model.program.nodes, Integrate("n", "out", "theta", "none", keep=4000)),
        output="n",
        tensors={
            **model.program.tensors,
            "theta": np.full(2, 1000, np.int32),
            "none": np.zeros(2, np.int32),
        },
    )
    whole = joined_events([events, late])
    source = FakeSource(iter([Packet(whole, int(late["t"][-1]), 0)]))
    tracemalloc.start()
    summary = play(source, model=model, duration_s=0.5)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert summary.steps == 50 and peak < 20_000_000
    assert summary.events + summary.queued == len(events) + len(late)


def test_silence_before_the_first_event_leaves_nothing_behind():
    """A sensor that starts in the dark steps a network whose currents move its potentials."""
    bundle = load_bundle("keyword")
    events, size = read_events(sample_path(load_app("gesture")))
    events = events[:20_000].copy()
    events["x"] %= 40
    events["y"] = 0
    first, last = int(events["t"][0]), int(events["t"][-1])
    dark = [Packet(empty_events(), first - 300_000 + n * 10_000, 0) for n in range(30)]
    told = []
    for before in ([], dark):
        heard = []
        model = backend("onnx_cpu").load(bundle)
        source = FakeSource(iter([*before, Packet(events, last, 0)]), size=(40, 1))
        play(source, Listener(heard), model=model, bundle=bundle)
        told.append([(d.t_us, d.label, d.confidence) for d in heard_of(heard, "decision")])
    assert told[0] and told[0] == told[1]


def test_a_lap_begins_with_a_trial_of_its_own(tmp_path):
    """What was open at the end of a recording is answered, not mixed with the next lap's."""
    bundle = load_bundle("nmnist")
    trial_us = bundle.readout.steps * bundle.program.step_us
    rng = np.random.default_rng(3)
    n = 6000
    angle = rng.random(n) * 2 * np.pi
    ring = 17 + np.stack([7 * np.cos(angle), 9 * np.sin(angle)]) + rng.normal(size=(2, n))
    t = np.sort(rng.integers(0, trial_us, n))
    begins = trial_us + (bundle.readout.rest_steps + 1) * bundle.program.step_us
    cut_short = np.sort(rng.integers(begins, begins + trial_us // 3, n))
    x, y = np.concatenate([ring, ring], 1).clip(0, 33).astype(int)
    events = events_from_arrays(np.r_[t, cut_short], x, y, rng.integers(0, 2, 2 * n))
    npz_from_events(tmp_path / "a.npz", events, (34, 34))

    def answers(loop, seconds):
        source = open_recording(tmp_path / "a.npz", speed=math.inf, loop=loop)
        heard = []
        model = backend("onnx_cpu").load(bundle)
        rule = ExitRule("never")
        play(source, Listener(heard), model=model, bundle=bundle, duration_s=seconds, rule=rule)
        return [decision.label for decision in heard_of(heard, "decision")]

    once = answers(False, None)
    lap_s = (int(events["t"][-1]) + 10_000) / 1e6
    assert len(once) == 2 and answers(True, 2.9 * lap_s)[:6] == (once * 3)[:6]


def test_a_loop_begins_anew_and_holds_what_it_decided():
    """The bundled clip, for 20 s: the right answer at least 90 % of the time after the first."""
    bundle = load_bundle("gesture")
    source = open_recording(sample_path(load_app("gesture")), speed=math.inf, loop=True)
    heard = []
    model = backend("onnx_cpu").load(bundle)
    summary = play(source, Listener(heard), model=model, bundle=bundle, duration_s=20)
    told = [(decision.t_us / 1e6, decision.label) for decision in heard_of(heard, "decision")]
    right_s = sum(
        max(0.0, until - max(since, 1.0))
        for (since, label), (until, _) in itertools.pairwise([*told, (20.0, "")])
        if label == "left hand wave"
    )
    assert right_s >= 0.9 * 19, told
    assert (summary.late, summary.jumps_back, summary.dropped) == (0, 0, 0)
