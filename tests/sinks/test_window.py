import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from contract_sinks import INFO, NOTHING, FixedMonitor, snapshot

from edgesnn.errors import InputError, MissingDependency
from edgesnn.sinks.window import EventWindow, event_pixels, open_window, window_image
from edgesnn.sinks.window_process import SIZE


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


def test_pixels_have_the_colour_of_their_polarity() -> None:
    frame = np.zeros((2, 2, 2), np.uint8)
    frame[1, 0, 0], frame[0, 1, 1], frame[1, 0, 1] = 200, 200, 1
    blue_green_red = event_pixels(frame)
    assert blue_green_red.shape == (2, 2, 3) and blue_green_red.dtype == np.uint8
    assert blue_green_red[0, 0].tolist() == [84, 180, 255]
    assert blue_green_red[1, 1].tolist() == [255, 168, 89]
    assert blue_green_red[1, 0].tolist() == [20, 16, 14]
    dark, light = blue_green_red[1, 0], blue_green_red[0, 0]
    assert all(np.minimum(dark, light) < blue_green_red[0, 1])
    assert all(blue_green_red[0, 1] < np.maximum(dark, light))


def test_an_image_shows_events_above_and_the_answer_below() -> None:
    image = window_image(snapshot())
    assert image.shape == (48 * 8 + 64, 64 * 8 + 230, 3)
    assert image[15 * 8, 15 * 8].tolist() == [84, 180, 255]
    assert image[35 * 8, 45 * 8].tolist() == [255, 168, 89]
    quiet = window_image(snapshot(NOTHING))
    assert (image[: 48 * 8, : 64 * 8] == quiet[: 48 * 8, : 64 * 8]).all()
    assert (image[:, 64 * 8 :] != quiet[:, 64 * 8 :]).any()  # the class that is held stands out
    assert (image[48 * 8 :] != quiet[48 * 8 :]).any()
    assert window_image(None).shape == (512 + 64, 512, 3)
    large = replace(snapshot(), frame=np.zeros((2, 96, 128), np.uint8))
    assert window_image(large).shape == (96 * 4 + 64, 128 * 4 + 230, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="a desktop without a display is Linux's")
@pytest.mark.parametrize("display", [None, ":9731"], ids=["none", "one that does not answer"])
def test_no_display_is_one_sentence(
    display: str | None, stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    if display is not None:
        monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(InputError, match="--view needs a display and there is none .*leave --view"):
        open_window(stop)


def test_no_opencv_names_the_pip_line(
    stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match="pip install opencv-python"):
        open_window(stop)


def test_a_window_that_goes_away_stops_the_run(stop: threading.Event) -> None:
    gone = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.buffer.read(9)"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    before = set(threading.enumerate())
    sink = EventWindow(gone, stop)
    sink.open(INFO, FixedMonitor())
    assert stop.wait(10)
    sink.close(None)
    assert gone.poll() is not None and set(threading.enumerate()) <= before


STAND_IN = """
shown = 0
WINDOW_AUTOSIZE = WINDOW_GUI_NORMAL = WND_PROP_VISIBLE = 0
def namedWindow(title, flags):
    assert title == "edgesnn"
def imshow(title, image):
    global shown
    shown += 1
    assert image.shape == (2, 3, 3) and (image == shown).all()
def waitKey(ms):
    import time
    time.sleep(ms / 1000)
    return KEY if shown == 2 else -1
def getWindowProperty(title, which):
    return 0.0 if KEY == 0 and shown == 2 else 1.0
"""


@pytest.mark.parametrize("key", [ord("q"), 27, 0], ids=["q", "Esc", "closed"])
def test_the_window_shows_pictures_until_the_user_ends_it(key: int, tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text(f"KEY = {key}\n{STAND_IN}")
    process = subprocess.Popen(
        [sys.executable, "-m", "edgesnn.sinks.window_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"edgesnn\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"ready\n"
    for number in (1, 2):
        assert process.poll() is None
        process.stdin.write(SIZE.pack(2, 3) + bytes([number] * 18))
        process.stdin.flush()
        time.sleep(0.1)
    assert process.wait(10) == 0
    process.stdin.close()
    process.stdout.close()


def test_a_real_window_opens_and_closes(stop: threading.Event) -> None:
    try:
        window = open_window(stop)
    except InputError as error:
        pytest.skip(str(error))
    window.open(INFO, FixedMonitor())
    time.sleep(0.3)
    assert not stop.is_set()
    window.close(None)
