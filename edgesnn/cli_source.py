"""Which source `edgesnn run` opens: from the options as typed, for the app and its model."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgesnn.app import App, sample_path
from edgesnn.bundle import Bundle
from edgesnn.errors import InputError
from edgesnn.events import Source

Opener = Callable[[Bundle], Source]
"""Opens the source once the model is known, which says what the events must be."""
MIC_RATE_HZ = 16_000
"""Of raw PCM on stdin, unless --rate says otherwise."""


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """Where events come from, as typed. camera, mic "": the first one; sensor is "WxH"."""

    camera: str | None = None
    webcam: int | None = None
    file: Path | None = None
    demo: bool = False
    speed: str | None = None
    loop: bool = False
    sensor: str | None = None
    mic: str | None = None
    stdin: bool = False
    rate_hz: int | None = None


def chosen_source(app: App, where: SourceOptions) -> Opener:
    """Return what opens the one source that was asked for; the app's sample when none was.

    Raises InputError for more than one source, for one that the app does not take, and for options
    that do not fit it.
    """
    named = {
        "--camera": where.camera is not None,
        "--webcam": where.webcam is not None,
        "--mic": where.mic is not None,
        "--stdin": where.stdin,
        "--file": where.file is not None,
        "--demo": where.demo,
    }
    asked = [option for option, given in named.items() if given]
    if len(asked) > 1:
        raise InputError(f"{' and '.join(asked)} are {len(asked)} sources; give one of them")
    if asked and asked[0] not in app.sources:
        raise InputError(f"{app.name} takes no {asked[0]}; it takes {', '.join(app.sources)}")
    if where.rate_hz is not None and not where.stdin:
        raise InputError("--rate is for --stdin: files and microphones tell their rate")
    if asked and where.file is None:
        _refuse_for_live(asked[0], where)
        return _live_source(where)
    speed, size = _speed(where.speed), _size(where.sensor)

    def open_recorded(bundle: Bundle) -> Source:
        path = where.file
        if path is None:
            path = sample_path(app, bundle.program.name)
            pace = "in real time" if speed == 1 else f"at speed {where.speed}"
            others = ", ".join(app.sources[:-1])
            print(
                f"edgesnn: no source given, playing the bundled recording {path.name} {pace} "
                f"({others} and {app.sources[-1]} are others)",
                file=sys.stderr,
            )
        return open_file(path, bundle, speed=speed, loop=where.loop, size=size)

    return open_recorded


def model_name(app: App, where: SourceOptions, given: str | None) -> str:
    """Return the bundle to run: the one given, else the app's for this kind of source."""
    if given is not None:
        return given
    if app.event_model is not None:
        from edgesnn.sources.image import is_image_file

        recorded = where.file is not None and not is_image_file(where.file)
        if where.camera is not None or recorded:
            return app.event_model
    return app.model


def open_file(
    path: Path,
    bundle: Bundle,
    *,
    speed: float,
    loop: bool = False,
    size: tuple[int, int] | None = None,
) -> Source:
    """Open a file as what its name says: sound, pictures, else recorded events.

    Raises InputError, also when the model does not take that kind.
    """
    from edgesnn.sources.image import is_image_file, open_images
    from edgesnn.sources.sound_file import SUFFIXES, open_sound_file

    name = bundle.program.name
    sound, picture = path.suffix.lower() in SUFFIXES, is_image_file(path)
    if size is not None and (sound or picture):
        raise InputError(f"--sensor is for recordings of events and {path.name} is none")
    if sound:
        if bundle.hearing is None:
            raise InputError(f"{path.name} is sound and the model {name} takes none")
        return open_sound_file(path, bundle.hearing, speed=speed, loop=loop)
    if picture:
        if bundle.latency is None:
            raise InputError(
                f"{path.name} is a picture and the model {name} takes none; for pictures of digits "
                "use --model mnist, of clothes --model fashion"
            )
        step_us = bundle.program.step_us
        return open_images(path, bundle.latency, step_us=step_us, speed=speed, loop=loop)
    from edgesnn.sources.recording import open_recording

    recording = open_recording(path, speed=speed, loop=loop, size=size)
    if recording.size != _own_size(bundle):
        _check_takes_events(bundle, path.name)
    return recording


def _own_size(bundle: Bundle) -> tuple[int, int] | None:
    """Return the size of the events that a model's sound or pictures become: --record keeps them.

    None where the events come from a sensor.
    """
    if bundle.hearing is not None:
        return bundle.hearing.size
    return None if bundle.latency is None else (bundle.latency.size, bundle.latency.size)


def _check_takes_events(bundle: Bundle, source: str) -> None:
    """Raise InputError when a model takes sound or pictures, and not the events of a sensor."""
    name = bundle.program.name
    if bundle.hearing is not None:
        raise InputError(f"the model {name} takes sound, and {source} is none")
    if bundle.latency is not None:
        raise InputError(
            f"the model {name} takes pictures, and {source} is none; for digits seen by a DVS use "
            "--model nmnist"
        )


def _refuse_for_live(option: str, where: SourceOptions) -> None:
    for given, value in (
        ("--speed", where.speed),
        ("--loop", where.loop or None),
        ("--sensor", where.sensor),
    ):
        if value is not None:
            raise InputError(
                f"{given} is for recordings and {option} is live; leave one of them out"
            )


def _live_source(where: SourceOptions) -> Opener:
    def open_live(bundle: Bundle) -> Source:
        if where.camera is not None:
            _check_takes_events(bundle, "a DVS camera")
            from edgesnn.sources.camera import open_camera

            return open_camera(where.camera or None)
        if where.webcam is not None:
            return _webcam(where.webcam, bundle)
        if where.mic is not None or where.stdin:
            return _sound(where, bundle)
        _check_takes_events(bundle, "--demo")
        from edgesnn.sources.demo import open_demo

        return open_demo(0)

    return open_live


def _webcam(number: int, bundle: Bundle) -> Source:
    from edgesnn.sources.image import Frames
    from edgesnn.sources.webcam import open_webcam

    if bundle.latency is None:
        _check_takes_events(bundle, "a webcam")
        return open_webcam(number)
    return open_webcam(number, eye=Frames(bundle.latency, bundle.program.step_us))


def _sound(where: SourceOptions, bundle: Bundle) -> Source:
    if bundle.hearing is None:
        raise InputError(f"the model {bundle.program.name} takes no sound; use --model keyword")
    if where.mic is not None:
        from edgesnn.sources.microphone import open_microphone

        return open_microphone(where.mic or None, bundle.hearing)
    from edgesnn.sources.pcm_stream import open_pcm_stream

    rate_hz = where.rate_hz or MIC_RATE_HZ
    return open_pcm_stream(sys.stdin.buffer, bundle.hearing, rate_hz=rate_hz)


def _speed(text: str | None) -> float:
    if text is None:
        return 1.0
    if text == "max":
        return math.inf
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 < speed < math.inf:
        raise InputError(
            f"--speed {text} is no speed; give a number above 0 (1.0 is real time) or max"
        )
    return speed


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise InputError(
            f"--sensor {text} is no size; give WIDTHxHEIGHT in pixels, such as 128x128"
        )
    return int(width), int(height)
