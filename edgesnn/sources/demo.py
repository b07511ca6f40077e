"""An app's synthetic camera: the module that its description names makes the scene.

The scene follows the host clock: a slow machine draws fewer frames, and time does not drift.
"""

from __future__ import annotations

import importlib
import time
from typing import Any, Protocol

from numpy.typing import NDArray

from edgesnn.events import Packet, Source, empty_events
from edgesnn.senses.emulator import DvsEmulator, EmulatorParameters
from edgesnn.sources.wanted import Wanted, check_takes_events


class Scene(Protocol):
    """Something to look at."""

    def frame(self, t_us: int) -> NDArray[Any]:
        """Return the light at a time not before the last one asked for, (side, side)."""
        ...


class SceneCamera:
    """A scene seen by an emulated DVS, live; see `edgesnn.events.Source`."""

    can_wait = False

    def __init__(
        self, scene: Scene, side: int, sensor: EmulatorParameters, seed: int, frame_ns: int
    ) -> None:
        self.name = f"demo:{seed}"
        self.size: tuple[int, int] = (side, side)
        self._scene, self._frame_ns = scene, frame_ns
        self._emulator = DvsEmulator(self.size, sensor, seed)
        self._began_ns: int | None = None
        self._due_ns = 0
        self._closed = False

    def close(self) -> None:
        """End the source."""
        self._closed = True

    def read(self) -> Packet | None:
        """Return the events up to now: of one frame, when it is due or as soon as possible."""
        if self._closed:
            return None
        now = time.monotonic_ns()
        if self._began_ns is None:
            self._began_ns = self._due_ns = now
        if now < self._due_ns:
            time.sleep((self._due_ns - now) * 1e-9)
            now = time.monotonic_ns()
        self._due_ns = max(self._due_ns + self._frame_ns, now)
        t_us = (now - self._began_ns) // 1000
        events = self._emulator.frame(self._scene.frame(t_us), t_us) if t_us else empty_events()
        return Packet(events, t_us, time.monotonic_ns())


def open_live(value: Any, wanted: Wanted) -> Source:
    """Open the app's scene; raises InputError for a model that takes no events."""
    check_takes_events(wanted.bundle, "--demo")
    source: Source = importlib.import_module(wanted.demo).open_demo(0)
    return source
