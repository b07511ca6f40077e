"""A file as a source: sound, pictures, a video or recorded events, as its name says."""

from __future__ import annotations

from pathlib import Path

from edgesnn.bundle import Bundle
from edgesnn.errors import InputError
from edgesnn.events import Source
from edgesnn.sources.catalog import SOUNDS, VIDEOS
from edgesnn.sources.image import is_image_file, open_images
from edgesnn.sources.recording import open_recording
from edgesnn.sources.sound_file import open_sound_file
from edgesnn.sources.wanted import (
    Wanted,
    check_takes_events,
    models_for,
    takes_pictures,
    takes_sound,
)


def open_file(
    path: Path,
    bundle: Bundle,
    *,
    speed: float,
    loop: bool = False,
    size: tuple[int, int] | None = None,
    unit: str | None = None,
) -> Source:
    """Open a file as what its name says: sound, pictures, a video, else recorded events.

    Raises InputError, also when the model does not take that kind.
    """
    name = bundle.program.name
    sound, picture = path.suffix.lower() in SOUNDS, is_image_file(path)
    video = path.suffix.lower() in VIDEOS
    if size is not None and (sound or picture or video):
        raise InputError(f"--sensor is for recordings of events and {path.name} is none")
    if unit is not None and (sound or picture or video):
        raise InputError(f"--time-unit is for recordings of events and {path.name} is none")
    if sound:
        if bundle.hearing is None:
            raise InputError(
                f"{path.name} is sound and the model {name} takes none{models_for(takes_sound)}"
            )
        return open_sound_file(path, bundle.hearing, speed=speed, loop=loop)
    if picture:
        if bundle.latency is None:
            raise InputError(
                f"{path.name} is a picture and the model {name} takes none"
                f"{models_for(takes_pictures)}"
            )
        step_us = bundle.program.step_us
        return open_images(path, bundle.latency, step_us=step_us, speed=speed, loop=loop)
    if video:
        from edgesnn.sources.video import video_for  # loads OpenCV, which recordings do without

        return video_for(path, Wanted(bundle), speed=speed, loop=loop)
    recording = open_recording(path, speed=speed, loop=loop, size=size, unit=unit)
    if recording.size != _own_size(bundle):
        check_takes_events(bundle, path.name)
    if any(has < needs for has, needs in zip(recording.size, bundle.encoder.sensor, strict=True)):
        width, height = recording.size
        needed = " x ".join(map(str, bundle.encoder.sensor))
        raise InputError(
            f"{path.name} comes from a {width} x {height} sensor and the model {name} needs at "
            f"least {needed}{models_for(lambda other: _own_size(other) == recording.size)}"
        )
    return recording


def _own_size(bundle: Bundle) -> tuple[int, int] | None:
    """Return the size of the events that a model's sound or pictures become: --record keeps them.

    None where the events come from a sensor.
    """
    if bundle.hearing is not None:
        return bundle.hearing.size
    return None if bundle.latency is None else (bundle.latency.size, bundle.latency.size)
