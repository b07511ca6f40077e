"""How optical flow is measured: the truth of recordings, scores, peers, others' layouts."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")

from edgesnn.apps.flow import fields, peers, scores  # noqa: E402
from edgesnn.apps.flow.graded import windows_of  # noqa: E402
from edgesnn.apps.flow.truth import flow_at  # noqa: E402
from edgesnn.bundle import load_bundle  # noqa: E402
from edgesnn.decide.motion import MotionReadout  # noqa: E402
from edgesnn.errors import InputError  # noqa: E402
from edgesnn.events import EVENT, Events, events_from_arrays  # noqa: E402


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
    with pytest.raises(InputError, match="cannot be read as HDF5"):
        windows_of(tmp_path)


@pytest.mark.parametrize(
    ("layout", "where", "name"),
    [(dsec, "seq/events/left/events.h5", name) for name in ("events/t", "t_offset", "ms_to_idx")]
    + [(mvsec, "indoor_data.hdf5", "davis/left/events")],
)
def test_files_without_their_parts_or_damaged_are_said(tmp_path: Path, layout, where, name) -> None:
    h5py = pytest.importorskip("h5py")
    path = layout(tmp_path) / where
    with h5py.File(path, "r+") as file:
        rows = file[name][()]
        del file[name]
    with pytest.raises(InputError, match=f"holds no {name}: it is of another layout"):
        windows_of(tmp_path)
    with h5py.File(path, "r+") as file:
        file.create_group(name)
    with pytest.raises(InputError, match=f"holds no {name}"):
        windows_of(tmp_path)
    if not np.ndim(rows):
        return
    with h5py.File(path, "r+") as file:
        del file[name]
        part = file.create_dataset(name, data=rows, chunks=rows.shape, compression="gzip")
        at = part.id.get_chunk_info(0)
    whole = bytearray(path.read_bytes())
    whole[at.byte_offset : at.byte_offset + at.size] = b"x" * at.size
    path.write_bytes(whole)
    with pytest.raises(InputError, match=f"{path.name} cannot be read as HDF5"):
        windows_of(tmp_path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=f"{path.name} cannot be read as HDF5"):
        windows_of(tmp_path)
