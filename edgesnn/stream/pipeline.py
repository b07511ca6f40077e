"""The one loop: a source, a model, and the sinks that hear what it decides.

    reading thread    source.read -> sinks.packet -> ring.push
    calling thread    ring.pop -> slicer -> encoder -> stream.step -> readout -> sinks.decision

A recording is waited for: nothing of it is lost, and replay gives the same decisions. A live sensor
is not: when the network falls behind, the oldest packets are dropped and counted, and the
watermarks of the later ones take the network over the gap as silence.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import NoReturn

from edgesnn.backend import Model
from edgesnn.bundle import Bundle
from edgesnn.decide.exit_rule import ExitRule
from edgesnn.errors import EdgesnnError, RunError
from edgesnn.events import Source
from edgesnn.senses.denoise import Denoise
from edgesnn.stream.loop import Loop
from edgesnn.stream.probe import Probe
from edgesnn.stream.reader import Reader
from edgesnn.stream.sink import RunInfo, Sink, Summary

_SWITCH_S = 0.0005


def run(
    source: Source,
    bundle: Bundle,
    model: Model,
    sinks: Sequence[Sink],
    *,
    backend_name: str,
    stop: threading.Event,
    duration_s: float | None = None,
    probe: Probe | None = None,
    rule: ExitRule | None = None,
    denoise: Denoise = "hot",
) -> Summary:
    """Run until the source ends, `stop` is set, Ctrl-C, or duration_s is over; return the summary.

    duration_s: of event time for recordings (source.can_wait), so that it cuts at the same step at
    any speed; of host time for live sources. rule: when the readout may stop early, None for its
    own default. denoise: what is taken out of a sensor's events.
    On Ctrl-C `stop` is set, so that the caller knows.
    Sinks are opened from the last to the first, so that one that cannot be had is told of before
    the first, the terminal, says anything; they are closed in the same order, whatever happens, and
    so is the source.

    Raises InputError when the sensor does not fit the model or an event lies outside the sensor,
    RunError when the source or a sink fails.
    """
    with closing(source):
        loop = Loop(source, bundle, model, sinks, duration_s, probe, rule, denoise)
        reader = Reader(source, loop.ring, sinks, probe)
        info = RunInfo(
            source.name,
            source.size,
            bundle.program.name,
            backend_name,
            bundle.program.step_us,
            bundle.readout.labels,
            source.can_wait,
            getattr(bundle.readout, "enter", None),
        )
        failures: list[Exception] = []
        opened: list[Sink] = []
        with _short_pauses(), _collected(failures, stop):
            for sink in reversed(sinks):
                sink.open(info, loop.monitor)
                opened.append(sink)
            reader.start()
            loop.run(stop)
        with _collected(failures, stop):
            reader.finish()
        failures.extend(reader.failures)
        # Not every source has something to say of itself.
        notes: tuple[str, ...] = getattr(source, "notes", tuple)()
        summary = loop.summary(info, notes, reader.unpushed)
        for sink in opened:  # what prints is the last one, and hears of those that failed to close
            with _collected(failures, stop):
                sink.close(None if failures else summary)
    if failures:
        _raise(failures[0], source.name)
    return summary


@contextmanager
def _collected(failures: list[Exception], stop: threading.Event) -> Iterator[None]:
    """Note what fails and go on, so that what follows is closed all the same."""
    try:
        yield
    except KeyboardInterrupt:
        stop.set()
    except Exception as error:
        failures.append(error)


@contextmanager
def _short_pauses() -> Iterator[None]:
    """Keep the interpreter from holding up a step for milliseconds.

    No thread keeps it for the default 5 ms (a display would delay decisions), and the garbage
    collector leaves alone what was there before the run: all the modules, for the most part.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, _SWITCH_S))
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before)


def _raise(failure: Exception, source: str) -> NoReturn:
    if isinstance(failure, EdgesnnError):
        raise failure
    raise RunError(f"the run of {source} failed: {failure!r}") from failure
