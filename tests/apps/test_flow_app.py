"""The app that sees motion: what it tells and writes, its scores, sensors of any size."""

from __future__ import annotations

import json
import math
import struct
import threading
from pathlib import Path

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")

from edgesnn.app import load_app, sample_path  # noqa: E402
from edgesnn.apps.flow import fields, peers, scores  # noqa: E402
from edgesnn.apps.flow.graded import windows_of  # noqa: E402
from edgesnn.apps.flow.truth import flow_at  # noqa: E402
from edgesnn.backend import backend, load_model  # noqa: E402
from edgesnn.bundle import load_bundle  # noqa: E402
from edgesnn.decide.motion import MotionReadout  # noqa: E402
from edgesnn.errors import InputError  # noqa: E402
from edgesnn.events import EVENT, Events, events_from_arrays  # noqa: E402
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


def seen(events: Events, size=(128, 128), cell=None, name="auto") -> Fields:
    bundle = load_bundle("flow").fitted(size, cell)
    chosen, model = load_model(name, bundle)
    heard = Fields()
    source = Recording(events, size, "file:x")
    run(source, bundle, model, [heard], backend_name=chosen, stop=threading.Event())
    return heard


@pytest.fixture(scope="module")
def sample() -> Events:
    return read_events(sample_path(load_app("flow")))[0]


def test_the_bundled_recording_is_told_as_it_moves(sample: Events) -> None:
    heard = seen(sample)
    told = [d.label for d in heard.decisions if d.label != "still"]
    assert told[:4] == ["right", "down", "left", "up left"]
    assert "turning clockwise" in told and told[-1] == "turning counter-clockwise"

    def during(first_s: float, until_s: float, what: str) -> float:
        inside = [f.motion for f in heard.fields if first_s < f.t_us / 1e6 < until_s]
        return float(np.median([getattr(motion, what) for motion in inside]))

    # Directions are certain; how fast is right within a factor of two, of slow motion of three.
    for first_s, until_s, what, true, least in (
        (0.2, 1.2, "u", 110, 1 / 2),
        (1.5, 2.4, "v", 60, 1 / 2),
        (2.6, 3.6, "u", -160, 1 / 2),
        (5.8, 6.8, "turn", 1.5, 0.3),
    ):
        assert least < during(first_s, until_s, what) / true < 2
    assert abs(during(0.2, 1.2, "v")) < 30
    assert during(3.9, 4.4, "speed") < 2 and heard.summary.dropped == 0


@pytest.mark.parametrize(
    ("turned", "wanted"),
    [("mirrored", (-1, 1)), ("upside down", (1, -1)), ("reversed", (-1, -1))],
)
def test_motion_turns_with_the_recording(sample: Events, turned: str, wanted) -> None:
    part = sample[sample["t"] < 1_150_000].copy()
    if turned == "mirrored":
        part["x"] = 127 - part["x"]
    elif turned == "upside down":
        part["y"] = 127 - part["y"]
    else:
        part = part[::-1].copy()
        part["t"], part["p"] = part["t"][0] - part["t"], 1 - part["p"]

    def median_u(heard: Fields) -> float:
        return float(np.median([field.motion.u for field in heard.fields[30:100]]))

    plain, found = median_u(seen(sample[sample["t"] < 1_150_000])), median_u(seen(part))
    assert plain > 50 and found / plain == pytest.approx(wanted[0], abs=0.4)


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


def test_cutting_into_packets_changes_nothing(sample: Events) -> None:
    part = sample[sample["t"] < 400_000]
    bundle = load_bundle("flow").fitted((128, 128))
    encoder = open_encoder(bundle.encoder, bundle.program.input_shape, (128, 128), 10_000)
    start = 100_000
    step = part[(part["t"] >= start) & (part["t"] < start + 10_000)]
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


def test_outputs_that_cannot_be_written_are_refused(tmp_path: Path, line=None) -> None:
    from edgesnn.apps.flow.video import VideoFile

    with pytest.raises(InputError, match=r"must end in \.gif or \.mp4"):
        VideoFile(tmp_path / "a.avi", 1.0)
    (tmp_path / "a").write_text("")
    with pytest.raises(InputError, match="is a file"):
        fields.FieldFiles(tmp_path / "a")


# The measure


def written(folder: Path, events: Events, size=(64, 48), speed=(200.0, 0.0), **changes) -> Path:
    """Write a recording with a true shift in the layout that is measured."""
    values = {
        "t": events["t"].astype(np.uint32),
        "x": events["x"],
        "y": events["y"],
        "p": events["p"],
        "K": np.array([[100.0, 0, size[0] / 2], [0, 100.0, size[1] / 2], [0, 0, 1]]),
        "D": np.zeros(5),
        "size": np.array(size),
        "model": "translation",
        "win": np.array([[0, 100_000]]),
        "theta": np.array([[speed[0] / 100, speed[1] / 100]]),
        "half_diff": np.array([1.0]),
        "speed": np.array([math.hypot(*speed)]),
        **changes,
    }
    np.savez(folder / "a.npz", **values)
    return folder / "a.npz"


