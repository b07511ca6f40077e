"""What `edgesnn run` does with its options: choose a source and sinks, run, tell how it ended."""

from __future__ import annotations

import math
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from edgesnn.app import App, load_app, sample_path
from edgesnn.decision import Sink
from edgesnn.errors import InputError
from edgesnn.events import Source


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """Where events come from, as typed. camera "" is the first one; sensor is "WxH"."""

    camera: str | None = None
    webcam: int | None = None
    file: Path | None = None
    demo: bool = False
    speed: str | None = None
    loop: bool = False
    sensor: str | None = None


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The rest of a run, as typed. model None: the app's own."""

    backend: str = "onnx_cpu"
    threads: int = 1
    duration_s: float | None = None
    record: Path | None = None
    json: bool = False
    view: bool = False
    model: str | None = None


def run_app(name: str, where: SourceOptions, options: RunOptions) -> int:
    """Run an app to its end; return the exit code (0, or 128 + signal when one ended it).

    Raises InputError for options, files and models that cannot be used, RunError for a failed run.
    """
    app = load_app(name)
    open_source = chosen_source(app, where)
    if options.duration_s is not None and not options.duration_s > 0:
        raise InputError(
            f"--duration {options.duration_s:g} is no time to run; give seconds above 0"
        )
    stop = threading.Event()
    sinks = _sinks(options, where.file, stop)

    from edgesnn.backend import backend
    from edgesnn.bundle import load_bundle
    from edgesnn.pipeline import run

    bundle = load_bundle(options.model or app.model)
    model = backend(options.backend).load(bundle, threads=options.threads)
    source = open_source()
    with stopped_by_signals(stop) as received:
        run(
            source,
            bundle,
            model,
            sinks,
            backend_name=options.backend,
            stop=stop,
            duration_s=options.duration_s,
        )
    return 128 + received[0] if received else 0


def chosen_source(app: App, where: SourceOptions) -> Callable[[], Source]:
    """Return what opens the one source that was asked for; the app's sample when none was.

    Raises InputError for more than one source, and for options that do not fit it.
    """
    named = {
        "--camera": where.camera is not None,
        "--webcam": where.webcam is not None,
        "--file": where.file is not None,
        "--demo": where.demo,
    }
    asked = [option for option, given in named.items() if given]
    if len(asked) > 1:
        raise InputError(f"{' and '.join(asked)} are {len(asked)} sources; give one of them")
    if asked and where.file is None:
        _refuse_for_live(asked[0], where)
        return _live_source(where)
    speed, size = _speed(where.speed), _size(where.sensor)
    path = where.file if where.file is not None else sample_path(app)
    if where.file is None:
        pace = "in real time" if speed == 1 else f"at speed {where.speed}"
        print(
            f"edgesnn: no source given, playing the bundled recording {path.name} {pace} "
            "(--camera, --webcam 0, --file PATH and --demo are others)",
            file=sys.stderr,
        )

    def open_file() -> Source:
        from edgesnn.sources.recording import open_recording

        return open_recording(path, speed=speed, loop=where.loop, size=size)

    return open_file


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


def _live_source(where: SourceOptions) -> Callable[[], Source]:
    def open_live() -> Source:
        if where.camera is not None:
            from edgesnn.sources.camera import open_camera

            return open_camera(where.camera or None)
        if where.webcam is not None:
            from edgesnn.sources.webcam import open_webcam

            return open_webcam(where.webcam)
        from edgesnn.sources.demo import open_demo

        return open_demo(0)

    return open_live


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


def _sinks(options: RunOptions, playing: Path | None, stop: threading.Event) -> list[Sink]:
    """Return the sinks asked for; the last one opened is the first one closed."""
    sinks: list[Sink] = []
    if options.json:
        from edgesnn.sinks.json_lines import JsonLines

        sinks.append(JsonLines(sys.stdout, stop))
    else:
        from edgesnn.sinks.terminal import terminal_sink

        sinks.append(terminal_sink(sys.stdout, stop))
    if options.record is not None:
        from edgesnn.sinks.recorder import Recorder

        sinks.append(Recorder(options.record, playing))
    if options.view:
        from edgesnn.sinks.window import open_window

        sinks.append(open_window(stop))
    return sinks


@contextmanager
def stopped_by_signals(stop: threading.Event) -> Iterator[list[int]]:
    """Let the first SIGINT or SIGTERM set `stop` and note its number; a second SIGINT interrupts.

    An event instead of an exception, which could strike between opening a file and noting it.
    """
    received: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
