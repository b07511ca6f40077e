"""What `edgesnn run` does with its options: open source and sinks, run, tell how it ended."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from contextlib import ExitStack, closing
from pathlib import Path

from edgesnn.app import App, load_app, sinks_of_apps
from edgesnn.cli.parsing import Given, was_given
from edgesnn.cli.signals import stopped_by_signals
from edgesnn.cli.source import chosen_source, model_name
from edgesnn.decide.exit_rule import exit_rule
from edgesnn.decide.motion import MotionSpec
from edgesnn.errors import InputError
from edgesnn.senses.denoise import DENOISE
from edgesnn.sinks.catalog import SINKS, TERMINAL
from edgesnn.sinks.motion_picture import MAX_SPEED
from edgesnn.sinks.opening import Opening
from edgesnn.stream.sink import Sink

_LONGEST_S = 1e9  # 31 years
_FASTEST_PX_S = 1e9


def run_app(given: Given) -> int:
    """Run an app to its end; return the exit code (0, or 128 + signal when one ended it).

    Raises InputError for options, files and models that cannot be used, RunError for a failed run.
    """
    app = load_app(given["app"])
    open_source = chosen_source(app, given)
    duration_s: float | None = given["duration"]
    if duration_s is not None and not 0 < duration_s <= _LONGEST_S:
        raise InputError(
            f"--duration {duration_s:g} is no time to run; give seconds above 0, up to "
            f"{_LONGEST_S:.0e}, or leave it out to run without end"
        )
    if given["denoise"] not in DENOISE:
        raise InputError(f"--denoise {given['denoise']} is none; give hot, full or off")
    rule = None if given["exit"] is None else exit_rule(given["exit"])
    stop = threading.Event()
    sinks = _sinks(app, given, stop)

    from edgesnn.backend import load_model
    from edgesnn.bundle import load_bundle
    from edgesnn.decide.readouts import open_readout
    from edgesnn.stream.pipeline import run

    bundle = load_bundle(model_name(app, given))
    if not isinstance(bundle.readout, MotionSpec):
        _check_no_motion(app, given, bundle.program.name)
    threads = min(given["threads"], os.cpu_count() or 1)
    open_readout(bundle.readout, rule)  # which refuses a rule before anything is said or opened
    backend_name, model = load_model(given["backend"], bundle, threads=threads)
    with ExitStack() as opened:
        source = opened.enter_context(closing(open_source(bundle)))
        stored, bundle = bundle, bundle.fitted(source.size, given["cells"], given["rounds"])
        if bundle is not stored:
            backend_name, model = load_model(given["backend"], bundle, threads=threads)
        received = opened.enter_context(stopped_by_signals(stop))
        run(
            source,
            bundle,
            model,
            sinks,
            backend_name=backend_name,
            stop=stop,
            duration_s=duration_s,
            rule=rule,
            denoise=given["denoise"],
        )
    return 128 + received[0] if received else 0


def _check_no_motion(app: App, given: Given, model: str) -> None:
    """Raise InputError where something is asked for that only a network of motion has."""
    sinks = [entry.option for entry in (*SINKS, *app.sinks) if entry.motion]
    asked = [option.name for option in sinks if was_given(given[option.key])]
    numbers = {"--max-speed": given["max_speed"], "--rounds": given["rounds"]}
    for name in (*(name for name, value in numbers.items() if value is not None), *asked):
        raise InputError(f"{model} shows no motion; leave {name} out")


def _sinks(app: App, given: Given, stop: threading.Event) -> list[Sink]:
    """Return the sinks asked for, the terminal first: it is opened and closed after the others."""
    max_speed: float | None = given["max_speed"]
    if max_speed is not None and not 0 < max_speed < _FASTEST_PX_S:
        raise InputError(
            f"--max-speed {max_speed:g} is no speed; give pixels a second, above 0 and below "
            f"{_FASTEST_PX_S:.0e}"
        )
    playing = given["file"] or (given["webcam"] and Path(given["webcam"]))  # or a camera's number
    run = Opening(sys.stdout, stop, playing, max_speed or MAX_SPEED)
    for entry in sinks_of_apps():
        if entry not in app.sinks and was_given(given[entry.option.key]):
            raise InputError(f"{entry.option.name} is not for {app.name}")
    asked = [entry for entry in (*SINKS, *app.sinks) if was_given(given[entry.option.key])]
    doors = [(entry.module, given[entry.option.key]) for entry in asked]
    if not any(entry.stdout for entry in asked):
        doors.insert(0, (TERMINAL, True))
    return [importlib.import_module(module).open_sink(value, run) for module, value in doors]
