"""Who hears a run, and what it hears: packets, decisions, a snapshot, a summary at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgesnn.decide.decision import Decision
from edgesnn.decide.motion_field import MotionField
from edgesnn.events import Packet


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Latency over all steps, microseconds."""

    p50: float
    p99: float
    p999: float
    max: float


@dataclass(frozen=True, slots=True)
class Summary:
    """The run as a whole.

    events: processed. dropped: lost by the ring. late: events that came after their step was
    closed. steps: of the run; steps_rested: of these, without work for the network (after an early
    exit, and between trials). latency_us: None where arrival times mean nothing: a recording as
    fast as it is read. realtime_factor: event time covered / host time spent. decision: label of
    the decision that held longest while something was there, else of the last answer. notes:
    sentences about the source that a person should read (what was mended, clipped, shut out).
    late_steps: whose latency exceeded their own length. jumps_back: of the sensor's clock.
    filtered: events that the denoising took out. queued: given by the source and not processed when
    the run was ended: events given = events + dropped + late + filtered + queued. answers: words,
    pictures, trials that were answered; None where a decision is held instead. held_s: for how long
    each label was held, seconds of event time, longest first; empty with answers.
    """

    source: str
    model: str
    backend: str
    events: int
    dropped: int
    late: int
    steps: int
    latency_us: Percentiles | None
    realtime_factor: float
    decision: str
    steps_rested: int = 0
    notes: tuple[str, ...] = ()
    late_steps: int = 0
    jumps_back: int = 0
    filtered: int = 0
    queued: int = 0
    answers: int | None = None
    held_s: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The newest state of a run, for displays that pull at their own rate.

    t_us: event time. frame: uint8 (2, height, width), event counts of the last display window
    (about 40 ms) at sensor resolution or below, 128 x 128 at most; of a sensor of one row (sound)
    (2, width, steps), its history, newest at the right; of pictures the last one, spikes that came
    before the network was sure counted three times. probabilities: float (classes,).
    decision: the one that holds. steps_late: steps whose latency exceeded step_us.
    event_rate_hz: over the last quarter second. rates_hz: its history, oldest first. field: of
    networks that see motion, None of others.
    """

    t_us: int
    frame: NDArray[np.uint8]
    labels: tuple[str, ...]
    probabilities: NDArray[np.float64]
    decision: Decision
    latency_us: Percentiles
    steps: int
    steps_late: int
    events: int
    dropped: int
    late: int
    event_rate_hz: float
    rates_hz: tuple[float, ...]
    field: MotionField | None = None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What is about to run: names for the head of a display.

    can_wait: whether the source loses nothing by being held up (see `edgesnn.events.Source`).
    threshold: confidence from which the readout decides; None where it goes by something else.
    """

    source: str
    size: tuple[int, int]
    model: str
    backend: str
    step_us: int
    labels: tuple[str, ...]
    can_wait: bool = False
    threshold: float | None = None


class Monitor(Protocol):
    """Where displays pull from."""

    def latest(self) -> Snapshot | None:
        """Return the newest snapshot, None before the first step. Any thread, never blocks."""
        ...


class Sink(Protocol):
    """Who hears a run. Called in this order: open, then packet and decision, then close once.

    packet is called on the reading thread, the rest on the thread that runs the pipeline; none may
    hold it up. A sink that fails raises RunError; the run then ends cleanly.
    """

    def open(self, info: RunInfo, monitor: Monitor) -> None:
        """Prepare: a thread of its own, a file."""
        ...

    def packet(self, packet: Packet) -> None:
        """See a packet as the source gave it, before the ring (recorders store it)."""
        ...

    def decision(self, decision: Decision) -> None:
        """Hear a change of decision."""
        ...

    def close(self, summary: Summary | None) -> None:
        """End. summary is None when the run failed. Restores whatever open changed."""
        ...


@runtime_checkable
class FieldSink(Protocol):
    """A sink that hears each field of motion too, where the network tells one."""

    def field(self, field: MotionField, latency_us: float | None) -> None:
        """Hear the field of a step; on the running thread. latency_us: as of a `Decision`."""
        ...
