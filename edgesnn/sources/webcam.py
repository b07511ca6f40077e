"""An ordinary camera (or a video file) turned into events, by the DVS emulator or as trials.

Frames are read on a thread of their own, so that `read` never waits for the next one; gray, the
middle square, 128 x 128. Event time is host time since the first frame: events between two frames
have interpolated times, and come up to one frame late.
"""

from __future__ import annotations

import queue
import threading
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError, RunError
from edgesnn.events import Events, Packet, empty_events
from edgesnn.senses.emulator import DEFAULT, DvsEmulator, EmulatorParameters
from edgesnn.sources.device import Device
from edgesnn.sources.image import Frames
from edgesnn.sources.opencv import opencv
from edgesnn.sources.wanted import Wanted, check_takes_events

SIZE = 128
_WAITING_FRAMES = 4
_NAP_S = 0.001
_SILENT_S = 3.0
_DONE = None
_VIDEO = Path("/sys/class/video4linux")


def open_webcam(
    device: int | Path,
    parameters: EmulatorParameters = DEFAULT,
    seed: int = 0,
    *,
    eye: Eye | None = None,
) -> Webcam:
    """Open camera number `device`, or play a video file as if it were one.

    eye: what turns its pictures into events; None: the DVS emulator. Raises InputError when it
    cannot be opened, MissingDependency without OpenCV.
    """
    cv2 = opencv()
    target = device if isinstance(device, int) else str(device)
    capture = cv2.VideoCapture(target)
    if not capture.isOpened():
        raise InputError(
            f"webcam {device} cannot be opened; `edgesnn devices` lists the cameras of this "
            "machine, and --demo needs none"
            if isinstance(device, int)
            else f"{device} is not a video that OpenCV can read"
        )
    eye = eye or Emulated(parameters, seed)
    return Webcam(capture, f"webcam:{device}", isinstance(device, Path), eye)


class Eye(Protocol):
    """Turns pictures into events. size: (width, height) of the events."""

    size: tuple[int, int]

    def frame(self, gray: NDArray[np.uint8], t_us: int) -> tuple[Events, int]:
        """Take a square gray picture; return its events, and the time up to which all is told."""
        ...


class Emulated:
    """The DVS emulator as an eye."""

    def __init__(self, parameters: EmulatorParameters = DEFAULT, seed: int = 0) -> None:
        self.size = (SIZE, SIZE)
        self._emulator = DvsEmulator(self.size, parameters, seed)

    def frame(self, gray: NDArray[np.uint8], t_us: int) -> tuple[Events, int]:
        """See `Eye`."""
        return self._emulator.frame(gray, t_us), t_us


class Webcam:
    """An opened cv2.VideoCapture as a source; see `edgesnn.events.Source`.

    ends: whether running out of frames is the end (a video) or a fault (a camera).
    """

    can_wait = False

    def __init__(self, capture: Any, name: str, ends: bool, eye: Eye | None = None) -> None:
        self.name = name
        self._eye = eye or Emulated()
        self.size = self._eye.size
        self._ends = ends
        self._capture = capture
        self._frames: queue.Queue[tuple[int, NDArray[np.uint8]] | None] = queue.Queue(
            _WAITING_FRAMES
        )
        self._first_ns: int | None = None
        self._last_us = 0
        self._heard_ns = time.monotonic_ns()
        self._closing = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._grab, name="edgesnn-webcam", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Release the camera."""
        self._closing.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(2.0)

    def read(self) -> Packet | None:
        """Return the events of the next frame, when one has come.

        Raises RunError when the camera stops delivering for 3 s.
        """
        if self._over or self._closing.is_set():
            return None
        try:
            frame = self._frames.get(timeout=_NAP_S)
        except queue.Empty:
            now = time.monotonic_ns()
            if now - self._heard_ns > _SILENT_S * 1e9:
                raise RunError(f"{self.name} has sent no picture for {_SILENT_S:.0f} s") from None
            return Packet(empty_events(), self._last_us, now)
        if frame is _DONE:
            self._over = True
            if self._ends or self._closing.is_set():
                return None
            raise RunError(f"{self.name} stopped sending pictures; was it unplugged?")
        return self._packet(*frame)

    def _packet(self, taken_ns: int, gray: NDArray[np.uint8]) -> Packet:
        self._heard_ns = time.monotonic_ns()
        if self._first_ns is None:
            self._first_ns = taken_ns
        t_us = max((taken_ns - self._first_ns) // 1000, self._last_us + 1)
        events, told_us = self._eye.frame(gray, t_us)
        self._last_us = max(told_us, self._last_us)
        return Packet(events, self._last_us, taken_ns)

    def _grab(self) -> None:
        """Read frames until there are none; a slow engine makes old ones fall out, not pile up."""
        rate = self._capture.get(5)  # CAP_PROP_FPS
        pause_s = 1 / rate if self._ends and rate > 0 else 0.0
        try:
            while not self._closing.is_set():
                good, picture = self._capture.read()
                if not good:
                    break
                taken_ns = time.monotonic_ns()
                self._offer((taken_ns, _squared(picture)))
                if pause_s:
                    self._closing.wait(pause_s)  # a video comes at its own pace, as a camera does
        finally:
            self._capture.release()
            self._offer(_DONE)

    def _offer(self, frame: tuple[int, NDArray[np.uint8]] | None) -> None:
        while not self._closing.is_set():
            try:
                return self._frames.put(frame, timeout=0.05)
            except queue.Full:
                if frame is _DONE:
                    continue
                try:
                    self._frames.get_nowait()
                except queue.Empty:
                    continue


def _squared(picture: NDArray[Any]) -> NDArray[np.uint8]:
    cv2 = opencv()
    gray = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) if picture.ndim == 3 else picture
    height, width = gray.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = gray[top : top + side, left : left + side]
    resized: NDArray[np.uint8] = cv2.resize(square, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return resized


def open_live(value: int, wanted: Wanted) -> Webcam:
    """Open camera number `value` for a model: as events, or as the pictures that it takes."""
    if wanted.bundle.latency is None:
        check_takes_events(wanted.bundle, "a webcam")
        return open_webcam(value)
    return open_webcam(value, eye=Frames(wanted.bundle.latency, wanted.bundle.program.step_us))


def listed(folder: Path = _VIDEO) -> list[Device]:
    """Name the video devices that Linux lists; one camera may have several numbers.

    Other systems list none without opening them: there --webcam 0, 1, ... has to be tried. Raises
    MissingDependency without OpenCV.
    """
    opencv()
    found = []
    for entry in sorted(folder.glob("video*"), key=lambda path: (len(path.name), path.name)):
        number = entry.name.removeprefix("video")
        try:
            # Index 0 delivers pictures; the others are metadata of the same camera.
            if (entry / "index").read_text().strip() != "0":
                continue
            name = (entry / "name").read_text().strip()
        except OSError:
            continue
        found.append(Device("webcam", name, f"--webcam {number}"))
    return found
