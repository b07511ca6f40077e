"""A model of two classes, a source of packets and a listening sink, to try the pipeline with."""

import threading
import time
from collections.abc import Iterator

import numpy as np

from edgesnn.bundle import Bundle
from edgesnn.decide.decision import Decision
from edgesnn.decide.evidence import ReadoutSpec
from edgesnn.events import EVENT, Packet, events_from_arrays
from edgesnn.program import Layer, Program
from edgesnn.senses.encoder import EncoderSpec
from edgesnn.stream.pipeline import run
from edgesnn.stream.sink import Monitor, RunInfo, Summary

STEP = 10_000


class LeftOrRight:
    """A model of two classes: which half of the grid saw more events. Stateless enough to fake."""

    def __init__(self) -> None:
        weight = np.zeros((2, 2, 8, 8), np.int8)
        weight[0, :, :, :4] = weight[1, :, :, 4:] = 1
        self.program = Program(
            name="left-or-right",
            step_us=STEP,
            input_shape=(2, 8, 8),
            input_high=255,
            nodes=(Layer("out", "x", "w", op="linear"),),
            output="out",
            tensors={"w": weight.reshape(2, -1)},
        )
        self.frames: list[np.ndarray] = []
        self.slow_s = 0.0

    def stream(self) -> "LeftOrRight":
        return self

    def reset(self) -> None:
        """There is no state."""

    def step(self, x: np.ndarray) -> np.ndarray:
        time.sleep(self.slow_s)
        self.frames.append(x)
        return (self.program.tensors["w"].astype(np.int32) @ x.reshape(-1)).astype(np.int32)


def bundle_of(model: LeftOrRight) -> Bundle:
    readout = ReadoutSpec(("left", "right"), 20.0, 2, 0.9, 0.6, 20, 2 * STEP, "no gesture")
    encoder = EncoderSpec((16, 16), tuple(range(256)))
    return Bundle(model.program, encoder, readout, {}, b"", {})


def scene(*sides: str, per_step: int = 50, size: tuple[int, int] = (16, 16)) -> np.ndarray:
    """One step of events for each of "left", "right", "dark"; an event at the very start."""
    t, x = [np.zeros(1, np.int64)], [np.zeros(1, np.int64)]
    for number, side in enumerate(sides):
        if side != "dark":
            t.append(number * STEP + np.linspace(1, STEP - 1, per_step).astype(np.int64))
            x.append(np.full(per_step, 2 if side == "left" else size[0] - 3))
    times = np.concatenate(t)
    return events_from_arrays(
        times, np.concatenate(x), np.full(len(times), 5), np.arange(len(times)) % 2
    )


class FakeSource:
    """Packets from a list or a generator; notes on whom and how often it is closed."""

    name = "fake"

    def __init__(
        self,
        packets: Iterator[Packet],
        *,
        size: tuple[int, int] = (16, 16),
        can_wait: bool = True,
    ) -> None:
        self.packets = packets
        self.size = size
        self.can_wait = can_wait
        self.closed = 0

    def read(self) -> Packet | None:
        return next(self.packets, None)

    def close(self) -> None:
        self.closed += 1


def cut(events: np.ndarray, size: int, until: int | None = None) -> Iterator[Packet]:
    for first in range(0, len(events), size):
        piece = events[first : first + size]
        yield Packet(piece, int(piece["t"][-1]), time.monotonic_ns())
    if until is not None:
        yield Packet(np.empty(0, EVENT), until, time.monotonic_ns())


def live(
    events_a_packet: int, seconds: float, size: tuple[int, int] = (16, 16)
) -> Iterator[Packet]:
    """A live sensor that gives a packet a millisecond."""
    began = time.monotonic()
    number = 0
    while time.monotonic() - began < seconds:
        events = np.zeros(events_a_packet, EVENT)
        events["t"] = number * 1000
        yield Packet(events, number * 1000 + 999, time.monotonic_ns())
        number += 1
        time.sleep(0.001)


class Listener:
    """A sink that keeps everything it hears in one list shared by all sinks."""

    def __init__(self, heard: list, name: str = "sink") -> None:
        self.heard = heard
        self.name = name
        self.monitor: Monitor | None = None
        self.threads: set[str] = set()

    def open(self, info: RunInfo, monitor: Monitor) -> None:
        self.monitor = monitor
        self.heard.append((self.name, "open", info))

    def packet(self, packet: Packet) -> None:
        self.threads.add(threading.current_thread().name)
        self.heard.append((self.name, "packet", len(packet.events)))

    def decision(self, decision: Decision) -> None:
        self.heard.append((self.name, "decision", decision))

    def close(self, summary: Summary | None) -> None:
        self.heard.append((self.name, "close", summary))


def play(source, *sinks, model=None, bundle=None, **options) -> Summary:
    model = model or LeftOrRight()
    # These scenes are one pixel each, which a real sensor would call hot.
    options = {"stop": threading.Event(), "backend_name": "fake", "denoise": "off", **options}
    return run(source, bundle or bundle_of(model), model, sinks, **options)


def heard_of(heard: list, what: str) -> list:
    return [thing for _, kind, thing in heard if kind == what]


SCENE = ["left"] * 4 + ["dark"] * 4 + ["right"] * 3
