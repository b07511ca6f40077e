"""The app that sees motion: what it tells and writes, its scores, sensors of any size."""

from __future__ import annotations

import struct
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_runs import FakeSource, cut

cv2 = pytest.importorskip("cv2")

from edgesnn.app import load_app, sample_path  # noqa: E402
from edgesnn.apps.flow import fields  # noqa: E402
from edgesnn.backend import backend, load_model  # noqa: E402
from edgesnn.bundle import load_bundle  # noqa: E402
from edgesnn.errors import InputError  # noqa: E402
from edgesnn.events import Events, events_from_arrays  # noqa: E402
from edgesnn.hardware.events import can_run  # noqa: E402
from edgesnn.senses.encoders import open_encoder  # noqa: E402
from edgesnn.sources.reading import read_events  # noqa: E402
from edgesnn.sources.recording import Recording  # noqa: E402
from edgesnn.stream.pipeline import run  # noqa: E402


class Fields:
    """A sink that keeps decisions and fields."""

    def __init__(self) -> None:
        self.decisions, self.fields, self.summary = [], [], None

    def open(self, info, monitor) -> None:
        pass

    def packet(self, packet) -> None:
        pass

    def decision(self, decision) -> None:
        self.decisions.append(decision)

    def field(self, field, latency_us) -> None:
        self.fields.append(field)

    def close(self, summary) -> None:
        self.summary = summary


def seen(events: Events, size=(128, 128), packets: int | None = None) -> Fields:
    """Return what is heard of events, in packets of so many, or as recordings are played."""
    bundle = load_bundle("flow").fitted(size)
    chosen, model = load_model("auto", bundle)
    heard = Fields()
    source: Any = Recording(events, size, "file:x")
    if packets is not None:
        source = FakeSource(cut(events, packets), size=size)
    run(source, bundle, model, [heard], backend_name=chosen, stop=threading.Event())
    return heard


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


def test_written_fields_are_read_back(tmp_path: Path, sample: Events) -> None:
    sink = fields.FieldFiles(tmp_path / "out")
    bundle = load_bundle("flow").fitted((128, 128))
    chosen, model = load_model("auto", bundle)
    source = Recording(sample[sample["t"] < 300_000], (128, 128), "file:x")
    kept = Fields()
    run(source, bundle, model, [sink, kept], backend_name=chosen, stop=threading.Event())
    written = sorted((tmp_path / "out").glob("*.npz"))
    assert len(written) == len(kept.fields) > 20
    last, field = np.load(written[-1]), kept.fields[-1]
    velocity, where = field.at_pixels((128, 128))
    assert np.array_equal(last["velocity"], velocity) and np.array_equal(last["seen"], where)
    assert np.array_equal(last["confidence"], field.confidence) and last["place"] == 4
    flo = fields.read_flo(written[-1].with_suffix(".flo").read_bytes())
    assert np.allclose(flo, velocity * 0.01)
    dsec, valid = fields.read_dsec_png(written[-1].with_suffix(".png").read_bytes())
    assert np.array_equal(valid, where) and np.abs(dsec - velocity * 0.01).max() <= 1 / 256 + 1e-4


def test_a_flo_file_is_middleburys() -> None:
    flow = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    data = fields.flo_bytes(flow)
    assert data[:4] == b"PIEH" and struct.unpack("<ii", data[4:12]) == (3, 2)
    assert np.frombuffer(data, "<f4", offset=12)[:4].tolist() == [0, 6, 1, 7]
    for damaged in (data[:-1], b"PIEX" + data[4:], data[:6]):
        with pytest.raises(InputError):
            fields.read_flo(damaged)


