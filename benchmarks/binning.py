"""Million events per second into a frame: ours, tonic, dv-processing; same events, one run.

    python benchmarks/binning.py --events 250000 --rounds 40

Each round times every contender once on the same windows, in turn, so that a noisy machine is noisy
for all; the medians are compared. Peers that are not installed are named as missing
(`pip install tonic dv-processing`). What each one makes of the events:

    edgesnn 32 x 32      counts per polarity, pooled 4 x 4, saturated, levels: x of a step
    edgesnn 128 x 128    counts per polarity at full resolution, the same work as tonic's ToFrame
    tonic ToFrame        counts per polarity at full resolution, one frame
    dv Accumulator       accept + generateFrame, defaults (potential with exponential decay)
    dv EdgeMap           accept + generateFrame, defaults (saturating contribution, no polarity)
    numpy bincount       of ready-made indices: the floor for anything that counts with NumPy
    copy of the events   one pass over their memory
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np

from edgesnn.events import EVENT, Events
from edgesnn.senses.encoder import Encoder, EncoderSpec

SIDE = 128
Contender = tuple[str, Callable[[], object]]


def uniform_events(count: int, seed: int = 0) -> Events:
    """Events all over a 128 x 128 sensor within 25 ms."""
    random = np.random.default_rng(seed)
    events = np.zeros(count, EVENT)
    events["t"] = np.sort(random.integers(0, 25_000, count))
    events["x"], events["y"] = random.integers(0, SIDE, (2, count))
    events["p"] = random.integers(0, 2, count)
    return events


def ours(events: Events) -> Iterator[Contender]:
    """Our encoder at the grid of the gesture network and at full resolution."""
    spec = EncoderSpec((SIDE, SIDE), tuple(range(256)))
    for side in (32, SIDE):
        encoder = Encoder(spec, (2, side, side), (SIDE, SIDE))
        yield f"edgesnn {side} x {side}", lambda encoder=encoder: encoder.encode(events)


def floors(events: Events) -> Iterator[Contender]:
    """What no NumPy code can beat."""
    cell = (events["p"].astype(np.int64) * 32 + events["y"] // 4) * 32 + events["x"] // 4
    words, copy = events.view(np.uint64), np.empty(2 * len(events), np.uint64)
    yield "numpy bincount", lambda: np.bincount(cell, minlength=2048)
    yield "copy of the events", lambda: np.copyto(copy, words)


def tonic(events: Events) -> Iterator[Contender]:
    """Tonic's ToFrame with one time bin."""
    from tonic.transforms import ToFrame

    to_frame = ToFrame(sensor_size=(SIDE, SIDE, 2), n_time_bins=1)
    yield "tonic ToFrame", lambda: to_frame(events)


def dv(events: Events) -> Iterator[Contender]:
    """dv-processing's accumulators; filled event by event before the clock starts."""
    import dv_processing

    store = dv_processing.EventStore()
    for t, x, y, p in events.tolist():
        store.push_back(t, x, y, bool(p))
    for name, accumulator in (
        ("dv Accumulator", dv_processing.Accumulator((SIDE, SIDE))),
        ("dv EdgeMap", dv_processing.EdgeMapAccumulator((SIDE, SIDE))),
    ):
        yield (
            name,
            lambda accumulator=accumulator: (
                accumulator.accept(store),
                accumulator.generateFrame(),
            ),
        )


def contenders(events: Events) -> list[Contender]:
    """Everybody who is installed; says who is not."""
    found: list[Contender] = []
    for group in (ours, tonic, dv, floors):
        try:
            found.extend(group(events))
        except ImportError as error:
            print(f"not measured: {group.__name__} ({error})")
    return found


def measure(found: list[Contender], rounds: int) -> dict[str, list[float]]:
    """Seconds per call, by name; one call each in turn, after one call to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name, _ in found}
    for number in range(rounds + 1):
        for name, call in found:
            began = time.perf_counter()
            call()
            if number:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=250_000, help="events per frame")
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    events = uniform_events(options.events)
    print(f"{options.events} events a frame, {options.rounds} rounds, million events a second:")
    print(f"{'':20} {'median':>8} {'best':>8}")
    for name, seconds in measure(contenders(events), options.rounds).items():
        median, best = statistics.median(seconds), min(seconds)
        print(f"{name:20} {len(events) / median / 1e6:8.0f} {len(events) / best / 1e6:8.0f}")


if __name__ == "__main__":
    main()
