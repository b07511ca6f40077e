"""Source to decision at real time, beside what the machine itself does to a sleeping thread.

    python benchmarks/latency.py --rounds 6 --seconds 10

Each round plays the bundled recording in real time through the whole pipeline, then lets a bare
thread sleep for 1 ms again and again. On a machine that others use both suffer: a round in which
bare sleeps overshoot by milliseconds says nothing about the pipeline.
"""

from __future__ import annotations

import argparse
import threading
import time

import numpy as np

from edgesnn.app import load_app, sample_path
from edgesnn.backend import backend
from edgesnn.bundle import load_bundle
from edgesnn.sources.recording import open_recording
from edgesnn.stream.pipeline import run
from edgesnn.stream.sink import Percentiles


def live(seconds: float) -> Percentiles:
    """Return the latency of a live run of the gesture network, us."""
    app = load_app("gesture")
    bundle = load_bundle(app.model)
    summary = run(
        open_recording(sample_path(app), speed=1.0, loop=True),
        bundle,
        backend("onnx_cpu").load(bundle),
        [],
        backend_name="onnx_cpu",
        stop=threading.Event(),
        duration_s=seconds,
    )
    return summary.latency_us


def overshoot_us(seconds: float) -> tuple[float, float]:
    """Return median and 99th percentile of how much longer than 1 ms a sleep of 1 ms takes."""
    found, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.perf_counter_ns()
        time.sleep(0.001)
        found.append((time.perf_counter_ns() - began) / 1e3 - 1000)
    return float(np.median(found)), float(np.percentile(found, 99))


def main() -> None:
    """Print one line a round and the median round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    print("ms           decision p50   p99  p99.9    max | bare sleep p50    p99")
    rows = []
    for i in range(arguments.rounds):
        latency = live(arguments.seconds)
        middle, late = overshoot_us(arguments.seconds / 4)
        row = [latency.p50, latency.p99, latency.p999, latency.max, middle, late]
        rows.append(row)
        print(f"round {i + 1:<7}" + _line(row), flush=True)
    print("median       " + _line([float(np.median(column)) for column in zip(*rows, strict=True)]))


def _line(row: list[float]) -> str:
    p50, p99, p999, worst, middle, late = (value / 1e3 for value in row)
    return f"{p50:12.2f} {p99:5.2f} {p999:6.2f} {worst:6.2f} | {middle:14.2f} {late:6.2f}"


if __name__ == "__main__":
    main()
