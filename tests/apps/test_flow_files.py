"""What the app that sees motion writes: fields, videos."""

from __future__ import annotations

import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from flow_runs import Fields

cv2 = pytest.importorskip("cv2")

from edgesnn.app import load_app, sample_path  # noqa: E402
from edgesnn.apps.flow import fields  # noqa: E402
from edgesnn.backend import load_model  # noqa: E402
from edgesnn.bundle import load_bundle  # noqa: E402
from edgesnn.errors import InputError  # noqa: E402
from edgesnn.events import Events  # noqa: E402
from edgesnn.sources.reading import read_events  # noqa: E402
from edgesnn.sources.recording import Recording  # noqa: E402
from edgesnn.stream.pipeline import run  # noqa: E402


@pytest.fixture(scope="module")
def sample() -> Events:
    return read_events(sample_path(load_app("flow")))[0]


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
