"""A synthetic camera: the gesture simulator's endless scene through the DVS emulator, live.

The scene follows the host clock: a slow machine draws fewer frames, and time does not drift.
"""

from __future__ import annotations

import time

from edgesnn.events import Packet, empty_events
from edgesnn.senses.emulator import DvsEmulator, EmulatorParameters
from edgesnn.sources.opencv import opencv

_FRAME_NS = 4_000_000
_SENSOR = EmulatorParameters(threshold_on=0.12, threshold_off=0.12, cutoff_hz=100.0, shot_hz=0.05)


def open_demo(seed: int = 0) -> Demo:
    """Open the synthetic camera; the seed fixes the person and the order of gestures.

    Raises MissingDependency without OpenCV, which draws the scene.
    """
    opencv()
    return Demo(seed)


class Demo:
    """The synthetic camera as a source; see `edgesnn.events.Source`.

    label: class that is being performed, -1 in a pause.
    """

    can_wait = False

    def __init__(self, seed: int) -> None:
        from . import simulator as scene  # draws with OpenCV, which is looked for first

        self._scene = scene.GestureScene(seed)
        self.name = f"demo:{seed}"
        self.size: tuple[int, int] = (scene.SIZE, scene.SIZE)
        self._emulator = DvsEmulator(self.size, _SENSOR, seed)
        self._began_ns: int | None = None
        self._due_ns = 0
        self._closed = False

    @property
    def label(self) -> int:
        """What is being performed now."""
        return int(self._scene.label)

    def close(self) -> None:
        """End the source."""
        self._closed = True

    def read(self) -> Packet | None:
        """Return the events up to now: one frame, 4 ms after the last or as soon as possible."""
        if self._closed:
            return None
        now = time.monotonic_ns()
        if self._began_ns is None:
            self._began_ns = self._due_ns = now
        if now < self._due_ns:
            time.sleep((self._due_ns - now) * 1e-9)
            now = time.monotonic_ns()
        self._due_ns = max(self._due_ns + _FRAME_NS, now)
        t_us = (now - self._began_ns) // 1000
        events = self._emulator.frame(self._scene.frame(t_us), t_us) if t_us else empty_events()
        return Packet(events, t_us, time.monotonic_ns())
