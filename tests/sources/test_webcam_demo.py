import importlib.abc
import math
import sys
import time

import numpy as np
import pytest

pytest.importorskip("cv2")

from fake_webcam import FakeCapture, squares  # noqa: E402
from written import write_video  # noqa: E402

from edgesnn.errors import InputError, MissingDependency, RunError  # noqa: E402
from edgesnn.models.gesture.demo import open_demo  # noqa: E402
from edgesnn.senses.eye import Emulated  # noqa: E402
from edgesnn.sources import devices, webcam  # noqa: E402
from edgesnn.sources import webcam as module  # noqa: E402
from edgesnn.sources.video import open_video  # noqa: E402
from edgesnn.sources.webcam import Webcam, open_webcam  # noqa: E402


def read_all(source):
    packets = []
    while (packet := source.read()) is not None:
        packets.append(packet)
    return packets


def test_motion_in_a_video_becomes_events_at_the_moving_edges(tmp_path):
    write_video(tmp_path / "a.avi")
    packets = read_all(open_video(tmp_path / "a.avi", Emulated, speed=math.inf))
    events = np.concatenate([p.events for p in packets])
    assert len(events) > 100
    # The square lies in the middle third of the height; only its sides move.
    assert ((events["y"] > 36) & (events["y"] < 92)).mean() > 0.9
    assert 0.3 < events["p"].mean() < 0.7


def test_no_such_webcam_or_video_is_one_sentence(tmp_path, capfd):
    with pytest.raises(InputError, match="webcam 97 cannot be opened"):
        open_webcam(97)
    (tmp_path / "a.avi").write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a video"):
        open_video(tmp_path / "a.avi", Emulated)
    assert "ERROR" not in capfd.readouterr().err


def test_a_webcam_that_goes_away_is_a_run_error():
    source = Webcam(FakeCapture(squares(3)), "webcam:0")
    with pytest.raises(RunError, match="stopped sending"):
        read_all(source)


def test_a_webcam_that_hangs_is_a_run_error(monkeypatch):
    monkeypatch.setattr(module, "_SILENT_S", 0.1)

    class Hanging(FakeCapture):
        def read(self):
            if self.frames:
                return super().read()
            time.sleep(0.4)
            return False, None

    source = Webcam(Hanging(squares(2)), "webcam:0")
    with pytest.raises(RunError, match="has sent no picture"):
        read_all(source)
    source.close()


def test_close_releases_the_camera():
    capture = FakeCapture(squares(500))
    source = Webcam(capture, "webcam:0")
    source.read()
    source.close()
    assert capture.released
    assert source.read() is None


def test_the_demo_runs_in_real_time_and_says_what_it_performs():
    source = open_demo(3)
    packets, began = [], time.monotonic()
    while time.monotonic() - began < 0.5:
        packets.append(source.read())
    took_us = (time.monotonic() - began) * 1e6
    assert 0.5 * took_us < packets[-1].watermark_us <= took_us
    assert sum(len(p.events) for p in packets) > 100
    assert 0 <= source.label <= 10


def test_a_slow_machine_draws_fewer_pictures_and_does_not_drift(monkeypatch):
    source = open_demo(3)
    draw = source._scene.frame

    def slow(t_us):
        time.sleep(0.03)
        return draw(t_us)

    monkeypatch.setattr(source._scene, "frame", slow)
    source.read()
    began = time.monotonic()
    marks = [source.read().watermark_us for _ in range(8)]
    took_us = (time.monotonic() - began) * 1e6
    assert min(np.diff(marks)) >= 30_000
    assert marks[-1] == pytest.approx(took_us, abs=80_000)


@pytest.mark.parametrize(
    ("reason", "wanted"),
    [
        ("No module named 'cv2'", "pip install opencv-python"),
        ("libGL.so.1: cannot open shared object file", "apt-get install libgl1"),
    ],
)
def test_without_opencv_the_sentence_says_what_to_install(monkeypatch, reason, wanted):
    class Absent(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name == "cv2":
                raise ImportError(reason)

    monkeypatch.delitem(sys.modules, "cv2")
    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    for start in (lambda: open_webcam(0), open_demo):
        with pytest.raises(MissingDependency, match=wanted):
            start()


def test_webcams_are_listed_by_the_index_that_delivers_pictures(tmp_path):
    for number, index, name in ((0, "0", "Front"), (1, "1", "Front"), (10, "0", "Back")):
        entry = tmp_path / f"video{number}"
        entry.mkdir()
        (entry / "index").write_text(f"{index}\n")
        (entry / "name").write_text(f"{name}\n")
    (tmp_path / "video11").mkdir()
    assert [(d.model, d.option) for d in webcam.listed(tmp_path)] == [
        ("Front", "--webcam 0"),
        ("Back", "--webcam 10"),
    ]
    assert webcam.listed(tmp_path / "none") == []


def test_what_cannot_be_looked_for_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "dv_processing", None)
    monkeypatch.setitem(sys.modules, "cv2", None)
    found = devices.list_devices()
    assert [(d.kind, d.option) for d in found[:2]] == [("missing", "")] * 2
    assert "dv-processing>=2" in found[0].model
    assert "pip install opencv-python" in found[1].model


def test_pictures_that_a_slow_reader_misses_are_counted():
    class Fast(FakeCapture):
        def read(self):
            time.sleep(0.002)
            return True, np.zeros((128, 128, 3), np.uint8)

    source = Webcam(Fast([]), "webcam:0", Emulated())
    assert source.notes() == ()
    time.sleep(0.6)
    source.read()
    source.close()
    (note,) = source.notes()
    assert note.endswith("pictures of the camera were left out: they came too fast")
