"""The app that sees motion: what it tells, its scores, sensors of any size, rounds."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from flow_runs import Fields, seen

pytest.importorskip("cv2")

from edgesnn.app import load_app, sample_path  # noqa: E402
from edgesnn.backend import backend, load_model  # noqa: E402
from edgesnn.bundle import load_bundle  # noqa: E402
from edgesnn.errors import InputError  # noqa: E402
from edgesnn.events import Events, events_from_arrays  # noqa: E402
from edgesnn.hardware.events import can_run  # noqa: E402
from edgesnn.senses.encoders import open_encoder  # noqa: E402
from edgesnn.sources.reading import read_events  # noqa: E402
from edgesnn.sources.recording import Recording  # noqa: E402
from edgesnn.stream.pipeline import run  # noqa: E402


@pytest.fixture(scope="module")
def sample() -> Events:
    return read_events(sample_path(load_app("flow")))[0]


def test_the_bundled_recording_is_told_as_it_moves(sample: Events) -> None:
    heard = seen(sample)
    told = [d.label for d in heard.decisions if d.label != "still"]
    moves = ["right", "down", "left", "up left", "turning clockwise", "coming closer"]
    assert told == [*moves, "going away", "turning counter-clockwise"]

    def during(first_s: float, until_s: float, what: str) -> float:
        inside = [f.motion for f in heard.fields if first_s < f.t_us / 1e6 < until_s]
        return float(np.median([getattr(motion, what) for motion in inside]))

    for first_s, until_s, what, true in (
        (0.2, 1.2, "u", 110),
        (1.5, 2.4, "v", 60),
        (2.6, 3.6, "u", -160),
        (4.7, 5.6, "u", -20),
        (4.7, 5.6, "v", -40),
        (5.8, 6.8, "turn", 1.5),
    ):
        assert 0.85 < during(first_s, until_s, what) / true < 1.15
    assert abs(during(0.2, 1.2, "v")) < 10
    assert during(3.9, 4.4, "speed") < 2 and heard.summary.dropped == 0


@pytest.mark.parametrize(
    ("turned", "wanted"),
    [("mirrored", (-1, 1)), ("upside down", (1, -1)), ("reversed", (-1, -1))],
)
@pytest.mark.parametrize(("axis", "first_us"), [("u", 0), ("v", 1_300_000)])
def test_motion_turns_with_the_recording(sample, turned: str, wanted, axis, first_us) -> None:
    whole = sample[(sample["t"] >= first_us) & (sample["t"] < first_us + 1_150_000)].copy()
    whole["t"] -= first_us
    part = whole.copy()
    if turned == "mirrored":
        part["x"] = 127 - part["x"]
    elif turned == "upside down":
        part["y"] = 127 - part["y"]
    else:
        part = part[::-1].copy()
        part["t"], part["p"] = part["t"][0] - part["t"], 1 - part["p"]

    def median(heard: Fields) -> float:
        return float(np.median([getattr(field.motion, axis) for field in heard.fields[30:100]]))

    plain, found = median(seen(whole)), median(seen(part))
    assert plain > 30 and found / plain == pytest.approx(wanted["uv".index(axis)], abs=0.4)


def test_silence_and_hot_pixels_do_not_move_the_world() -> None:
    t = np.arange(0, 3_000_000, 500)
    hot = events_from_arrays(t, 40 + t // 500 % 3 * 20, np.full(len(t), 50), t // 500 % 2)
    heard = seen(hot)
    assert heard.decisions == [] and max(field.motion.speed for field in heard.fields) < 3


@pytest.mark.parametrize(
    ("size", "cell", "grid"),
    [
        ((128, 128), None, (64, 64)),
        ((240, 180), None, (96, 120)),
        ((346, 260), None, (136, 176)),
        ((640, 480), None, (120, 160)),
        ((1280, 720), None, (96, 160)),
        ((34, 34), None, (24, 24)),
        ((320, 240), 4, (64, 80)),
    ],
)
def test_a_program_for_each_sensor(size, cell, grid) -> None:
    bundle = load_bundle("flow")
    fitted = bundle.fitted(size, cell)
    assert fitted.program.input_shape == (4, *grid)
    assert fitted.program.any_grid_sha256 == bundle.program.any_grid_sha256


def test_every_backend_sees_the_same_on_another_grid(sample: Events) -> None:
    bundle = load_bundle("flow").fitted((50, 40))
    program, size = bundle.program, (50, 40)
    part = sample[(sample["x"] < 50) & (sample["y"] < 40) & (sample["t"] < 300_000)]
    encoder = open_encoder(bundle.encoder, program.input_shape, size, program.step_us)
    xs = []
    for start in range(0, 300_000, program.step_us):
        inside = (part["t"] >= start) & (part["t"] < start + program.step_us)
        xs.append(encoder.encode(part[inside], start))
    names = ["reference", "onnx_cpu", *(["events"] if can_run(program) else [])]
    streams = [backend(name).load(bundle).stream() for name in names]
    for x in xs:
        first, *others = [stream.step(x).copy() for stream in streams]
        assert all(np.array_equal(first, other) for other in others)
    assert first.any()


@pytest.mark.parametrize("size", [1, 997])
def test_cutting_into_packets_changes_nothing(sample: Events, size: int) -> None:
    part = sample[sample["t"] < 120_000]
    heard = seen(part, packets=size)
    whole = seen(part)
    assert len(heard.fields) == len(whole.fields) >= 11
    for one, other in zip(heard.fields, whole.fields, strict=True):
        assert one.t_us == other.t_us and np.array_equal(one.velocity, other.velocity)
        assert np.array_equal(one.seen, other.seen) and one.motion == other.motion


def test_events_are_counted_by_halves_of_a_step(sample: Events) -> None:
    bundle = load_bundle("flow").fitted((128, 128))
    encoder = open_encoder(bundle.encoder, bundle.program.input_shape, (128, 128), 10_000)
    start = 100_000
    step = sample[(sample["t"] >= start) & (sample["t"] < start + 10_000)]
    x = encoder.encode(step, start)
    halves = step["t"] < start + 5000
    for p in (0, 1):
        assert x[p].sum() <= np.count_nonzero(halves & (step["p"] == p))
        assert x[2 + p].sum() <= np.count_nonzero(~halves & (step["p"] == p))
    assert x.max() <= 7 and x.sum() > 0.9 * len(step)


def test_rounds_make_motion_exact_and_none_leaves_it(sample: Events) -> None:
    """The whole view moves right at 110 px/s from 0.2 s to 1.2 s."""
    part = sample[sample["t"] < 1_200_000]
    found = {}
    for rounds in (0, None):
        bundle = load_bundle("flow").fitted((128, 128), rounds=rounds)
        chosen, model = load_model("auto", bundle)
        heard, source = Fields(), Recording(part, (128, 128), "file:x")
        run(source, bundle, model, [heard], backend_name=chosen, stop=threading.Event())
        late = [field for field in heard.fields if field.t_us > 400_000]
        found[rounds] = np.mean([abs(field.motion.u - 110) for field in late])
    assert found[None] < 0.5 * found[0] and found[None] < 10


def test_rounds_are_for_motion_only(tmp_path: Path, capsys) -> None:
    from edgesnn.cli.main import run_line

    assert run_line(["run", "gesture", "--rounds", "1", "--speed", "max"]) == 2
    assert "gesture shows no motion; leave --rounds out" in capsys.readouterr().err
    assert run_line(["run", "flow", "--rounds", "9"]) == 2
    for rounds in (-1, 9):
        with pytest.raises(InputError, match="give 0 to 8"):
            load_bundle("flow").fitted((128, 128), rounds=rounds)


def test_a_profile_is_of_so_many_rounds(monkeypatch) -> None:
    from edgesnn.cli.main import run_line

    taken = []

    def refined(velocity, evidence, recent, rounds, slow):
        taken.append(rounds)
        return velocity, evidence

    monkeypatch.setattr("edgesnn.decide.motion.refined", refined)
    for rounds in (0, 3):
        taken.clear()
        assert run_line(["profile", "flow", "--rounds", str(rounds), "--steps", "5", "--json"]) == 0
        assert set(taken) == {rounds}


@pytest.mark.parametrize("compiled", [False, True])
def test_late_steps_without_the_compiled_engine_are_explained(
    monkeypatch, sample: Events, compiled: bool
) -> None:
    def slowly(velocity, evidence, *_):
        time.sleep(0.015)
        return velocity, evidence

    monkeypatch.setattr("edgesnn.decide.motion.refined", slowly)
    monkeypatch.setattr("edgesnn.decide.motion.is_compiled", lambda: compiled)
    summary = seen(sample[sample["t"] < 100_000], packets=997).summary
    assert summary.late_steps > 0
    assert any("give --rounds 0" in note for note in summary.notes) == (not compiled)
