"""What `edgesnn run` does with its options: open source and sinks, run, tell how it ended."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from edgesnn.app import load_app
from edgesnn.cli_source import SourceOptions, chosen_source, model_name
from edgesnn.decision import Sink
from edgesnn.errors import InputError
from edgesnn.exit_rule import exit_rule


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The rest of a run, as typed. model, exit None: the app's own."""

    backend: str = "onnx_cpu"
    threads: int = 1
    duration_s: float | None = None
    record: Path | None = None
    json: bool = False
    view: bool = False
    model: str | None = None
    exit: str | None = None


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
    rule = None if options.exit is None else exit_rule(options.exit)
    stop = threading.Event()
    sinks = _sinks(options, where.file, stop)

    from edgesnn.backend import backend
    from edgesnn.bundle import load_bundle
    from edgesnn.pipeline import run

    bundle = load_bundle(model_name(app, where, options.model))
    model = backend(options.backend).load(bundle, threads=options.threads)
    source = open_source(bundle)
    with stopped_by_signals(stop) as received:
        run(
            source,
            bundle,
            model,
            sinks,
            backend_name=options.backend,
            stop=stop,
            duration_s=options.duration_s,
            rule=rule,
        )
    return 128 + received[0] if received else 0


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
