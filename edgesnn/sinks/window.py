"""A window with the events, the answer and the latency (`--view`).

q, Esc or closing the window ends the run; d shows motion where nothing was seen too. The pictures
are drawn here, on a thread of the sink, and shown by a process of their own; see `window_process`.
"""

from __future__ import annotations

import importlib.util
import os
import select
import subprocess
import sys
import threading
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.decide.decision import NOTHING, Decision
from edgesnn.errors import InputError, MissingDependency
from edgesnn.events import Packet
from edgesnn.sinks.motion_picture import MAX_SPEED
from edgesnn.sinks.motion_window import motion_image
from edgesnn.sinks.opening import Opening
from edgesnn.sinks.window_process import SIZE
from edgesnn.stream.sink import Monitor, RunInfo, Snapshot, Summary

Image = NDArray[np.uint8]

_SIDE = 512  # pixels of the picture's longer side, at least
_FOOT = 64  # pixels of text below it
_PANE, _ROW = 230, 34  # of the classes beside it: width, height of one
_REFRESH_S = 1 / 30
_PATIENCE_S = 30
_END_S = 2
_BACKGROUND, _ON, _OFF = (20, 16, 14), (84, 180, 255), (255, 168, 89)  # blue, green, red
_TEXT, _FAINT, _ACCENT = (230, 230, 230), (140, 140, 140), (98, 217, 127)
_FULL = 3.0  # events of a pixel in the display window that give the full colour


def open_sink(value: Any, run: Opening) -> EventWindow:
    """Open the window; see `open_window`."""
    return open_window(run.stop, run.max_speed)


def open_window(stop: threading.Event, max_speed: float = MAX_SPEED) -> EventWindow:
    """Open the window and return its sink; `stop` is set when the user ends it.

    Raises InputError when there is no display, MissingDependency without OpenCV.
    """
    if importlib.util.find_spec("cv2") is None:
        raise MissingDependency("--view needs OpenCV; install it with: pip install opencv-python")
    x11 = os.environ.get("DISPLAY")
    window = _start() if x11 or sys.platform != "linux" else None
    if window is None:
        raise InputError(
            f"--view needs a display and there is none (DISPLAY is {x11 or 'not set'}); run it on "
            "a desktop or with ssh -X, or leave --view out to see the events in the terminal"
        )
    return EventWindow(window, stop, max_speed)


def _start() -> subprocess.Popen[bytes] | None:
    """Start the window's process; None when no window comes up."""
    # -P and our own path: a cv2.py that lies where the user is must not be imported.
    window = subprocess.Popen(
        [sys.executable, "-P", "-m", "edgesnn.sinks.window_process"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # Qt's remarks about fonts
        start_new_session=True,  # Ctrl-C is for the run, which then closes the window
    )
    assert window.stdin is not None and window.stdout is not None
    patience = threading.Timer(_PATIENCE_S, window.kill)
    patience.start()
    try:
        window.stdin.write(b"edgesnn\n")
        window.stdin.flush()
        ready = window.stdout.readline() == b"ready\n"
    except BrokenPipeError:
        ready = False
    finally:
        patience.cancel()
    if not ready:
        _end(window)
        return None
    return window


def _end(window: subprocess.Popen[bytes]) -> None:
    for stream in (window.stdin, window.stdout):
        assert stream is not None
        try:
            stream.close()
        except BrokenPipeError:
            pass  # it had ended already
    try:
        window.wait(_END_S)
    except subprocess.TimeoutExpired:
        window.kill()
        window.wait()


class EventWindow:
    """Pulls the newest snapshot 30 times a second; see `open_window`."""

    def __init__(
        self, window: subprocess.Popen[bytes], stop: threading.Event, max_speed: float = MAX_SPEED
    ) -> None:
        self._window = window
        self._stop = stop
        self._max_speed = max_speed
        self._dense = False
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self, info: RunInfo, monitor: Monitor) -> None:
        """Begin to draw."""
        self._thread = threading.Thread(
            target=self._draw, args=(monitor,), name="edgesnn-window", daemon=True
        )
        self._thread.start()

    def packet(self, packet: Packet) -> None:
        """Packets are drawn from snapshots."""

    def decision(self, decision: Decision) -> None:
        """Decisions are drawn from snapshots."""

    def close(self, summary: Summary | None) -> None:
        """Close the window, also one that no longer takes pictures."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(_END_S)
            if self._thread.is_alive():
                self._window.kill()
                self._thread.join()
        _end(self._window)

    def _draw(self, monitor: Monitor) -> None:
        pipe: IO[bytes] | None = self._window.stdin
        assert pipe is not None
        try:
            while not self._closing.wait(_REFRESH_S):
                self._heed()
                image = window_image(monitor.latest(), self._max_speed, dense=self._dense)
                pipe.write(SIZE.pack(*image.shape[:2]) + image.tobytes())
                pipe.flush()
        except OSError:  # the user has closed the window
            self._stop.set()

    def _heed(self) -> None:
        """Do what the keys ask for that the window's process tells: d."""
        pipe = self._window.stdout
        while pipe is not None and select.select([pipe], [], [], 0)[0]:
            key = os.read(pipe.fileno(), 1)
            if key == b"d":
                self._dense = not self._dense
            if not key:
                return