def moving_dots(u: float, size=(64, 48), until_us: int = 100_000) -> Events:
    """Forty dots that move to the right: an event at each pixel that they enter."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(40):
        x0, y = rng.uniform(-20, size[0]), int(rng.integers(0, size[1]))
        for x in range(size[0]):
            t = (x - x0) / u * 1e6
            if 0 <= t < until_us:
                rows.append((int(t), x, y, 1))
    return events_from_arrays(*np.array(sorted(rows)).T)


def test_the_truth_of_a_shift_is_a_shift(tmp_path: Path) -> None:
    written(tmp_path, moving_dots(200))
    (window,), left_out = windows_of(tmp_path)
    assert left_out == [] and np.allclose(window.truth, [200, 0], atol=0.1)
    assert (window.t0_us, window.t1_us, window.size) == (0, 100_000, (64, 48))
    assert window.events["t"][window.scored].min() >= 90_000


def test_the_truth_against_the_values_of_a_lens() -> None:
    """Rotation of a DAVIS240 at two places, as worked out by hand from the model."""
    K = np.array([[199.0, 0, 132.0], [0, 199.0, 110.0], [0, 0, 1]])
    events = np.zeros(1, EVENT)
    events["x"], events["y"] = 120, 90
    a, b = (120 - 132) / 199, (90 - 110) / 199
    wx, wy, wz = 1.0, -2.0, 0.5
    found = flow_at(events, "rotation", np.array([wx, wy, wz]), K, np.zeros(5))
    u = 199 * (a * b * wx - (1 + a * a) * wy + b * wz)
    v = 199 * ((1 + b * b) * wx - a * b * wy - a * wz)
    assert np.allclose(found, [[u, v]], atol=0.1)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"half_diff": np.array([50.0])}, "its halves differ by 25 %"),
        ({"win": np.array([[95_000, 100_000]])}, "shorter than 10 ms"),
        ({"model": "depth6"}, "not a recording with a motion"),
    ],
)
def test_windows_without_a_sure_truth_are_left_out_and_said(tmp_path, changes, why) -> None:
    folder = tmp_path / "some"
    folder.mkdir()
    written(folder, moving_dots(200))
    (folder / "a.npz").rename(folder / "b.npz")
    written(folder, moving_dots(200), **changes)
    windows, left_out = windows_of(folder)
    assert [window.file for window in windows] == ["b"] and why in left_out[0]


def test_a_folder_without_truth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no recording with a true motion"):
        windows_of(tmp_path)
    written(tmp_path, moving_dots(200), theta=np.zeros((3, 2)))
    with pytest.raises(InputError, match="theta of shape"):
        windows_of(tmp_path)
    (tmp_path / "a.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a readable"):
        windows_of(tmp_path)


def test_scores_by_hand() -> None:
    truth = np.array([[10.0, 0], [0, 20]])
    found = np.array([[20.0, 0], [20, 0]])
    told = scores.scores_of(found, truth)
    assert told["aee"] == pytest.approx((10 + math.hypot(20, 20)) / 2)
    assert told["relative"] == pytest.approx((1 + math.hypot(20, 20) / 20) / 2)
    assert told["angle_deg"] == pytest.approx(45, abs=0.01)


def test_true_motion_makes_events_sharper_and_none_leaves_them() -> None:
    events, size = moving_dots(400), (64, 48)
    field = np.zeros((2, 48, 64), np.float32)
    assert scores.fwl_of(np.repeat(events, 6), field, 60_000, size) == pytest.approx(1)
    assert scores.fwl_of(events[:100], field, 60_000, size) is None
    field[0] = 400
    sharp = scores.fwl_of(np.repeat(events, 6), field, 60_000, size)
    assert sharp is not None and sharp > 2


def test_peers_find_a_plain_shift() -> None:
    events, size = moving_dots(400, until_us=60_000), (64, 48)
    busy = np.repeat(events, 4)
    for name, method in peers.methods().items():
        field = peers.peer_field(method, busy, 60_000, 10_000, size)
        assert field is not None and field.shape == (2, 48, 64)
        u = np.median(field[0][field[0] != 0]) if field.any() else 0
        assert (u == 0) if name == "zero" else (150 < u < 600)
    assert peers.peer_field(method, busy, 15_000, 20_000, size) is None


def test_eval_tells_windows_means_and_peers(tmp_path: Path, capsys) -> None:
    from edgesnn.cli.main import run_line

    written(tmp_path, np.repeat(moving_dots(200), 3))
    assert run_line(["eval", "flow", "--data", str(tmp_path), "--json", "--peers"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report) >= {"windows", "relative", "angle_deg", "fwl", "peers", "left_out"}
    (row,) = report["windows"]
    assert set(row) == {
        "file", "t0_us", "t1_us", "n", "speed", "aee", "relative", "angle_deg", "fwl"
    }  # fmt: skip
    assert row["speed"] == pytest.approx(200, abs=0.5) and row["relative"] == report["relative"]
    assert set(report["peers"]) == {"zero", "dis_ultrafast", "dis_medium", "farneback"}
    assert report["peers"]["zero"]["relative"] == pytest.approx(1)


def test_a_readout_of_motion_has_a_field_only_after_a_step() -> None:
    spec = load_bundle("flow").readout
    assert MotionReadout(spec).field(0, 2, 10_000) is None


# The layouts of others


def dsec(folder: Path, u: float = 200.0) -> Path:
    """Write a sequence in DSEC-Flow's layout: everything moves u px/s to the right."""
    h5py = pytest.importorskip("h5py")
    offset, events = 5_000_000, np.repeat(moving_dots(u, until_us=200_000), 3)
    (folder / "seq" / "events" / "left").mkdir(parents=True)
    (folder / "seq" / "flow" / "forward").mkdir(parents=True)
    with h5py.File(folder / "seq" / "events" / "left" / "events.h5", "w") as file:
        for name in "txyp":
            file[f"events/{name}"] = events[name].astype(np.uint32)
        file["t_offset"] = offset
        file["ms_to_idx"] = np.searchsorted(events["t"], np.arange(0, 200_001, 1000))
    (folder / "seq" / "flow" / "forward_timestamps.txt").write_text(
        f"# from_timestamp_us, to_timestamp_us\n{offset + 50_000}, {offset + 150_000}\n"
    )
    flow = np.zeros((2, 48, 64), np.float32)
    flow[0] = u * 0.1
    png = fields.dsec_png(flow, np.ones((48, 64), bool))
    (folder / "seq" / "flow" / "forward" / "000002.png").write_bytes(png)
    return folder


