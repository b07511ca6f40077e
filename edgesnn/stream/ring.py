"""The bounded ring between the reading thread and the thread that runs the network.

One producer, one consumer. Nothing in it grows without limit: a live source that is faster than
the network loses its oldest whole packets, counted; a recording waits instead.

    taken in (push, push_wait -> True) = popped + dropped + queued        at any moment
"""

from __future__ import annotations

import threading
import time
from collections import deque

from edgesnn.events import Packet

_LOOK_FOR_STOP_S = 0.05


class Ring:
    """A queue of packets, bounded by events, by packets and, if asked, by age.

    max_events, max_packets: bounds of what is queued. A packet larger than max_events is not cut
        (its memory is spent already, by the source): it is queued alone, so the ring holds at most
        max(max_events, the largest packet).
    max_age_s: `push` also drops packets that arrived longer than this before the newest one, so
        that a network that is too slow for its sensor lags by a bounded time, not by ever more.
    """

    def __init__(
        self, max_events: int, max_packets: int, *, max_age_s: float | None = None
    ) -> None:
        """Make an empty ring."""
        if max_events < 1 or max_packets < 1:
            raise ValueError(f"bounds must be positive, got {max_events} and {max_packets}")
        self.max_events = max_events
        self.max_packets = max_packets
        self._max_age_ns = None if max_age_s is None else round(max_age_s * 1e9)
        self._packets: deque[Packet] = deque()
        self._queued_events = 0
        self._dropped_events = 0
        self._dropped_packets = 0
        self._closed = False
        self._changed = threading.Condition()

    @property
    def queued_events(self) -> int:
        """Events that wait in the ring."""
        return self._queued_events

    @property
    def queued_packets(self) -> int:
        """Packets that wait in the ring."""
        return len(self._packets)

    @property
    def dropped_events(self) -> int:
        """Events lost so far because the ring was full."""
        return self._dropped_events

    @property
    def dropped_packets(self) -> int:
        """Packets lost so far because the ring was full (those without events included)."""
        return self._dropped_packets

    @property
    def ended(self) -> bool:
        """True when `end` was called and everything has been popped: nothing will come."""
        with self._changed:
            return self._closed and not self._packets

    def push(self, packet: Packet) -> None:
        """Take a packet at once; drops the oldest whole packets, counted, to make room."""
        with self._changed:
            self._refuse_after_end()
            while self._packets and (not self._fits(packet) or self._stale(packet)):
                oldest = self._packets.popleft()
                self._queued_events -= len(oldest.events)
                self._dropped_events += len(oldest.events)
                self._dropped_packets += 1
            self._append(packet)

    def push_wait(self, packet: Packet, stop: threading.Event) -> bool:
        """Take a packet as soon as there is room for it.

        Returns True when it was taken, False when `stop` was set first (it is then not counted).
        """
        with self._changed:
            self._refuse_after_end()
            while not self._fits(packet):
                if stop.is_set():
                    return False
                self._changed.wait(_LOOK_FOR_STOP_S)
            self._append(packet)
            return True

    def pop(self, timeout_s: float) -> Packet | None:
        """Return the oldest packet; waits up to timeout_s for one.

        Returns None when none came in that time, or at once when the ring has `ended`.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not self._packets:
                left = deadline - time.monotonic()
                if self._closed or left <= 0:
                    return None
                self._changed.wait(left)
            packet = self._packets.popleft()
            self._queued_events -= len(packet.events)
            self._changed.notify_all()
            return packet

    def end(self) -> None:
        """Say that no packet will follow; what is queued can still be popped."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _refuse_after_end(self) -> None:
        if self._closed:
            raise RuntimeError("the ring was ended: nothing can be pushed after end()")

    def _fits(self, packet: Packet) -> bool:
        if not self._packets:
            return True
        return (
            len(self._packets) < self.max_packets
            and self._queued_events + len(packet.events) <= self.max_events
        )

    def _stale(self, newest: Packet) -> bool:
        age_ns = newest.arrival_ns - self._packets[0].arrival_ns
        return self._max_age_ns is not None and age_ns > self._max_age_ns

    def _append(self, packet: Packet) -> None:
        self._packets.append(packet)
        self._queued_events += len(packet.events)
        self._changed.notify_all()
