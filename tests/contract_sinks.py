"""What every sink must do, whatever it is; `test_sinks_contract.py` runs it on each of them."""

import threading
import time
from collections.abc import Callable

import numpy as np

from edgesnn.decide.decision import Decision
from edgesnn.events import Packet, empty_events, events_from_arrays
from edgesnn.stream.sink import Percentiles, RunInfo, Sink, Snapshot, Summary

LABELS = ("left", "right", "a wave of the whole arm that is long")
INFO = RunInfo("file:wave.npz", (64, 48), "gesture", "reference", 10_000, LABELS)
LATENCY = Percentiles(400.0, 900.0, 1_500.0, 2_000.0)
SUMMARY = Summary("file:wave.npz", "gesture", "reference", 1234, 5, 6, 78, LATENCY, 1.0, "right")
RIGHT = Decision(120_000, 1, "right", 0.875, 412.5)
NOTHING = Decision(900_000, -1, "no gesture", 1.0, 380.0)


def snapshot(decision: Decision = RIGHT, dropped: int = 0) -> Snapshot:
    frame = np.zeros((2, 48, 64), np.uint8)
    frame[1, 10:20, 10:20] = 3
    frame[0, 30:40, 40:50] = 3
    return Snapshot(
        t_us=1_000_000,
        frame=frame,
        labels=LABELS,
        probabilities=np.array([0.1, 0.875, 0.025]),
        decision=decision,
        latency_us=LATENCY,
        steps=78,
        steps_late=2,
        events=1234,
        dropped=dropped,
        late=6,
        event_rate_hz=68_500.0,
        rates_hz=(0.0, 10_000.0, 40_000.0, 68_500.0),
    )


class FixedMonitor:
    """Nothing at first, then always the same snapshot."""

    def __init__(self) -> None:
        self.asked = 0

    def latest(self) -> Snapshot | None:
        self.asked += 1
        return snapshot() if self.asked > 1 else None


def packets() -> list[Packet]:
    t = np.arange(1000, 2000, 10)
    some = events_from_arrays(t, t % 64, t % 48, t % 2)
    return [Packet(empty_events(), 1000, 1), Packet(some, 2000, 2), Packet(empty_events(), 9000, 3)]


def check_whole_run(make: Callable[[threading.Event], Sink]) -> None:
    """Packets on one thread, decisions on another, a summary; no call holds the run up."""
    before = set(threading.enumerate())
    stop = threading.Event()
    sink = make(stop)
    sink.open(INFO, FixedMonitor())
    reader = threading.Thread(target=lambda: [sink.packet(packet) for packet in packets()])
    reader.start()
    began = time.perf_counter()
    sink.decision(RIGHT)
    sink.decision(NOTHING)
    assert time.perf_counter() - began < 0.1
    reader.join(5)
    assert not reader.is_alive()
    time.sleep(0.15)  # displays draw a few times
    sink.close(SUMMARY)
    assert set(threading.enumerate()) == before
    assert not stop.is_set()


def check_failed_run(make: Callable[[threading.Event], Sink]) -> None:
    """A run that fails at once closes its sinks without a summary."""
    before = set(threading.enumerate())
    sink = make(threading.Event())
    sink.open(INFO, FixedMonitor())
    sink.close(None)
    assert set(threading.enumerate()) == before


def check_one_after_another(make: Callable[[threading.Event], Sink]) -> None:
    """A second run in the same process works like the first."""
    for _ in range(2):
        check_whole_run(make)
