"""Video files turned into events, frame by frame, at the times that the file gives them.

No frame is left out because the machine is slow, and the same file gives the same events. A frame
without a time of its own comes one of the file's periods after the one before.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgesnn.errors import InputError
from edgesnn.events import Packet, empty_events
from edgesnn.senses.eye import Eye
from edgesnn.sources.found import check_plain
from edgesnn.sources.frames import eye_of, squared
from edgesnn.sources.opencv import MOST_PIXELS, opencv
from edgesnn.sources.wanted import Wanted
from edgesnn.text import shown

_NAP_S = 0.001
_USUAL_HZ, _FASTEST_HZ = 30.0, 100_000.0


def open_video(
    path: Path, make_eye: Callable[[], Eye], *, speed: float = 1.0, loop: bool = False
) -> Video:
    """Open a video as a source.

    make_eye: makes what turns pictures into events, anew for each lap. speed: 1.0 is real time,
    math.inf as fast as it is read. loop: play for ever. Raises InputError for what is no video.
    """
    check_plain(path)
    return Video(path, _opened(path), make_eye, speed, loop)


def video_for(path: Path, wanted: Wanted, *, speed: float, loop: bool) -> Video:
    """Open a video for a model: as events, or as the pictures that it takes."""
    return open_video(path, eye_of(wanted.bundle, path.name), speed=speed, loop=loop)


class Video:
    """An opened cv2.VideoCapture as a source; see `edgesnn.events.Source`."""

    can_wait = True

    def __init__(
        self, path: Path, capture: Any, make_eye: Callable[[], Eye], speed: float, loop: bool
    ) -> None:
        self.name = "file:" + shown(path.name)
        self._path, self._capture, self._make_eye = path, capture, make_eye
        self._eye = make_eye()
        self.size = self._eye.size
        self._speed, self._loop = speed, loop
        self.paced = not math.isinf(speed)  # whether arrival times mean anything
        told_hz = float(capture.get(5))  # CAP_PROP_FPS
        self._usual = not 0 < told_hz <= _FASTEST_HZ
        self._hz = _USUAL_HZ if self._usual else told_hz
        self._promised = int(capture.get(7))  # CAP_PROP_FRAME_COUNT
        self._frames = self._lap_frames = 0
        self._at_us = 0  # of the newest frame
        self._lap_us: int | None = None  # what is added to the times of this lap
        self._grabbed = False
        self._missing = 0
        self._told_us = 0
        self._begins = False
        self._began_ns: int | None = None
        self._over = False

    def notes(self) -> tuple[str, ...]:
        """Return what a person should know of the file."""
        notes = []
        if self._usual:
            notes.append(f"the video does not say its pace; {_USUAL_HZ:g} frames/s were taken")
        if self._frames == 1:
            notes.append("the video holds one picture: nothing moves in it")
        if self._missing:
            notes.append(
                f"{self._missing:,} of the {self._promised:,} frames that its length and pace "
                "promise are not there: it is cut off, damaged or of uneven pace"
            )
        return (*notes, *self._eye.notes())

    def close(self) -> None:
        """End the source."""
        self._over = True

    def read(self) -> Packet | None:
        """Return the events of the next frame when it is due; None at the end."""
        if self._over:
            self._capture.release()
            return None
        if not self._grabbed and not self._grab():
            return self._ended()
        now = time.monotonic_ns()
        if self._began_ns is None:
            self._began_ns = now
        due_ns = now
        if self.paced:
            due_ns = self._began_ns + int(self._at_us * 1000 / self._speed)
            if due_ns > now:
                time.sleep(min(_NAP_S, (due_ns - now) * 1e-9))
                return Packet(empty_events(), self._told_us, now)
        self._grabbed = False
        good, picture = self._capture.retrieve()
        if not good:
            return Packet(empty_events(), self._told_us, now)
        self._frames += 1
        self._lap_frames += 1
        events, told_us = self._eye.frame(squared(picture), self._at_us + 1)
        self._told_us = max(told_us, self._told_us)
        begins, self._begins = self._begins, False
        return Packet(events, self._told_us, due_ns, begins)

    def _grab(self) -> bool:
        """Go to the next frame and its time; False where there is none."""
        self._grabbed = bool(self._capture.grab())
        if not self._grabbed:
            return False
        period_us = 1e6 / self._hz
        told_us = round(float(self._capture.get(0)) * 1000)  # CAP_PROP_POS_MSEC
        if self._lap_us is None:
            begins_us = self._at_us + period_us if self._frames else 0
            self._lap_us = round(begins_us) - told_us
        at_us = told_us + self._lap_us
        if self._lap_frames and at_us <= self._at_us:
            at_us = round(self._at_us + period_us)
        self._at_us = at_us
        return True

    def _ended(self) -> Packet | None:
        if not self._frames:
            raise InputError(f"{self._path} holds no picture that can be read")
        self._missing = max(self._missing, self._promised - self._lap_frames)
        if not self._loop or not self._lap_frames:
            self._over = True
            return self.read()
        self._capture.release()
        before, self._eye = self._eye, self._make_eye()
        self._eye.follow(before)
        self._capture = _opened(self._path)
        self._lap_frames, self._lap_us, self._begins = 0, None, True
        return Packet(empty_events(), self._told_us, time.monotonic_ns())


def _opened(path: Path) -> Any:
    cv2 = opencv()
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise InputError(f"{path} is not a video that OpenCV can read")
    width, height = (int(capture.get(n)) for n in (3, 4))  # CAP_PROP_FRAME_WIDTH, _HEIGHT
    if width * height > MOST_PIXELS:
        capture.release()
        raise InputError(
            f"{path} says that its pictures have {width:,} x {height:,} pixels, and edgesnn takes "
            f"{MOST_PIXELS:,}; it is damaged"
        )
    return capture