def test_dsec_pictures_are_16_bits_red_first() -> None:
    flow = np.zeros((2, 1, 2), np.float32)
    flow[0, 0], flow[1, 0] = [1.5, -2], [0.25, 400]
    picture = cv2.imdecode(
        np.frombuffer(fields.dsec_png(flow, np.array([[True, False]])), np.uint8), -1
    )
    assert picture.dtype == np.uint16
    assert picture[0, 0].tolist() == [1, 32768 + 32, 32768 + 192]  # blue, green, red
    assert picture[0, 1].tolist() == [0, 32768 + 32755, 32768 - 256]


@pytest.mark.parametrize("suffix", ["mp4", "gif"])
def test_a_video_of_what_is_shown(tmp_path: Path, sample: Events, suffix: str) -> None:
    from edgesnn.apps.flow.video import VideoFile

    path = tmp_path / f"a.{suffix}"
    sink = VideoFile(path, 400.0)
    bundle = load_bundle("flow").fitted((128, 128))
    chosen, model = load_model("auto", bundle)
    source = Recording(sample[sample["t"] < 500_000], (128, 128), "file:x")
    run(source, bundle, model, [sink], backend_name=chosen, stop=threading.Event())
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (got := capture.read())[0]:
        frames.append(got[1])
    assert 10 <= len(frames) <= 14 and frames[-1].shape[1] > frames[-1].shape[0]
    assert frames[-1].std() > 5


def test_outputs_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    from edgesnn.apps.flow.video import VideoFile

    with pytest.raises(InputError, match=r"must end in \.gif or \.mp4"):
        VideoFile(tmp_path / "a.avi", 1.0)
    (tmp_path / "a").write_text("")
    with pytest.raises(InputError, match="is a file"):
        fields.FieldFiles(tmp_path / "a")
    (tmp_path / "a.mp4").write_text("what is played")
    (tmp_path / "b.mp4").symlink_to(tmp_path / "a.mp4")
    for name in ("a.mp4", "b.mp4"):
        with pytest.raises(InputError, match="is the recording being played"):
            VideoFile(tmp_path / name, 1.0, tmp_path / "a.mp4")


def test_a_link_is_followed_and_a_gap_gives_no_two_frames(tmp_path: Path, sample: Events) -> None:
    from edgesnn.apps.flow.video import VideoFile

    (tmp_path / "b.mp4").symlink_to(tmp_path / "a.mp4")
    part = sample[(sample["t"] < 100_000) | (sample["t"] > 300_000) & (sample["t"] < 400_000)]
    bundle = load_bundle("flow").fitted((128, 128))
    chosen, model = load_model("auto", bundle)
    source = Recording(part, (128, 128), "file:x")
    sink = VideoFile(tmp_path / "b.mp4", 400.0)
    run(source, bundle, model, [sink], backend_name=chosen, stop=threading.Event())
    assert (tmp_path / "b.mp4").is_symlink()
    assert cv2.VideoCapture(str(tmp_path / "a.mp4")).get(7) in (9, 10)


def test_the_words_fit_beside_a_narrow_sensor(tmp_path: Path, sample: Events) -> None:
    from edgesnn.apps.flow.video import VideoFile

    part = sample[(sample["x"] < 20) & (sample["t"] < 200_000)]
    bundle = load_bundle("flow").fitted((20, 240))
    chosen, model = load_model("auto", bundle)
    sink = VideoFile(tmp_path / "a.mp4", 400.0)
    source = Recording(part, (20, 240), "file:x")
    run(source, bundle, model, [sink], backend_name=chosen, stop=threading.Event())
    assert cv2.VideoCapture(str(tmp_path / "a.mp4")).get(cv2.CAP_PROP_FRAME_WIDTH) >= 500


@pytest.mark.parametrize("option", ["--flow-out", "--record-video"])
def test_a_network_without_motion_has_no_fields(tmp_path: Path, capsys, option: str) -> None:
    from edgesnn.cli.main import run_line

    line = ["run", "flow", "--model", "gesture", "--speed", "max", option, str(tmp_path / "a.gif")]
    assert run_line(line) == 2
    assert f"gesture shows no motion; leave {option} out" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


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
