"""The window's picture of motion as a video or an animation (`--record-video OUT.mp4|gif`)."""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from edgesnn.decide.decision import Decision
from edgesnn.decide.motion_field import MotionField
from edgesnn.errors import MissingDependency, RunError
from edgesnn.events import Packet
from edgesnn.sinks.opening import Opening
from edgesnn.sinks.whole_file import check_output, whole_file
from edgesnn.sinks.window import window_image
from edgesnn.sources.opencv import opencv
from edgesnn.stream.sink import Monitor, RunInfo, Summary

FRAME_US = 40_000
"""Of event time between two frames: 25 a second, whatever the speed of playing."""
_MOST_FRAMES = 750
"""Of an animation, which is kept in memory until it is written: 30 s."""


def open_sink(value: Path, run: Opening) -> VideoFile:
    """Write to the file `value`."""
    return VideoFile(value, run.max_speed, run.playing)


class VideoFile:
    """The sink behind --record-video. It waits for the writing: no frame is left out.

    playing: the recording that is the source, which is never replaced.
    The file appears under its name when it is whole; what a killed run leaves begins with a dot.
    """

    def __init__(self, path: Path, max_speed: float, playing: Path | None = None) -> None:
        self.name = f"--record-video {path}"
        check_output(path, "--record-video", (".mp4", ".gif"), playing)
        self._cv2 = opencv()
        self._gif = path.suffix.lower() == ".gif"
        if self._gif and not hasattr(self._cv2, "imencodeanimation"):
            raise MissingDependency(f'{self.name} needs pip install "opencv-python>=4.12"')
        self._path, self._max_speed = path, max_speed
        self._target = path.resolve()  # a link is followed
        self._part = self._target.with_name(f".{path.stem[:80]}.{secrets.token_hex(4)}.mp4")
        self._frames: list[Any] = []
        self._writer: Any = None
        self._next_us: int | None = None
        self._written = self._left_out = 0

    def open(self, info: RunInfo, monitor: Monitor) -> None:
        """Keep where the pictures come from."""
        self._monitor = monitor

    def packet(self, packet: Packet) -> None:
        """Frames are drawn from snapshots."""

    def decision(self, decision: Decision) -> None:
        """Decisions are drawn from snapshots."""

    def field(self, field: MotionField, latency_us: float | None) -> None:
        """Draw a frame where one is due."""
        if self._next_us is None:
            self._next_us = field.t_us
        snapshot = self._monitor.latest()  # of the step before: pictures and field belong together
        if field.t_us < self._next_us or snapshot is None:
            return
        self._next_us += FRAME_US * ((field.t_us - self._next_us) // FRAME_US + 1)
        image = window_image(snapshot, self._max_speed, live=False)
        if self._gif and len(self._frames) == _MOST_FRAMES:
            self._left_out += 1
        elif self._gif:
            self._frames.append(image)
        else:
            self._write(image)

    def close(self, summary: Summary | None) -> None:
        """Finish the file; raises RunError when that failed."""
        if self._writer is not None:
            self._writer.release()
            self._finish_video()
        if self._frames:
            self._finish_animation()
        if summary is not None and not self._written and not self._frames:
            raise RunError(f"{self.name}: there was nothing to show")
        if self._left_out:
            raise RunError(
                f"{self.name} holds its first {_MOST_FRAMES} frames only: an animation is no place "
                f"for {self._left_out + _MOST_FRAMES}; write an .mp4, or use --duration"
            )

    def _finish_animation(self) -> None:
        animation = self._cv2.Animation()
        animation.frames = self._frames
        animation.durations = np.full(len(self._frames), FRAME_US // 1000, np.int32)
        good, data = self._cv2.imencodeanimation(".gif", animation)
        if not good:
            raise RunError(f"{self.name} could not be made")
        with whole_file(self._path, "--record-video") as part:
            part.write_bytes(bytes(data))

    def _finish_video(self) -> None:
        """Give the video its name, if it holds what was written: the encoder tells no full disk."""
        try:
            check = self._cv2.VideoCapture(str(self._part))
            frames = int(check.get(7)) if check.isOpened() else 0  # CAP_PROP_FRAME_COUNT
            check.release()
            if frames < self._written:
                raise RunError(
                    f"{self.name} could not be written: {frames} of {self._written} frames are in "
                    "it; is the disk full?"
                )
            self._part.replace(self._target)
        except OSError as error:
            raise RunError(f"{self.name} cannot be written: {error.strerror or error}") from error
        finally:
            with suppress(OSError):
                self._part.unlink()

    def _write(self, image: Any) -> None:
        height, width = image.shape[:2]
        if self._writer is None:
            code = self._cv2.VideoWriter.fourcc(*"mp4v")
            size = (width // 2 * 2, height // 2 * 2)
            self._writer = self._cv2.VideoWriter(str(self._part), code, 1e6 / FRAME_US, size)
            if not self._writer.isOpened():
                raise RunError(f"{self.name} cannot be written: OpenCV has no encoder for it")
        self._writer.write(np.ascontiguousarray(image[: height // 2 * 2, : width // 2 * 2]))
        self._written += 1