def window_image(
    snapshot: Snapshot | None,
    max_speed: float = MAX_SPEED,
    *,
    dense: bool = False,
    live: bool = True,
) -> Image:
    """Draw a snapshot; returns (height, width, 3) uint8 in OpenCV's order, blue first.

    max_speed: px/s that are brightest. dense: motion where nothing was seen too. live: whether
    latency and keys mean something to who sees it.
    """
    import cv2

    if snapshot is None:
        image = np.full((_SIDE + _FOOT, _SIDE, 3), _BACKGROUND, np.uint8)
        return _write(image, "waiting for events", 26, 0.6, _FAINT)
    pixels = event_pixels(snapshot.frame)
    if snapshot.field is not None:
        return motion_image(snapshot, pixels, max_speed, dense=dense, live=live)
    scale = -(-_SIDE // max(pixels.shape[:2]))
    drawn = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    side = np.full((drawn.shape[0], _PANE, 3), _BACKGROUND, np.uint8)
    drawn = np.concatenate([drawn, _classes(side, snapshot)], axis=1)
    foot = np.full((_FOOT, drawn.shape[1], 3), _BACKGROUND, np.uint8)
    image = np.concatenate([drawn, foot])
    decision, latency = snapshot.decision, snapshot.latency_us
    answer, colour = decision.label, _FAINT
    if decision.index != NOTHING:
        answer += f"  {100 * snapshot.probabilities[decision.index]:.0f} %"
        if decision.window_steps:
            answer += f"  sure at step {decision.exit_step} of {decision.window_steps}"
        colour = _ACCENT
    _write(image, answer, 36, 0.75, colour)
    numbers = (
        f"{snapshot.event_rate_hz / 1e3:,.0f} k events/s   latency p50 {latency.p50 / 1e3:.2f} ms  "
        f"p99 {latency.p99 / 1e3:.2f} ms   late {snapshot.steps_late:,} steps   "
        f"dropped {snapshot.dropped:,}"
    )
    return _write(image, numbers, 12, 0.42, _TEXT)


def _classes(pane: Image, snapshot: Snapshot) -> Image:
    """Draw the likeliest classes as bars, always in the order of the network."""
    import cv2

    many = min(len(snapshot.labels), pane.shape[0] // _ROW)
    likeliest = snapshot.probabilities.argsort(kind="stable")[::-1][:many]
    for i, index in enumerate(sorted(likeliest.tolist())):
        share = float(snapshot.probabilities[index])
        held = index == snapshot.decision.index
        colour = _ACCENT if held else _FAINT
        top = 8 + i * _ROW
        label = snapshot.labels[index]
        told = f"{label[:28]}  {100 * share:.0f} %"
        place = (10, top + 12)
        cv2.putText(pane, told, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
        end = 10 + round(share * (_PANE - 20))
        cv2.rectangle(pane, (10, top + 18), (_PANE - 10, top + 23), (50, 46, 44), -1)
        cv2.rectangle(pane, (10, top + 18), (end, top + 23), colour, -1)
    return pane


def event_pixels(frame: NDArray[np.uint8]) -> Image:
    """Colour the counts of a frame (2, height, width); returns (height, width, 3)."""
    strength = np.minimum(frame.max(axis=0) / _FULL, 1.0)[..., None]
    colour = np.where((frame[1] >= frame[0])[..., None], _ON, _OFF)
    return np.asarray(_BACKGROUND + strength * (colour - np.array(_BACKGROUND)), np.uint8)


def _write(
    image: Image, text: str, from_below: int, scale: float, colour: tuple[int, int, int]
) -> Image:
    import cv2

    place = (10, image.shape[0] - from_below)
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)
    return image
