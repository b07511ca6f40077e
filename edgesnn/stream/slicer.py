"""Packets in, steps of fixed event time out: `feed` and `flush`.

The grid: step n covers [start_us, start_us + step_us), and the first step starts at the first
event, whatever packets the events come in. A step is closed by the first event at or after its
end, or by a watermark that reaches its end: a camera that sees nothing still steps on time.

What makes the steps independent of how a recording is cut into packets: every rule below looks
at the times of the events in their order, never at where a packet ends. The clock is the largest
time told so far, by an event or by a watermark.

- late: an event older than the step that is open is counted, not used.
- jump back: an event (or the watermark of a packet without events) more than reset_us behind the
  clock means that the sensor restarted. Event time goes on where it was: the open step is closed
  and the first event of the new life is placed at the start of the next one. `start_us`, `end_us`
  and the times inside `Step.events` are therefore monotone; after a jump they are no more the
  sensor's own (the difference is constant until the next jump).
- long silence: after max_gap_us without an event a network of finite memory is at rest. Further
  silent steps are counted in skipped_steps and not emitted, until an event comes.
- another recording (`begin`, a lap of a loop): as after a jump back, but nothing jumped.
- silence before the first event: a sensor that starts in the dark gives silent steps from its
  first watermark on; the grid is laid anew, once, when the first event comes (the silent step that
  it cuts short is not emitted). What follows is the same as without the silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesnn.events import EVENT, Events, Packet, joined_events
from edgesnn.program import Fire, Program, resting_steps

RESET_US = 1_000_000
MAX_GAP_US = 10_000_000
_NEVER_US = 2**62
_BLOCK = 8192
_Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Step:
    """The events of one step.

    index: of the steps emitted, from 0. start_us, end_us: event time, end excluded.
    events: shape (n,), dtype EVENT, in order of arrival, n may be 0; never written to.
    arrival_ns: host time at which the last packet arrived that told anything about the step (an
        event in it, or a watermark inside it); when none did, of the packet that passed it by.
        Latency counts from here: it holds the wait for the packet that closes the step, and not
        the length of the step.
    """

    index: int
    start_us: int
    end_us: int
    events: Events
    arrival_ns: int


class Slicer:
    """Cuts packets into steps of step_us; keeps at most one step of events between calls.

    late, jumps_back, skipped_steps: counters; see the rules above.
    """

    def __init__(
        self, step_us: int, *, reset_us: int = RESET_US, max_gap_us: int = MAX_GAP_US
    ) -> None:
        """Start before the first event."""
        if step_us < 1 or reset_us < 0 or max_gap_us < 0:
            raise ValueError(f"not a slicing: {step_us=}, {reset_us=}, {max_gap_us=}")
        self.step_us = step_us
        self.late = 0
        self.jumps_back = 0
        self.skipped_steps = 0
        self._reset_us = reset_us
        self._longest_silence = -(-max_gap_us // step_us)
        self._index = 0
        self._start: int | None = None  # of the open step; None before anything was told
        self._seen = False  # whether an event has laid the grid
        self._clock = 0
        self._offset = 0  # event time - sensor time
        self._parts: list[Events] = []
        self._arrival: int | None = None  # of the newest packet that told about the open step
        self._silent = 0  # silent steps since the last step with events

    @property
    def pending(self) -> int:
        """Events of the open step."""
        return sum(map(len, self._parts))

    @property
    def open_us(self) -> int | None:
        """When the open step began; None before anything was told."""
        return self._start

    def feed(self, packet: Packet) -> list[Step]:
        """Take a packet; return the steps that it closes, oldest first."""
        return list(self.steps(packet))

    def begin(self, packet: Packet) -> list[Step]:
        """Cut before a packet that begins another recording; feed it next.

        The open step is closed, a list of one step or none, and the grid is laid anew at the
        packet's first event; event time goes on.
        """
        if self._start is None or not len(packet.events):
            return []
        closed = [self._close(packet.arrival_ns)] if self._parts else []
        self._offset += self._open_start() - (int(packet.events["t"][0]) + self._offset)
        self._clock = self._open_start()
        return closed

    def flush(self) -> list[Step]:
        """Close the open step, if it has events: a list of one step or none."""
        return [self._close(0)] if self._parts else []

    def steps(self, packet: Packet) -> Iterator[Step]:
        """The same, each when it is asked for: after a long silence there are very many.

        All of them must be taken before the next packet.
        """
        jumps_before = self.jumps_back
        for events, ordered in _pieces(np.ascontiguousarray(packet.events, EVENT)):
            yield from self._piece(events, ordered, packet.arrival_ns)
        jumped = self.jumps_back > jumps_before
        yield from self._watermark(packet, jumped)

    def _piece(self, events: Events, ordered: bool, arrival_ns: int) -> Iterator[Step]:
        """Cut events, which may hold jumps back."""
        while len(events):
            times = events["t"] + self._offset
            if self._start is None:
                self._start = self._clock = int(times[0])
            jump = self._first_jump(times, ordered)
            if jump > 0:
                yield from self._cut(events[:jump], times[:jump], ordered, arrival_ns)
            if jump < len(times):
                yield from self._restart(int(times[jump]), arrival_ns)
            events = events[jump:]

    def _first_jump(self, times: _Times, ordered: bool) -> int:
        """Return where the clock first jumps back, len(times) when it does not."""
        oldest = self._clock - self._reset_us
        if ordered:
            return 0 if int(times[0]) < oldest else len(times)
        running = np.maximum.accumulate(np.maximum(times, self._clock))
        jumps = times < running - self._reset_us
        return int(jumps.argmax()) if jumps.any() else len(times)

    def _restart(self, time_us: int, arrival_ns: int) -> Iterator[Step]:
        """Go on after a jump back to time_us (event time as it was before the jump)."""
        self.jumps_back += 1
        if self._parts:
            yield self._close(arrival_ns)
        start = self._open_start()
        self._offset += start - time_us
        self._clock = start

    def _cut(self, events: Events, times: _Times, ordered: bool, arrival_ns: int) -> Iterator[Step]:
        """Cut events without a jump, n > 0; times: theirs, in event time."""
        if not self._seen:
            early = times < self._open_start()
            first = int(early.argmin()) if not early.all() else len(times)
            self.late += first
            events, times = events[first:], times[first:]
            if not len(times):
                return
            yield from self._advance(int(times[0]), arrival_ns)
            self._start, self._arrival, self._seen = int(times[0]), None, True
        if self._offset:
            events = events.view(np.uint64).copy().view(EVENT)
            events["t"] = times
        events, clock = self._without_late(events, times, ordered)
        first = 0
        while first < len(events):
            yield from self._advance(int(clock[first]), arrival_ns)
            end = int(np.searchsorted(clock, self._open_start() + self.step_us))
            self._parts.append(events[first:end])
            self._arrival = arrival_ns
            first = end
        if len(events):
            self._clock = max(self._clock, int(clock[-1]))

    def _without_late(self, events: Events, times: _Times, ordered: bool) -> tuple[Events, _Times]:
        """Return the events in time and, for each, the clock when it came (never falling)."""
        start = self._open_start()
        if ordered:
            late = int(np.searchsorted(times, start))
            self.late += late
            return events[late:], times[late:]
        clock = np.maximum.accumulate(np.maximum(times, self._clock))
        before = np.concatenate([[self._clock], clock[:-1]])
        in_time = times >= before - (before - start) % self.step_us
        self.late += len(times) - int(np.count_nonzero(in_time))
        return events[in_time], clock[in_time]

    def _watermark(self, packet: Packet, jumped: bool) -> Iterator[Step]:
        told = packet.watermark_us + self._offset
        if self._start is None:
            self._start = self._clock = told
        elif told < self._clock - self._reset_us and not len(packet.events):
            yield from self._restart(told, packet.arrival_ns)
        elif told > self._clock and not (jumped and told > self._clock + self._reset_us):
            # (The watermark of a packet that began in the sensor's former life may belong there.)
            yield from self._advance(told, packet.arrival_ns)
            self._clock = told
            if told > self._open_start():
                self._arrival = packet.arrival_ns

    def _advance(self, to_us: int, arrival_ns: int) -> Iterator[Step]:
        """Close every step that ends at or before to_us."""
        count = (to_us - self._open_start()) // self.step_us
        if count > 0 and self._parts:
            yield self._close(arrival_ns)
            count -= 1
        emitted = min(count, max(0, self._longest_silence - self._silent))
        for _ in range(emitted):
            yield self._close(arrival_ns)
        if count > emitted:
            self.skipped_steps += count - emitted
            self._start = self._open_start() + (count - emitted) * self.step_us
            self._arrival = None

    def _close(self, arrival_ns: int) -> Step:
        """Emit the open step and open the next."""
        start = self._open_start()
        events = joined_events(self._parts)
        arrival = arrival_ns if self._arrival is None else self._arrival
        step = Step(self._index, start, start + self.step_us, events, arrival)
        self._index += 1
        self._start = start + self.step_us
        self._silent = 0 if self._parts else self._silent + 1
        self._parts, self._arrival = [], None
        return step

    def _open_start(self) -> int:
        assert self._start is not None
        return self._start


def slicer_for(program: Program) -> Slicer:
    """Return a slicer for a program; its network is at rest when the slicer stops stepping.

    A network that runs in trials rests between them anyway; one whose neurons may go on without
    input is given every silent step.
    """
    resting = resting_steps(program)
    trials = any(isinstance(node, Fire) for node in program.nodes)
    if resting is None and not trials:
        return Slicer(program.step_us, max_gap_us=_NEVER_US)
    return Slicer(program.step_us, max_gap_us=max(MAX_GAP_US, (resting or 0) * program.step_us))


def _pieces(events: Events) -> Iterator[tuple[Events, bool]]:
    """Yield ordered events whole, others in blocks: a damaged file may jump at every event."""
    if _ordered(events["t"]):
        yield events, True
    else:
        for first in range(0, len(events), _BLOCK):
            block = events[first : first + _BLOCK]
            yield block, _ordered(block["t"])


def _ordered(times: _Times) -> bool:
    return bool((times[1:] >= times[:-1]).all())
