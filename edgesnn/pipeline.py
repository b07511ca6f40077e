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
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import NoReturn, Protocol

from edgesnn.backend import Model
from edgesnn.bundle import Bundle
from edgesnn.decision import NOTHING, Decision, RunInfo, Sink, Summary
from edgesnn.encoder import Encoder, check_inside
from edgesnn.errors import EdgesnnError, RunError
from edgesnn.events import Packet, Source
from edgesnn.exit_rule import ExitRule
from edgesnn.meter import LatencyMeter
from edgesnn.monitor import Counts, LiveMonitor
from edgesnn.program import Tensor
from edgesnn.readouts import open_readout
from edgesnn.ring import Ring
from edgesnn.slicer import Step, slicer_for

RING_EVENTS = 4_000_000  # 64 MB
RING_PACKETS = 4096
RING_AGE_S = 0.5  # a live decision about the past is worth less than none
_LOOK_UP_S = 0.05  # how long the loop waits before it looks whether to stop
_GIVE_UP_S = 2.0  # how long a source may take to answer when the run ends
_SWITCH_S = 0.0005


class Probe(Protocol):
    """Who measures a run; see `run`."""

    def stage(self, name: str, elapsed_ns: int) -> None:
        """Hear how long one stage took once.

        name: "read" (on the reading thread), "slice" (per packet), then per step "encode",
        "step", "readout", "show".
        """
        ...

    def step(self, x: Tensor, y: Tensor) -> None:
        """See the input and the output of a step; neither may be kept or changed."""
        ...


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
) -> Summary:
    """Run until the source ends, `stop` is set, Ctrl-C, or duration_s is over; return the summary.

    duration_s: of event time for recordings (source.can_wait), so that it cuts at the same step at
    any speed; of host time for live sources. rule: when the readout may stop early, None for its
    own default. On Ctrl-C `stop` is set, so that the caller knows.
    The source is closed, and every sink that was opened, last one first, whatever happens.

    Raises InputError when the sensor does not fit the model or an event lies outside the sensor,
    RunError when the source or a sink fails.
    """
    with closing(source):
        flow = _Flow(source, bundle, model, sinks, duration_s, probe, rule)
        reader = _Reader(source, flow.ring, sinks, probe)
        info = RunInfo(
            source.name,
            source.size,
            bundle.program.name,
            backend_name,
            bundle.program.step_us,
            bundle.readout.labels,
            source.can_wait,
        )
        failures: list[Exception] = []
        opened: list[Sink] = []
        with _short_pauses(), _collected(failures, stop):
            for sink in sinks:
                sink.open(info, flow.monitor)
                opened.append(sink)
            reader.start()
            flow.run(stop)
        with _collected(failures, stop):
            reader.finish()
        failures.extend(reader.failures)
        # Only sources of sound have something to say of themselves.
        notes: tuple[str, ...] = getattr(source, "notes", tuple)()
        summary = flow.summary(info, notes)
        told = None if failures else summary
        for sink in reversed(opened):
            with _collected(failures, stop):
                sink.close(told)
    if failures:
        _raise(failures[0], source.name)
    return summary


