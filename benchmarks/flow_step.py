"""How long optical flow takes, on a grid of 160 x 120 cells, beside OpenCV on the same pixels.

    python benchmarks/flow_step.py [--steps 200] [--json]

The bundled scene is laid over a QVGA sensor again and again (320 x 240 pixels, cells of 2).
Printed, medians in us on one thread and in turn: the whole step (events in, field and motion out),
the network alone on each backend, OpenCV's DIS and Farneback on two pictures of the same events.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from edgesnn.app import load_app, sample_path
from edgesnn.apps.flow.peers import methods, peer_field
from edgesnn.backend import backend
from edgesnn.bundle import load_bundle
from edgesnn.decide.motion import MotionReadout
from edgesnn.events import Events, joined_events
from edgesnn.hardware.events import can_run
from edgesnn.senses.encoders import open_encoder
from edgesnn.sources.reading import read_events

SIZE = (320, 240)
FRAME_US = 20_000


def wide_scene() -> Events:
    """Return the bundled scene, over and over beside and below itself."""
    events, (side, _) = read_events(sample_path(load_app("flow")))
    parts = []
    for dx in range(0, SIZE[0], side):
        for dy in range(0, SIZE[1], side):
            part = events[(events["x"] + dx < SIZE[0]) & (events["y"] + dy < SIZE[1])].copy()
            part["x"] += dx
            part["y"] += dy
            parts.append(part)
    whole = joined_events(parts)
    return whole[np.argsort(whole["t"], kind="stable")]


def timed(steps: int) -> dict[str, Any]:
    """Return medians in us, by what was timed."""
    events, bundle = wide_scene(), load_bundle("flow").fitted(SIZE)
    program = bundle.program
    encoder = open_encoder(bundle.encoder, program.input_shape, SIZE, program.step_us)
    names = ["onnx_cpu", *(["events"] if can_run(program) else [])]
    streams = {name: backend(name).load(bundle).stream() for name in names}
    readout, peers = MotionReadout(bundle.readout), methods()
    del peers["zero"]
    spent: dict[str, list[float]] = {}

    def clocked(name: str, call: Callable[..., Any], *given: Any) -> Any:
        began = time.perf_counter_ns()
        found = call(*given)
        spent.setdefault(name, []).append((time.perf_counter_ns() - began) / 1e3)
        return found

    first = names[-1]  # what --backend auto takes

    def whole(step: Events, start_us: int) -> None:
        x = encoder.encode(step, start_us)
        y = streams[first].step(x)
        readout.see(step, start_us + program.step_us, 2, program.step_us)
        readout.update(y, len(step), start_us + program.step_us)
        readout.field(start_us + program.step_us, 2, program.step_us)

    seen = 0
    for start_us, step in steps_of(events, program.step_us, steps):
        seen += len(step)
        x = encoder.encode(step, start_us)
        before = streams[first].snapshot()
        for name, stream in streams.items():
            clocked(f"network, {name}", stream.step, x)
        streams[first].restore(before)
        clocked(f"whole step, {first}", whole, step, start_us)
        until_us = start_us + program.step_us
        for name, method in peers.items():
            clocked(name, peer_field, method, events, until_us, FRAME_US, SIZE)
    return {
        "grid": f"{program.input_shape[2]} x {program.input_shape[1]} cells",
        "events_per_cell_and_step": seen
        / steps
        / (program.input_shape[1] * program.input_shape[2]),
        "median_us": {name: float(np.median(values)) for name, values in spent.items()},
    }


def steps_of(events: Events, step_us: int, count: int) -> Iterator[tuple[int, Events]]:
    """Yield the begin and the events of `count` steps from the middle of the first move on."""
    first = int(events["t"][0]) + 300_000
    for start in range(first, first + count * step_us, step_us):
        yield (
            start,
            events[
                np.searchsorted(events["t"], start) : np.searchsorted(events["t"], start + step_us)
            ],
        )


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    report = timed(given.steps)
    if given.json:
        print(json.dumps(report))
        return
    print(f"{report['grid']}, {report['events_per_cell_and_step']:.2f} events a cell and step")
    for name, us in report["median_us"].items():
        print(f"{name:24} {us:8,.0f} us")


if __name__ == "__main__":
    main()
