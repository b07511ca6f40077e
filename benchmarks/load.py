"""Does the pipeline keep up? A synthetic sensor at 10 million events a second, in real time.

    python benchmarks/load.py --rate 10e6 --seconds 20
    python benchmarks/load.py --rate 10e6 --seconds 20 --model gesture

A live source (nothing waits for it) gives a packet a millisecond through the reading thread, the
ring, the slicer, the encoder and the model; without --model the network is a free one that does
nothing, so that what is measured is the way of the events alone. Every two seconds: events dropped,
latency, memory. The ledger at the end must balance: given = processed + dropped + late. Exits 1
when anything was dropped.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time

import numpy as np

from edgesnn.backend import Model, backend
from edgesnn.bundle import Bundle
from edgesnn.decide.decision import Decision
from edgesnn.decide.evidence import ReadoutSpec
from edgesnn.events import EVENT, Events, Packet
from edgesnn.program import Layer, Program, Tensor
from edgesnn.senses.encoder import EncoderSpec
from edgesnn.stream.pipeline import run
from edgesnn.stream.sink import Monitor, RunInfo, Summary

SIDE = 128
PACKET_US = 1000


class Flood:
    """A live sensor whose packets are due every millisecond, whoever is late."""

    name = "flood"
    size = (SIDE, SIDE)
    can_wait = False

    def __init__(self, rate_hz: float, seconds: float) -> None:
        """Prepare one second of random packets, which are then sent again and again."""
        self.given = 0
        self._random = np.random.default_rng(0)
        self._pool = [self._packet(round(rate_hz * PACKET_US / 1e6)) for _ in range(100)]
        self._count = round(seconds * 1e6 / PACKET_US)
        self._sent = 0
        self._began_ns: int | None = None

    def _packet(self, events: int) -> Events:
        made = np.zeros(events, EVENT)
        made["t"] = np.sort(self._random.integers(0, PACKET_US, events))
        made["x"], made["y"] = self._random.integers(0, SIDE, (2, events))
        made["p"] = self._random.integers(0, 2, events)
        return made

    def read(self) -> Packet | None:
        """Return the next packet once it is due; sleeps until then."""
        if self._sent == self._count:
            return None
        if self._began_ns is None:
            self._began_ns = time.monotonic_ns()
        due_ns = self._began_ns + (self._sent + 1) * PACKET_US * 1000
        early_ns = due_ns - time.monotonic_ns()
        if early_ns > 0:
            time.sleep(early_ns / 1e9)
        template = self._pool[self._sent % len(self._pool)]
        events = template.view(np.uint64).copy().view(EVENT)
        events["t"] += self._sent * PACKET_US
        self._sent += 1
        self.given += len(events)
        return Packet(events, self._sent * PACKET_US, time.monotonic_ns())

    def close(self) -> None:
        """Nothing to release."""


class Free:
    """A model that costs nothing."""

    def __init__(self) -> None:
        """Make a program of one empty layer."""
        weight = np.zeros((2, 2 * 32 * 32), np.int8)
        layer = Layer("out", "x", "w", op="linear")
        self.program = Program("free", 25_000, (2, 32, 32), 255, (layer,), "out", {"w": weight})
        readout = ReadoutSpec(("a", "b"), 1.0, 2, 0.9, 0.6, 100, 200_000)
        encoder = EncoderSpec((SIDE, SIDE), tuple(range(256)))
        self.bundle = Bundle(self.program, encoder, readout, {}, b"", {})
        self._y = np.zeros(2, np.int32)

    def stream(self) -> Free:
        """Return itself: there is no state."""
        return self

    def reset(self) -> None:
        """There is no state."""

    def step(self, x: Tensor) -> Tensor:
        """Return zeros."""
        return self._y


class Report:
    """A sink that prints how the run is doing every two seconds, as a display would pull it."""

    def open(self, info: RunInfo, monitor: Monitor) -> None:
        """Start pulling."""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._pull, args=[monitor], daemon=True)
        self._thread.start()
        print(
            f"{'s':>4} {'events':>12} {'dropped':>9} {'p50 us':>8} {'p99 us':>8} {'max us':>8}  MB"
        )

    def _pull(self, monitor: Monitor) -> None:
        began = time.monotonic()
        while not self._closed.wait(2):
            now = monitor.latest()
            if now is not None:
                late = now.latency_us
                print(
                    f"{time.monotonic() - began:4.0f} {now.events:12} {now.dropped:9} "
                    f"{late.p50:8.0f} {late.p99:8.0f} {late.max:8.0f}  {resident_mb():.1f}",
                    flush=True,
                )

    def packet(self, packet: Packet) -> None:
        """Nothing to keep."""

    def decision(self, decision: Decision) -> None:
        """Nothing to say."""

    def close(self, summary: Summary | None) -> None:
        """Stop pulling."""
        self._closed.set()
        self._thread.join()


def resident_mb() -> float:
    """Return the memory that the process has now (Linux), in MB."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096 / 1e6


def load(name: str | None) -> tuple[Bundle, Model, str]:
    """Return a shipped model on its fastest backend, or the free one."""
    if name is None:
        free = Free()
        return free.bundle, free, "none"
    from edgesnn.bundle import load_bundle

    bundle = load_bundle(name)
    return bundle, backend("onnx_cpu").load(bundle), "onnx_cpu"


def main() -> int:
    """Run the load test."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=10e6, help="events per second")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--model", help="a bundle, e.g. gesture; without it a free network")
    options = parser.parse_args()
    bundle, model, backend_name = load(options.model)
    source = Flood(options.rate, options.seconds)
    stop = threading.Event()
    result = run(source, bundle, model, [Report()], backend_name=backend_name, stop=stop)
    print(result)
    told = result.events + result.dropped + result.late + result.filtered + result.queued
    balance = source.given - told
    print(f"given {source.given}, dropped {result.dropped}, unaccounted {balance}")
    return 1 if result.dropped or balance else 0


if __name__ == "__main__":
    sys.exit(main())