class _Reader:
    """The reading thread."""

    def __init__(
        self, source: Source, ring: Ring, sinks: Sequence[Sink], probe: Probe | None
    ) -> None:
        self.failures: list[Exception] = []
        self._source = source
        self._ring = ring
        self._sinks = sinks
        self._probe = probe
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._read_all, name="edgesnn-reader", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Stop reading; after this no sink hears a packet any more."""
        self._halt.set()
        if not self._thread.is_alive():
            return
        self._thread.join(_GIVE_UP_S)
        if self._thread.is_alive():
            self._source.close()  # which frees a read that waits for a device
            self._thread.join(_GIVE_UP_S)
        if self._thread.is_alive():
            raise RunError(f"{self._source.name} did not answer for {2 * _GIVE_UP_S:.0f} s")

    def _read_all(self) -> None:
        try:
            while not self._halt.is_set():
                began = time.perf_counter_ns()
                packet = self._source.read()
                if self._probe is not None:
                    self._probe.stage("read", time.perf_counter_ns() - began)
                if packet is None:
                    break
                self._pass_on(packet)
        except Exception as error:
            self.failures.append(error)
        finally:
            self._ring.end()

    def _pass_on(self, packet: Packet) -> None:
        check_inside(packet.events, self._source.size, self._source.name)
        for sink in self._sinks:
            sink.packet(packet)
        if self._source.can_wait:
            self._ring.push_wait(packet, self._halt)
        else:
            self._ring.push(packet)


class _Flow:
    """The loop on the calling thread, and what it counts."""

    def __init__(
        self,
        source: Source,
        bundle: Bundle,
        model: Model,
        sinks: Sequence[Sink],
        duration_s: float | None,
        probe: Probe | None,
        rule: ExitRule | None,
    ) -> None:
        program = bundle.program
        self.ring = Ring(
            RING_EVENTS, RING_PACKETS, max_age_s=None if source.can_wait else RING_AGE_S
        )
        self._slicer = slicer_for(program)
        self._encoder = Encoder(bundle.encoder, program.input_shape, source.size)
        self._stream = model.stream()
        self._readout = open_readout(bundle.readout, rule)
        self._decision = self._readout.held
        self._sinks = sinks
        self._probe = probe
        self._latency = LatencyMeter()
        self.monitor = LiveMonitor(
            source.size,
            bundle.readout.labels,
            self._latency,
            pictures=bundle.latency is not None,
        )
        self._counts = Counts(0, 0, 0, 0, 0)
        self._held_us = [0] * len(bundle.readout.labels)
        self._first_us: int | None = None
        self._end_us = 0
        self._covered_us = 0
        self._rested = 0
        self._spent_ns = 0
        duration_us = None if duration_s is None else round(duration_s * 1e6)
        self._until_us = duration_us if source.can_wait else None
        self._until_ns = None if duration_us is None or source.can_wait else duration_us * 1000

    def run(self, stop: threading.Event) -> None:
        """Take steps until there is nothing more to take or it is time to stop."""
        began_ns = time.monotonic_ns()
        try:
            for step in self._steps(stop, began_ns):
                self._take(step)
                if self._until_us is not None and self._covered_us >= self._until_us:
                    break
            self._tell(self._readout.finish(self._end_us), 0)
        finally:
            self._spent_ns = time.monotonic_ns() - began_ns

    def _steps(self, stop: threading.Event, began_ns: int) -> Iterator[Step]:
        while not self.ring.ended:
            if stop.is_set():
                return
            if self._until_ns is not None and time.monotonic_ns() - began_ns >= self._until_ns:
                return
            packet = self.ring.pop(_LOOK_UP_S)
            if packet is None:
                continue
            began = time.perf_counter_ns()
            steps = self._slicer.feed(packet)
            if self._probe is not None:
                self._probe.stage("slice", time.perf_counter_ns() - began)
            yield from steps
        yield from self._slicer.flush()

    def _take(self, step: Step) -> None:
        clock = time.perf_counter_ns
        times = [clock()]
        x = self._encoder.encode(step.events)
        times.append(clock())
        turn, y = self._readout.turn(self._encoder.used), None
        if turn == "reset":
            self._stream.reset()
        if turn == "skip":
            self._rested += 1
        else:
            y = self._stream.step(x)
        times.append(clock())
        change = self._readout.update(y, self._encoder.used, step.end_us)
        latency_ns = time.monotonic_ns() - step.arrival_ns
        times.append(clock())
        self._count(step, latency_ns)
        self._tell(change, latency_ns)
        self.monitor.show(step, self._readout.probabilities, self._decision, self._counts, turn)
        times.append(clock())
        if self._probe is not None:
            for name, i in (("encode", 0), ("step", 1), ("readout", 2), ("show", 3)):
                self._probe.stage(name, times[i + 1] - times[i])
            if y is not None:
                self._probe.step(x, y)

    def _tell(self, change: Decision | None, latency_ns: int) -> None:
        if change is not None:
            self._decision = replace(change, latency_us=latency_ns / 1e3)
            for sink in self._sinks:
                sink.decision(self._decision)

    def _count(self, step: Step, latency_ns: int) -> None:
        before = self._counts
        self._latency.add(latency_ns)
        self._counts = Counts(
            steps=before.steps + 1,
            steps_late=before.steps_late + (latency_ns > 1000 * (step.end_us - step.start_us)),
            events=before.events + len(step.events),
            dropped=self.ring.dropped_events,
            late=self._slicer.late,
        )
        if self._first_us is None:
            self._first_us = step.start_us
        self._end_us = step.end_us
        self._covered_us = step.end_us - self._first_us
        if self._readout.held.index != NOTHING:
            self._held_us[self._readout.held.index] += step.end_us - step.start_us

    def summary(self, info: RunInfo, notes: tuple[str, ...]) -> Summary:
        """Return the run as a whole."""
        longest = max(range(len(self._held_us)), key=self._held_us.__getitem__)
        return Summary(
            source=info.source,
            model=info.model,
            backend=info.backend,
            events=self._counts.events,
            dropped=self.ring.dropped_events,
            late=self._slicer.late,
            steps=self._counts.steps,
            latency_us=self._latency.percentiles(),
            realtime_factor=self._covered_us * 1e3 / max(self._spent_ns, 1),
            decision=info.labels[longest] if self._held_us[longest] else self._readout.nothing,
            steps_rested=self._rested,
            notes=notes,
        )


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
