"""A window with the events, the answer and the latency (`--view`).

q, Esc or closing the window ends the run. OpenCV's window belongs to one thread: it
is opened, drawn and closed on a thread of this sink.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading

import numpy as np
from numpy.typing import NDArray

from edgesnn.decision import NOTHING, Decision, Monitor, RunInfo, Snapshot, Summary
from edgesnn.errors import InputError, MissingDependency, RunError
from edgesnn.events import Packet

Image = NDArray[np.uint8]

_SIDE = 512  # pixels of the picture's longer side, at least
_FOOT = 64  # pixels of text below it
_REFRESH_MS = 33
_PATIENCE_S = 30
_BACKGROUND, _ON, _OFF = (20, 16, 14), (84, 180, 255), (255, 168, 89)  # blue, green, red
_TEXT, _FAINT, _ACCENT = (230, 230, 230), (140, 140, 140), (98, 217, 127)
_FULL = 3.0  # events of a pixel in the display window that give the full colour
_ENDS = (27, ord("q"))


def open_window(stop: threading.Event) -> EventWindow:
    """Return the window sink after seeing that a window can be shown.

    Raises InputError when there is no display, MissingDependency without OpenCV.
    """
    if sys.platform == "darwin":
        raise InputError(
            "--view does not work on macOS, whose windows belong to the main thread; leave it out "
            "to see the events in the terminal"
        )
    if importlib.util.find_spec("cv2") is None:
        raise MissingDependency("--view needs OpenCV; install it with: pip install opencv-python")
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") and _display_answers()):
        raise InputError(
            f"--view needs a display and there is none (DISPLAY is "
            f"{os.environ.get('DISPLAY') or 'not set'}); run it on a desktop or with ssh -X, or "
            "leave --view out to see the events in the terminal"
        )
    # Its wheel brings no fonts and says so on stderr for every window; none of ours has Qt text.
    os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
    return EventWindow(stop)


def _display_answers() -> bool:
    """Try a window in a process of its own: Qt ends the process when the display does not answer.

    False also for an OpenCV that was built without windows.
    """
    attempt = "import cv2; cv2.namedWindow('edgesnn'); cv2.destroyAllWindows()"
    command = [sys.executable, "-c", attempt]
    try:
        tried = subprocess.run(command, capture_output=True, timeout=_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        return False
    return tried.returncode == 0


class EventWindow:
    """Pulls the newest snapshot 30 times a second; see `open_window`."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None

    def open(self, info: RunInfo, monitor: Monitor) -> None:
        """Show the window."""
        self._thread = threading.Thread(
            target=self._show, args=(info, monitor), name="edgesnn-window", daemon=True
        )
        self._thread.start()

    def packet(self, packet: Packet) -> None:
        """Packets are drawn from snapshots."""

    def decision(self, decision: Decision) -> None:
        """Decisions are drawn from snapshots."""

    def close(self, summary: Summary | None) -> None:
        """Close the window; raises RunError when it had failed."""
        if self._thread is None:
            return
        self._closing.set()
        self._thread.join()
        self._thread = None
        if self._failure is not None:
            raise RunError(f"the window failed: {self._failure}") from self._failure

    def _show(self, info: RunInfo, monitor: Monitor) -> None:
        import cv2

        title = f"edgesnn {info.model}: {info.source}"
        try:
            cv2.namedWindow(title, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)
            while not self._closing.is_set():
                cv2.imshow(title, window_image(monitor.latest()))
                key = cv2.waitKey(_REFRESH_MS) & 0xFF
                if key in _ENDS or cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) < 1:
                    break
            cv2.destroyAllWindows()
        except cv2.error as error:
            self._failure = error
        finally:
            self._stop.set()


def window_image(snapshot: Snapshot | None) -> Image:
    """Draw a snapshot; returns (height, width, 3) uint8 in OpenCV's order, blue first."""
    import cv2

    if snapshot is None:
        image = np.full((_SIDE + _FOOT, _SIDE, 3), _BACKGROUND, np.uint8)
        return _write(image, "waiting for events", 26, 0.6, _FAINT)
    pixels = event_pixels(snapshot.frame)
    scale = -(-_SIDE // max(pixels.shape[:2]))
    drawn = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    foot = np.full((_FOOT, drawn.shape[1], 3), _BACKGROUND, np.uint8)
    image = np.concatenate([drawn, foot])
    decision, latency = snapshot.decision, snapshot.latency_us
    answer, colour = decision.label, _FAINT
    if decision.index != NOTHING:
        answer += f"  {100 * snapshot.probabilities[decision.index]:.0f} %"
        colour = _ACCENT
    _write(image, answer, 36, 0.75, colour)
    numbers = (
        f"{snapshot.event_rate_hz / 1e3:,.0f} k events/s   latency p50 {latency.p50 / 1e3:.2f} ms  "
        f"p99 {latency.p99 / 1e3:.2f} ms   dropped {snapshot.dropped:,}"
    )
    return _write(image, numbers, 12, 0.42, _TEXT)


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
