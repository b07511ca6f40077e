"""An ordinary camera turned into events, by the DVS emulator or as trials.

Frames are read on a thread of their own, so that `read` never waits for the next one; gray, the
middle square, 128 x 128. Event time is host time since the first frame: events between two frames
have interpolated times, and come up to one frame late.
"""

from __future__ import annotations

import queue
import threading
import time
from pathlib import Path
from typing import Any

from edgesnn.errors import InputError, RunError
from edgesnn.events import Packet, Source, empty_events
from edgesnn.senses.eye import Emulated, Eye, Gray
from edgesnn.sources.device import Device
from edgesnn.sources.frames import eye_of, squared
from edgesnn.sources.opencv import opencv
from edgesnn.sources.wanted import Wanted
from edgesnn.text import shown

_LAST_NUMBER = 1023
_WAITING_FRAMES = 4
_NAP_S = 0.001
_SILENT_S = 3.0
_DONE = None
_VIDEO = Path("/sys/class/video4linux")


def open_webcam(device: int, eye: Eye | None = None) -> Webcam:
    """Open camera number `device`.

    eye: what turns its pictures into events; None: the DVS emulator. Raises InputError when it
    cannot be opened, MissingDependency without OpenCV.
    """
    capture = opencv().VideoCapture(device)
    if not capture.isOpened():
        raise InputError(
            f"webcam {device} cannot be opened; `edgesnn devices` lists the cameras of this "
            "machine, and --demo needs none"
        )
    return Webcam(capture, f"webcam:{device}", eye)


class Webcam:
    """An opened cv2.VideoCapture as a source; see `edgesnn.events.Source`."""

    can_wait = False

    def __init__(self, capture: Any, name: str, eye: Eye | None = None) -> None:
        self.name = name
        self._eye = eye or Emulated()
        self.size = self._eye.size
        self._capture = capture
        self._frames: queue.Queue[tuple[int, Gray] | None] = queue.Queue(_WAITING_FRAMES)
        self._first_ns: int | None = None
        self._last_us = 0
        self._heard_ns = time.monotonic_ns()
        self._closing = threading.Event()
        self._over = False
        self._fallen = 0
        self._thread = threading.Thread(target=self._grab, name="edgesnn-webcam", daemon=True)
        self._thread.start()

    def notes(self) -> tuple[str, ...]:
        """Say how many pictures were not looked at."""
        told = f"{self._fallen:,} pictures of the camera were left out: they came too fast"
        return (*([told] if self._fallen else []), *self._eye.notes())

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
            if self._closing.is_set():
                return None
            raise RunError(f"{self.name} stopped sending pictures; was it unplugged?")
        return self._packet(*frame)

    def _packet(self, taken_ns: int, gray: Gray) -> Packet:
        self._heard_ns = time.monotonic_ns()
        if self._first_ns is None:
            self._first_ns = taken_ns
        t_us = max((taken_ns - self._first_ns) // 1000, self._last_us + 1)
        events, told_us = self._eye.frame(gray, t_us)
        self._last_us = max(told_us, self._last_us)
        return Packet(events, self._last_us, taken_ns)

    def _grab(self) -> None:
        """Read frames until there are none; a slow engine makes old ones fall out, not pile up."""
        try:
            while not self._closing.is_set():
                good, picture = self._capture.read()
                if not good:
                    break
                taken_ns = time.monotonic_ns()
                self._offer((taken_ns, squared(picture)))
        finally:
            self._capture.release()
            self._offer(_DONE)

    def _offer(self, frame: tuple[int, Gray] | None) -> None:
        while not self._closing.is_set():
            try:
                return self._frames.put(frame, timeout=0.05)
            except queue.Full:
                if frame is _DONE:
                    continue
                try:
                    self._frames.get_nowait()
                    self._fallen += 1
                except queue.Empty:
                    continue


def open_live(value: str, wanted: Wanted) -> Source:
    """Open a camera by its number, or a video by its name, for a model."""
    if value.isascii() and value.isdecimal() and len(value) < 5 and int(value) <= _LAST_NUMBER:
        return open_webcam(int(value), eye_of(wanted.bundle, "a webcam")())
    if value.startswith("-") or not Path(value).exists():
        raise InputError(
            f"--webcam {shown(value)} is neither the number of a camera, 0 to {_LAST_NUMBER}, nor "
            "a video file"
        )
    from edgesnn.sources.video import video_for

    return video_for(Path(value), wanted, speed=1.0, loop=False)


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
