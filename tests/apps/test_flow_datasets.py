"""DSEC-Flow's and MVSEC's own layouts, in small files that are written in them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")

from flow_files import graded, moving_dots  # noqa: E402

from edgesnn.apps.flow import fields  # noqa: E402
from edgesnn.apps.flow.dense_truth import carried_along, dense_window  # noqa: E402
from edgesnn.apps.flow.windows import Window  # noqa: E402
from edgesnn.errors import InputError  # noqa: E402
from edgesnn.events import events_from_arrays  # noqa: E402


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
    windows, _ = graded(layout(tmp_path))
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
    (moved,), _ = graded(tmp_path)
    (tmp_path / "seq" / "events" / "left" / "rectify_map.h5").unlink()
    (plain,), _ = graded(tmp_path)
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
        graded(tmp_path)
    stamps.write_text("1, b\n")
    with pytest.raises(InputError, match="not from_us, to_us"):
        graded(tmp_path)
    stamps.unlink()
    with pytest.raises(InputError, match="holds no recording"):
        graded(tmp_path)
    (tmp_path / "seq" / "events" / "left" / "events.h5").write_bytes(b"nothing")
    stamps.write_text("1, 2\n")
    with pytest.raises(InputError, match="cannot be read as HDF5"):
        graded(tmp_path)


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
        graded(tmp_path)
    with h5py.File(path, "r+") as file:
        file.create_group(name)
    with pytest.raises(InputError, match=f"holds no {name}"):
        graded(tmp_path)
    if not np.ndim(rows):
        return
    with h5py.File(path, "r+") as file:
        del file[name]
        part = file.create_dataset(name, data=rows, chunks=rows.shape, compression="gzip")
        at = part.id.get_chunk_info(0)
    whole = bytearray(path.read_bytes())
    whole[at.byte_offset : at.byte_offset + at.size] = b"x" * at.size
    path.write_bytes(whole)
    with pytest.raises(InputError, match=f"{name} of .*{path.name} cannot be read: it is damaged"):
        graded(tmp_path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=f"{path.name} cannot be read as HDF5"):
        graded(tmp_path)


def test_dsec_as_it_is_downloaded(tmp_path: Path) -> None:
    """Events and truth of a sequence lie in folders of two downloads."""
    dsec(tmp_path / "both")
    for part, download in (("events", "train_events"), ("flow", "train_optical_flow")):
        (tmp_path / "two" / download / "seq [1]").mkdir(parents=True)
        (tmp_path / "both" / "seq" / part).rename(tmp_path / "two" / download / "seq [1]" / part)
    ((window,), _) = graded(tmp_path / "two")
    assert window.file == "seq [1]" and np.allclose(window.truth, [200, 0], atol=0.5)


def test_a_dense_truth_moves_along_with_what_moves() -> None:
    flow, valid = np.zeros((2, 8, 40)), np.ones((8, 40), bool)
    flow[0], flow[0, :, 4:10] = -4.0, 20.0
    carried, known = carried_along(flow, valid, 0.5)
    assert (carried[0, :, 14:20] == 20).all() and (carried[0, :, 20:38] == -4).all()
    assert known[:, 8:38].all() and not known[:, 38:].any()
    assert np.array_equal(carried_along(flow, valid, 0.0)[0], flow)


def test_events_are_scored_against_what_has_come_to_their_pixels() -> None:
    """A thing of 6 columns moves 20 pixels to the right in a window, before what goes left."""
    t = np.full(600, 99_000)
    x, y = np.tile(np.repeat(np.arange(22, 28), 10), 10), np.arange(600) % 8
    flow, valid = np.zeros((2, 8, 40)), np.ones((8, 40), bool)
    flow[0], flow[0, :, 4:10] = -4.0, 20.0
    events = events_from_arrays(t, x, y, np.ones(600))
    window = dense_window("a", "a, 0", events, (0, 100_000), flow, valid)
    assert isinstance(window, Window)
    thing = np.isin(events["x"][window.scored], np.arange(23, 28))
    assert np.allclose(window.truth[thing, 0], 200) and thing.sum() == 500


@pytest.mark.parametrize(
    ("name", "changed", "why"),
    [
        ("ms_to_idx", np.zeros(0, np.int64), "ms_to_idx is empty"),
        ("events/y", np.zeros(3, np.uint16), "not of one length"),
        ("t_offset", np.zeros(2, np.int64), "t_offset is no number"),
        ("events/x", "text", "not of one length|holds no numbers"),
    ],
)
def test_dsec_files_of_wrong_numbers_are_refused(tmp_path: Path, name, changed, why) -> None:
    h5py = pytest.importorskip("h5py")
    dsec(tmp_path)
    with h5py.File(tmp_path / "seq" / "events" / "left" / "events.h5", "r+") as file:
        del file[name]
        file[name] = changed
    with pytest.raises(InputError, match=why):
        graded(tmp_path)


def test_dsec_truths_of_wrong_numbers_are_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    dsec(tmp_path)
    stamps = tmp_path / "seq" / "flow" / "forward_timestamps.txt"
    whole = stamps.read_text()
    for lines in ("5050000,5150000,3\n", "5050000\n", "5150000,5050000\n", "5,5\n"):
        stamps.write_text(lines)
        with pytest.raises(InputError, match="wanted from_us, to_us, the first one earlier"):
            graded(tmp_path)
    stamps.write_text(whole)
    rectified = tmp_path / "seq" / "events" / "left" / "rectify_map.h5"
    for shape, why in (((48, 64), "wanted \\(H, W, 2\\)"), ((24, 32, 2), "rectify_map of 32 x 24")):
        with h5py.File(rectified, "w") as file:
            file["rectify_map"] = np.zeros(shape, np.float32)
        with pytest.raises(InputError, match=why):
            graded(tmp_path)
    rectified.unlink()
    picture = tmp_path / "seq" / "flow" / "forward" / "000002.png"
    four = cv2.imencode(".png", np.zeros((48, 64, 4), np.uint16))[1].tobytes()
    for data in (b"", b"nothing", four):
        picture.write_bytes(data)
        with pytest.raises(InputError, match="000002.png: this is no flow picture of 16 bits"):
            graded(tmp_path)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"timestamps": np.array([10.15, 10.1, 10.05])}, "its timestamps do not go on"),
        ({"timestamps": np.array([10.05, np.nan, 10.15])}, "its timestamps do not go on"),
        ({"timestamps": np.arange(9.0)}, "timestamps .* wanted"),
        ({"x_flow_dist": np.zeros((48, 64))}, "x_flow_dist .* wanted"),
        ({"rows": np.zeros((0, 4))}, r"wanted \(n, 4\)"),
        ({"rows": np.zeros((5, 3))}, r"wanted \(n, 4\)"),
        ({"rows": np.array([[1, 1, 10.1, 1], [1, 1, 10.0, 1]])}, "not in order of time"),
        ({"rows": np.array([[-1, 1, 10.0, 1], [1, 1, 10.1, 1]])}, "events lie nowhere"),
    ],
)
def test_mvsec_files_of_wrong_numbers_are_refused(tmp_path: Path, changes, why) -> None:
    h5py = pytest.importorskip("h5py")
    mvsec(tmp_path)
    with np.load(tmp_path / "indoor_gt_flow_dist.npz") as file:
        truth = {name: file[name] for name in file.files} | changes
    if (rows := truth.pop("rows", None)) is not None:
        with h5py.File(tmp_path / "indoor_data.hdf5", "w") as file:
            file["davis/left/events"] = rows
    np.savez(tmp_path / "indoor_gt_flow_dist.npz", **truth)
    with pytest.raises(InputError, match=why):
        graded(tmp_path)
