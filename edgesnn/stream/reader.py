"""The reading thread: what a source gives goes to the sinks and into the ring."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from edgesnn.errors import RunError
from edgesnn.events import Packet, Source, check_inside
from edgesnn.stream.probe import Probe
from edgesnn.stream.ring import Ring
from edgesnn.stream.sink import Sink

GIVE_UP_S = 2.0
"""How long a source may take to answer when the run ends."""


class Reader:
    """Reads a source to its end, or until `finish`.

    failures: why it stopped, if it failed. unpushed: events that it held when it was stopped.
    """

    def __init__(
        self, source: Source, ring: Ring, sinks: Sequence[Sink], probe: Probe | None
    ) -> None:
        self.failures: list[Exception] = []
        self.unpushed = 0
        self._source = source
        self._ring = ring
        self._sinks = sinks
        self._probe = probe
        self._halt = threading.Event()
        self._hearing: str | None = None  # the sink that a packet is given to
        self._thread = threading.Thread(target=self._read_all, name="edgesnn-reader", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def finish(self) -> None:
        """Stop reading; after this no sink hears a packet any more."""
        self._halt.set()
        if not self._thread.is_alive():
            return
        self._thread.join(GIVE_UP_S)
        if self._thread.is_alive():
            self._source.close()  # which frees a read that waits for a device
            self._thread.join(GIVE_UP_S)
        if self._thread.is_alive():
            waited = f"for {2 * GIVE_UP_S:.0f} s"
            if self._hearing is not None:
                raise RunError(f"{self._hearing} took no packet {waited}")
            raise RunError(f"{self._source.name} did not answer {waited}")

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
            self._hearing = getattr(sink, "name", type(sink).__name__)
            sink.packet(packet)
        self._hearing = None
        if self._source.can_wait:
            if not self._ring.push_wait(packet, self._halt):
                self.unpushed += len(packet.events)
        else:
            self._ring.push(packet)
