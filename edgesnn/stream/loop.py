"""The loop on the calling thread, from the ring through the network to decisions; it counts."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

from edgesnn.backend import Model
from edgesnn.bundle import Bundle
from edgesnn.decide.decision import NOTHING, Decision
from edgesnn.decide.exit_rule import ExitRule
from edgesnn.decide.motion import MotionReadout
from edgesnn.decide.motion_field import MotionField
from edgesnn.decide.readouts import open_readout
from edgesnn.events import Packet, Source, empty_events
from edgesnn.senses.cells import CellsSpec
from edgesnn.senses.denoise import Denoise, Denoiser
from edgesnn.senses.encoders import open_encoder
from edgesnn.stream.meter import LatencyMeter
from edgesnn.stream.monitor import Counts, LiveMonitor
from edgesnn.stream.probe import Probe
from edgesnn.stream.ring import Ring
from edgesnn.stream.sink import FieldSink, RunInfo, Sink, Summary
from edgesnn.stream.slicer import Step, slicer_for

RING_EVENTS = 4_000_000  # 64 MB
RING_PACKETS = 4096
RING_AGE_S = 0.5  # a live decision about the past is worth less than none
_NO_MORE = Step(-1, 0, 0, empty_events(), 0)
_OFTEN_LATE = 0.05  # of all steps
_LOOK_UP_S = 0.05  # how long the loop waits before it looks whether to stop


class Loop:
    """One run of a model over what comes out of `ring`; `monitor` shows how it goes."""

    def __init__(
        self,
        source: Source,
        bundle: Bundle,
        model: Model,
        sinks: Sequence[Sink],
        duration_s: float | None,
        probe: Probe | None,
        rule: ExitRule | None,
        denoise: Denoise = "hot",
    ) -> None:
        program = bundle.program
        # Sound and pictures are made into events here: they have no pixels to go bad.
        sensor = bundle.hearing is None and bundle.latency is None
        self._denoiser = Denoiser(source.size, denoise if sensor else "off")
        self._paced = getattr(source, "paced", True)
        self._uncut = 0  # events of a packet that are not in a step that was taken, nor pending
        self.ring = Ring(
            RING_EVENTS, RING_PACKETS, max_age_s=None if source.can_wait else RING_AGE_S
        )
        self._slicer = slicer_for(program)
        self._encoder = open_encoder(
            bundle.encoder, program.input_shape, source.size, program.step_us
        )
        self._stream = model.stream()
        self._heard = False  # whether an event has come
        self._at_start = True  # whether the network was reset and has not stepped since
        self._readout = open_readout(bundle.readout, rule)
        self._decision = self._readout.held
        self._sinks = sinks
        self._field_sinks = [sink for sink in sinks if isinstance(sink, FieldSink)]
        self._cell = bundle.encoder.cell if isinstance(bundle.encoder, CellsSpec) else 1
        self._step_us = program.step_us
        self._probe = probe
        self._latency = LatencyMeter()
        self.monitor = LiveMonitor(
            source.size,
            bundle.readout.labels,
            self._latency,
            pictures=bundle.latency is not None,
        )
        self._counts = Counts(0, 0, 0, 0, 0)
        self._answers: deque[str] = deque(maxlen=1)
        self._answered = 0
        self._held_us: Counter[str] = Counter()
        self._first_us: int | None = None
        self._end_us = 0
        self._covered_us = 0
        self._rested = 0
        self._spent_ns = 0
        duration_us = None if duration_s is None else round(duration_s * 1e6)
        self._can_wait = source.can_wait
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
            self._tell(self._readout.finish(self._end_us), None)
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
            kept = self._denoiser.feed(packet.events)
            if kept is not packet.events:
                packet = replace(packet, events=kept)
            left = len(packet.events) + self._slicer.pending + self._slicer.late
            steps, spent = self._cut(packet), time.perf_counter_ns() - began
            while True:
                began = time.perf_counter_ns()
                step = next(steps, _NO_MORE)
                spent += time.perf_counter_ns() - began
                if step is _NO_MORE:
                    break
                if step is None:
                    self._begin_anew()
                else:
                    over = self._past(step.start_us) or stop.is_set()
                    left -= 0 if over else len(step.events)
                    self._uncut = left - self._slicer.pending - self._slicer.late
                    if over:
                        return
                    yield step
            self._uncut = 0
            if self._probe is not None:
                self._probe.stage("slice", spent)
            if self._past(self._slicer.open_us):
                return
        yield from self._slicer.flush()

    def _cut(self, packet: Packet) -> Iterator[Step | None]:
        """Cut a packet into steps; None stands where another recording begins."""
        if packet.begins:
            yield from self._slicer.begin(packet)
            yield None
        yield from self._slicer.steps(packet)

    def _begin_anew(self) -> None:
        """Let the network begin another recording, of which it saw nothing yet.

        A trial or a word that was open is over. What was decided holds until there is evidence of
        something else.
        """
        self._tell(self._readout.finish(self._end_us), None)
        self._stream.reset()
        self._at_start = True

    def _past(self, t_us: int | None) -> bool:
        """Whether a time of the recording lies beyond what is to be played of it."""
        if self._until_us is None or self._first_us is None or t_us is None:
            return False
        return t_us - self._first_us >= self._until_us

    def _take(self, step: Step) -> None:
        if len(step.events) and not self._heard:
            self._heard = True
            if self._counts.steps:  # silence before the first event leaves nothing behind
                self._stream.reset()
                self._readout.reset()
                self._at_start = True
        clock = time.perf_counter_ns
        times = [clock()]
        x = self._encoder.encode(step.events, step.start_us)
        times.append(clock())
        turn, y = self._readout.turn(self._encoder.used), None
        if turn == "reset":
            self._stream.reset()
            self._at_start = True
        if turn == "skip":
            self._rested += 1
        else:
            y = self._stream.step(x)
        times.append(clock())
        if isinstance(self._readout, MotionReadout):
            self._readout.see(step.events, step.end_us, self._cell, self._step_us)
        change = self._readout.update(y, self._encoder.used, step.end_us)
        latency_ns = time.monotonic_ns() - step.arrival_ns
        times.append(clock())
        self._count(step, latency_ns)
        self._tell(change, latency_ns)
        field = self._field(step, latency_ns)
        probabilities = self._readout.probabilities
        self.monitor.show(step, probabilities, self._decision, self._counts, turn, field)
        times.append(clock())
        if self._probe is not None:
            for name, i in (("encode", 0), ("step", 1), ("readout", 2), ("show", 3)):
                self._probe.stage(name, times[i + 1] - times[i])
            if y is not None:
                self._probe.step(x, y, self._at_start)
        self._at_start = self._at_start and y is None

    def _tell(self, change: Decision | None, latency_ns: int | None) -> None:
        if change is not None:
            told = latency_ns is not None and self._paced
            latency_us = latency_ns / 1e3 if told and latency_ns is not None else None
            self._decision = replace(change, latency_us=latency_us)
            if change.index != NOTHING:
                self._answers.append(change.label)
                self._answered += 1
            for sink in self._sinks:
                sink.decision(self._decision)

    def _field(self, step: Step, latency_ns: int) -> MotionField | None:
        """Tell the field of motion to who hears it; None where the network sees none."""
        if not isinstance(self._readout, MotionReadout):
            return None
        field = self._readout.field(step.end_us, self._cell, self._step_us)
        if field is not None:
            for sink in self._field_sinks:
                sink.field(field, latency_ns / 1e3 if self._paced else None)
        return field

    def _count(self, step: Step, latency_ns: int) -> None:
        before = self._counts
        self._latency.add(latency_ns)
        self._counts = Counts(
            steps=before.steps + 1,
            steps_late=before.steps_late
            + (self._paced and latency_ns > 1000 * (step.end_us - step.start_us)),
            events=before.events + len(step.events),
            dropped=self.ring.dropped_events,
            late=self._slicer.late,
        )
        if self._first_us is None:
            self._first_us = step.start_us
        self._end_us = step.end_us
        self._covered_us = step.end_us - self._first_us
        if self._readout.held.index != NOTHING:
            self._held_us[self._readout.held.label] += step.end_us - step.start_us

    def _late_notes(self) -> tuple[str, ...]:
        told = []
        if self._slicer.late and self._can_wait:
            told.append(
                f"{self._slicer.late:,} events came after their step was closed: they are not in "
                "the order of time, and were not used"
            )
        often_late = self._counts.steps_late > _OFTEN_LATE * self._counts.steps
        if often_late and isinstance(self._readout, MotionReadout):
            if self._readout.slow:
                told.append(
                    "motion was made exact without the compiled engine, which takes long: install "
                    "a C compiler and edgesnn again, or give --rounds 0"
                )
        return tuple(told)

    def summary(self, info: RunInfo, notes: tuple[str, ...], unpushed: int) -> Summary:
        """Return the run as a whole. unpushed: events that the reader still held."""
        held_s = {label: us / 1e6 for label, us in self._held_us.most_common()}
        held = next(iter(held_s), self._readout.nothing)
        return Summary(
            source=info.source,
            model=info.model,
            backend=info.backend,
            events=self._counts.events,
            dropped=self.ring.dropped_events,
            late=self._slicer.late,
            steps=self._counts.steps,
            latency_us=self._latency.percentiles() if self._paced and self._counts.steps else None,
            realtime_factor=self._covered_us * 1e3 / max(self._spent_ns, 1),
            decision=self._answers[-1] if self._answers and not held_s else held,
            steps_rested=self._rested,
            notes=(*notes, *self._late_notes(), *self._denoiser.notes()),
            late_steps=self._counts.steps_late,
            jumps_back=self._slicer.jumps_back,
            filtered=self._denoiser.removed,
            queued=self.ring.queued_events + self._slicer.pending + self._uncut + unpushed,
            answers=self._answered if self._readout.answers else None,
            held_s={} if self._readout.answers else held_s,
        )
