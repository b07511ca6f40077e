"""Which cameras and microphones this machine has; a microphone is heard for a moment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgesnn.errors import MissingDependency, RunError
from edgesnn.sources.camera import discovered, dv_processing
from edgesnn.sources.microphone import measured_level_db, microphones, sounddevice
from edgesnn.sources.webcam import opencv

_VIDEO = Path("/sys/class/video4linux")


@dataclass(frozen=True, slots=True)
class Device:
    """A camera or microphone, or why a kind of device cannot be looked for.

    kind: "camera" (DVS), "webcam", "microphone", or "missing" (model says what to install).
    option: what to type after `edgesnn run APP`; "" for missing ones.
    """

    kind: Literal["camera", "webcam", "microphone", "missing"]
    model: str
    option: str


def list_devices() -> list[Device]:
    """Return DVS cameras, webcams and microphones, or what each needs to be looked for."""
    return [*_dvs_cameras(), *_webcams(_VIDEO), *_microphones()]


def _dvs_cameras() -> list[Device]:
    try:
        found = discovered(dv_processing())
    except (MissingDependency, RunError) as error:
        return [Device("missing", str(error), "")]
    return [
        Device(
            "camera",
            str(camera.cameraModel).rpartition(".")[2],
            f"--camera {camera.serialNumber}",
        )
        for camera in found
    ]


def _microphones() -> list[Device]:
    try:
        sd = sounddevice()
        found = microphones(sd)
    except (MissingDependency, RunError) as error:
        return [Device("missing", str(error), "")]
    devices = []
    for mic in found:
        level = measured_level_db(sd, mic)
        heard = "nothing heard" if level is None else f"level {level:.0f} dB"
        devices.append(Device("microphone", f"{mic.name} ({heard})", f"--mic {mic.index}"))
    return devices


def _webcams(folder: Path) -> list[Device]:
    """Name the video devices that Linux lists; one camera may have several numbers.

    Other systems list none without opening them: there --webcam 0, 1, ... has to be tried.
    """
    try:
        opencv()
    except MissingDependency as error:
        return [Device("missing", str(error), "")]
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
