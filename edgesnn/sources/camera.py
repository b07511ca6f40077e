"""A live DVS camera through dv-processing 2.x.

The camera is polled without blocking. While it is silent the watermark goes on by the host clock,
2 ms behind, so that steps are taken on time whatever the scene does. Every other fault (unplugged,
refused, out of range) becomes one error; a sensor clock that jumps back is passed on as it is, for
the slicer to count.

The driver commits events in batches, one a millisecond as asked for here: a longer interval would
be latency, and its events would come after the watermark that the silence before them told.
"""

from __future__ import annotations

import time
from datetime import timedelta
from types import ModuleType
from typing import Any

from edgesnn.errors import InputError, MissingDependency, RunError
from edgesnn.events import EVENT, Packet, empty_events
from edgesnn.sources.device import Device
from edgesnn.sources.wanted import Wanted, check_takes_events
from edgesnn.stream.slicer import RESET_US
from edgesnn.text import first_line

_NAP_S = 0.001
_DRIVER_ERRORS = (RuntimeError, IndexError, ValueError)
"""What C++ exceptions become in Python."""
_BATCH = timedelta(milliseconds=1)
_SILENCE_MARGIN_US = 2_000
"""How far the watermark of a silent camera stays behind: longer than a batch and its transfer."""


def dv_processing() -> ModuleType:
    """Import dv-processing 2.x; raises MissingDependency with the exact pip line."""
    wanted = 'pip install "dv-processing>=2"'
    try:
        import dv_processing as dv  # type: ignore[import-not-found]
    except ImportError as error:
        raise MissingDependency(
            f"DVS cameras need dv-processing ({error}); install it with: {wanted}"
        ) from error
    if not hasattr(dv.io, "camera"):
        raise MissingDependency(
            f"dv-processing {dv.__version__} is too old; edgesnn needs 2.0 or later: {wanted}"
        )
    return dv  # type: ignore[no-any-return]


def open_camera(serial: str | None = None) -> Camera:
    """Open the first camera, or the one with that serial number.

    Raises InputError when there is none (naming those that are there), MissingDependency without
    dv-processing 2.x, RunError when the camera is there but cannot be opened.
    """
    dv = dv_processing()
    found = [str(device.serialNumber) for device in discovered(dv)]
    if not found:
        raise InputError(
            "no DVS camera was found; plug one in (on Linux install its udev rules too), or use "
            "--webcam 0, --file PATH or --demo"
        )
    if serial is not None and serial not in found:
        raise InputError(
            f"there is no camera with serial number {serial}; found: {', '.join(found)}"
        )
    try:
        # Its warnings would be written across the terminal view; what matters is raised.
        quiet = dv.io.camera.USBDevice.LogLevel.LVL_ERROR
        device = dv.io.camera.open(serial or found[0], quiet)
    except _DRIVER_ERRORS as error:
        raise RunError(
            f"camera {serial or found[0]} is there but cannot be opened ({first_line(error)}); is "
            "another program using it, and may this user access it?"
        ) from error
    return Camera(device)


def open_live(value: str, wanted: Wanted) -> Camera:
    """Open the camera of that serial number, "" for the first, for a model that takes events."""
    check_takes_events(wanted.bundle, "a DVS camera")
    return open_camera(value or None)


def listed() -> list[Device]:
    """Return the cameras that are plugged in; raises MissingDependency, RunError."""
    return [
        Device(
            "camera",
            str(camera.cameraModel).rpartition(".")[2],
            f"--camera {camera.serialNumber}",
        )
        for camera in discovered(dv_processing())
    ]


def discovered(dv: ModuleType) -> list[Any]:
    """Return descriptors of the cameras that are plugged in; raises RunError without USB."""
    try:
        return list(dv.io.camera.discover())
    except _DRIVER_ERRORS as error:
        raise RunError(f"USB cannot be searched for cameras: {first_line(error)}") from error


class Camera:
    """An opened dv-processing camera as a source; see `edgesnn.events.Source`.

    device: what dv.io.camera.open returns, or anything with its getCameraName,
    getEventResolution, getNextEventBatch and isRunning; setTimeInterval is used when it is there.
    """

    can_wait = False

    def __init__(self, device: Any) -> None:
        size = device.getEventResolution()
        if size is None:
            raise InputError(f"camera {device.getCameraName()} has no event stream")
        self.name = f"camera:{device.getCameraName()}"
        self.size = (int(size[0]), int(size[1]))
        if hasattr(device, "setTimeInterval"):
            device.setTimeInterval(_BATCH)
        self._device: Any | None = device
        self._last_us: int | None = None
        self._last_ns = 0
        self._told_us = 0
        self._opened_ns = time.monotonic_ns()

    def close(self) -> None:
        """Release the camera."""
        self._device = None

    def read(self) -> Packet | None:
        """Return the events since the last call; raises RunError when the camera is gone."""
        device = self._device
        if device is None:
            return None
        try:
            batch = device.getNextEventBatch()
            # Asked only when there is nothing: what a camera sent before it went is still read.
            alive = batch is not None or device.isRunning("events")
        except _DRIVER_ERRORS as error:
            if self._device is None:
                return None
            raise RunError(f"{self.name} failed: {first_line(error)}") from error
        if not alive:
            if self._device is None:
                return None
            raise RunError(f"{self.name} stopped sending; was it unplugged?")
        now = time.monotonic_ns()
        if batch is None or not batch.size():
            time.sleep(_NAP_S)
            return self._silence(now)
        events = batch.numpy().view(EVENT)
        if events["x"].max() >= self.size[0] or events["y"].max() >= self.size[1]:
            width, height = self.size
            raise RunError(
                f"{self.name} sent an event outside its {width} x {height} pixels; unplug it and "
                "plug it in again, over a shorter cable if that does not help"
            )
        self._last_us, self._last_ns = int(events["t"][-1]), now
        return Packet(events, self._told(self._last_us), now)

    def _silence(self, now_ns: int) -> Packet:
        if self._last_us is None:
            # Nobody knows the sensor's clock before its first event; the slicer takes it up then.
            return Packet(empty_events(), (now_ns - self._opened_ns) // 1000, now_ns)
        waited_us = (now_ns - self._last_ns) // 1000 - _SILENCE_MARGIN_US
        return Packet(empty_events(), self._told(self._last_us + max(0, waited_us)), now_ns)

    def _told(self, watermark_us: int) -> int:
        """Never fall behind what a silence told, unless the sensor's clock jumped back."""
        if watermark_us > self._told_us - RESET_US:
            watermark_us = max(watermark_us, self._told_us)
        self._told_us = watermark_us
        return watermark_us
