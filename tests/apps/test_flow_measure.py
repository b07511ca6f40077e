"""How optical flow is measured: the truth of recordings, scores, peers, others' layouts."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")

from flow_files import graded, moving_dots, written  # noqa: E402

from edgesnn.apps.flow import peers, scores  # noqa: E402
from edgesnn.apps.flow.truth import flow_at  # noqa: E402
from edgesnn.bundle import load_bundle  # noqa: E402
from edgesnn.decide.motion import MotionReadout  # noqa: E402
from edgesnn.errors import InputError  # noqa: E402
from edgesnn.events import EVENT, events_from_arrays  # noqa: E402


def test_the_truth_of_a_shift_is_a_shift(tmp_path: Path) -> None:
    written(tmp_path, moving_dots(200))
    (window,), left_out = graded(tmp_path)
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
    windows, left_out = graded(folder)
    assert [window.file for window in windows] == ["b"] and why in left_out[0]


def test_a_folder_without_truth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no recording with a true motion"):
        graded(tmp_path)
    written(tmp_path, moving_dots(200), theta=np.zeros((3, 2)))
    with pytest.raises(InputError, match="theta is of shape"):
        graded(tmp_path)
    (tmp_path / "a.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a readable"):
        graded(tmp_path)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"theta": np.array([[np.nan, 0]])}, "theta holds what is no number"),
        ({"theta": np.array([["a", "b"]])}, "theta holds what is no number"),
        ({"theta": np.zeros((1, 2))}, "its true motion is none"),
        ({"half_diff": np.zeros(0)}, r"half_diff is of shape \(0,\); wanted \(1,\)"),
        ({"size": np.array([64, 48, 1])}, "size is of shape"),
        ({"x": np.zeros(3, np.uint16)}, "x is of shape"),
        ({"K": np.eye(2)}, "K is of shape"),
        ({"D": np.zeros(3)}, "D is of shape"),
        ({"t": np.uint32(3)}, "t is of shape"),
        ({"win": np.array([0, 100_000])}, "win is of shape"),
    ],
)
def test_files_of_wrong_numbers_are_refused(tmp_path: Path, changes, why) -> None:
    written(tmp_path, moving_dots(200), **changes)
    with pytest.raises(InputError, match=why):
        graded(tmp_path)


def test_events_out_of_order_or_outside_are_said(tmp_path: Path) -> None:
    events = moving_dots(200)
    written(tmp_path, events, x=events["x"].astype(np.int32) - 3)
    (window,), told = graded(tmp_path)
    outside = np.count_nonzero(events["x"] < 3)
    assert told == [f"a.npz: {outside} events outside its sensor of 64 x 48 pixels"]
    assert len(window.events) == len(events) - outside
    written(tmp_path, events[::-1])
    with pytest.raises(InputError, match="not in order of time"):
        graded(tmp_path)


def test_where_nothing_can_be_graded_the_reasons_are_told(tmp_path: Path) -> None:
    written(tmp_path, moving_dots(200), half_diff=np.array([50.0]))
    with pytest.raises(InputError, match="no recording with a true motion: a.npz, window 0 .*25 %"):
        graded(tmp_path)


def test_peers_whose_pictures_fit_no_window_are_told(tmp_path: Path, capsys) -> None:
    from edgesnn.cli.main import run_line

    written(tmp_path, np.repeat(moving_dots(200), 3), win=np.array([[0, 40_000]]))
    assert run_line(["eval", "flow", "--data", str(tmp_path), "--json", "--peers"]) == 0
    told = json.loads(capsys.readouterr().out)["peers"]["dis_medium"]
    assert told["n_windows"] == 1 and told["by_frame_us"]["30000"]["relative"] is None
    written(tmp_path, np.repeat(moving_dots(400), 3), win=np.array([[0, 10_000]]))
    with np.load(tmp_path / "a.npz") as file:
        late = {name: file[name] for name in file.files}
    kept = late["t"] >= 6_000
    late |= {name: late[name][kept] for name in "txyp"}
    np.savez(tmp_path / "a.npz", **late)
    assert run_line(["eval", "flow", "--data", str(tmp_path), "--peers"]) == 0
    assert "dis_medium: 0 of 1 windows are long enough" in capsys.readouterr().out


def test_flow_has_no_early_exit(tmp_path: Path, capsys) -> None:
    from edgesnn.cli.main import run_line

    written(tmp_path, moving_dots(200))
    assert run_line(["eval", "flow", "--data", str(tmp_path), "--exit", "exact"]) == 2


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


def test_events_are_warped_to_the_middle_of_their_time() -> None:
    """Two columns of events at the beginning, 6 pixels from the right border of the picture: at
    400 px/s they are out of it at the end of 30 ms, and not in its middle."""
    n = 1200
    x = np.tile([25, 26], n // 2)
    events = events_from_arrays(np.zeros(n), x, np.full(n, 5), np.ones(n))
    field = np.zeros((2, 8, 32))
    field[0] = 200
    assert scores.fwl_of(events, field, 30_000, (32, 8)) == pytest.approx(1)
    field[0] = 500
    assert scores.fwl_of(events, field, 30_000, (32, 8)) == 0


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