def mvsec(folder: Path, u: float = 200.0) -> Path:
    """Write a sequence in MVSEC's layout."""
    h5py = pytest.importorskip("h5py")
    events = np.repeat(moving_dots(u, until_us=200_000), 3)
    rows = np.stack([events["x"], events["y"], 10 + events["t"] * 1e-6, events["p"] * 2.0 - 1], 1)
    with h5py.File(folder / "indoor_data.hdf5", "w") as file:
        file["davis/left/events"] = rows
    flow = np.zeros((3, 48, 64))
    flow += u * 0.05
    flow[:, :, :8] = np.nan
    np.savez(
        folder / "indoor_gt_flow_dist.npz",
        timestamps=np.array([10.05, 10.1, 10.15]),
        x_flow_dist=flow,
        y_flow_dist=np.zeros_like(flow),
    )
    return folder


@pytest.mark.parametrize("layout", [dsec, mvsec])
def test_official_layouts_give_the_true_flow_in_pixels_a_second(tmp_path: Path, layout) -> None:
    windows, _ = windows_of(layout(tmp_path))
    assert len(windows) == (1 if layout is dsec else 2)
    for window in windows:
        assert np.allclose(window.truth, [200, 0], atol=0.5) and window.size == (64, 48)
        scored = window.events[window.scored]
        assert (scored["t"] >= window.t1_us - 10_000).all() and (scored["t"] < window.t1_us).all()
        if layout is mvsec:
            assert scored["x"].min() >= 8  # no truth to the left of it


def test_dsec_events_are_rectified_where_the_map_is_there(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    dsec(tmp_path)
    y, x = np.mgrid[:48, :64]
    with h5py.File(tmp_path / "seq" / "events" / "left" / "rectify_map.h5", "w") as file:
        file["rectify_map"] = np.stack([x + 3.2, y - 1.0], axis=-1).astype(np.float32)
    (moved,), _ = windows_of(tmp_path)
    (tmp_path / "seq" / "events" / "left" / "rectify_map.h5").unlink()
    (plain,), _ = windows_of(tmp_path)
    assert moved.events["x"].min() == plain.events["x"].min() + 3
    assert moved.events["y"].max() == plain.events["y"].max() - 1


def test_official_layouts_are_evaluated(tmp_path: Path, capsys) -> None:
    from edgesnn.cli.main import run_line

    assert run_line(["eval", "flow", "--data", str(dsec(tmp_path)), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["windows"][0]["file"] == "seq" and report["relative"] < 1.5


def test_official_layouts_that_are_not_whole_are_said(tmp_path: Path) -> None:
    dsec(tmp_path)
    stamps = tmp_path / "seq" / "flow" / "forward_timestamps.txt"
    stamps.write_text("1, 2\n3, 4\n")
    with pytest.raises(InputError, match="2 lines for 1 pictures"):
        windows_of(tmp_path)
    stamps.write_text("1, b\n")
    with pytest.raises(InputError, match="not from_us, to_us"):
        windows_of(tmp_path)
    stamps.unlink()
    with pytest.raises(InputError, match="holds no recording"):
        windows_of(tmp_path)
    (tmp_path / "seq" / "events" / "left" / "events.h5").write_bytes(b"nothing")
    stamps.write_text("1, 2\n")
    with pytest.raises(InputError, match="not a readable HDF5"):
        windows_of(tmp_path)
