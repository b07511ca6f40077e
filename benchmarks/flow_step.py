"""How long optical flow takes, on a grid of 160 x 120 cells, beside OpenCV on the same pixels.

    OPENBLAS_NUM_THREADS=1 python benchmarks/flow_step.py [--steps 200] [--json | --save OUT.npz]

(NumPy starts threads that wait without rest; the command line tells it not to, here that is said.)
The bundled scene is laid over a QVGA sensor again and again (320 x 240 pixels, cells of 2).
Printed, medians in us on one thread and in turn, 25 steps each, as they follow each other live: the
whole step (events in, field and motion out), the network alone on each backend, OpenCV's DIS and
Farneback on two pictures of the same events; and once each 25 steps the rounds that make motion
exact. --save writes that scene instead, to be played live:

    time edgesnn run flow --file OUT.npz --speed 1 --json
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from edgesnn.app import load_app, sample_path
from edgesnn.apps.flow.peers import Method, methods, peer_field
from edgesnn.backend import backend
from edgesnn.bundle import load_bundle
from edgesnn.decide.motion import MotionReadout
from edgesnn.decide.recent import Recent
from edgesnn.decide.refine import COARSE, FINE, Kernel, Plain
from edgesnn.events import Events, joined_events
from edgesnn.hardware import refine
from edgesnn.hardware.events import can_run
from edgesnn.senses.encoders import open_encoder
from edgesnn.sources.npz_write import npz_from_events
from edgesnn.sources.reading import read_events

SIZE = (320, 240)
BLOCK = 25
SLOW = 0.05
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
    models = {name: backend(name).load(bundle) for name in names}
    first = names[-1]  # what --backend auto takes
    live, readout, cell = models[first].stream(), MotionReadout(bundle.readout), 2
    alone = {name: model.stream() for name, model in models.items()}

    def whole(step: Events, start_us: int) -> None:
        end_us = start_us + program.step_us
        readout.see(step, end_us, cell, program.step_us)
        readout.update(live.step(encoder.encode(step, start_us)), len(step), end_us)
        readout.field(end_us, cell, program.step_us)

    def peer(method: Method, step: Events, start_us: int) -> None:
        peer_field(method, events, start_us + program.step_us, FRAME_US, SIZE)

    spent: dict[str, list[float]] = defaultdict(list)

    def clocked(name: str, call: Callable[[], Any]) -> None:
        began = time.perf_counter_ns()
        call()
        spent[name].append((time.perf_counter_ns() - began) / 1e3)

    kernels: dict[str, Kernel] = {"NumPy": Plain()}
    if refine.is_here():
        kernels["compiled"] = cast(Kernel, refine)
    peers = {name: method for name, method in methods().items() if name != "zero"}
    all_steps = list(steps_of(events, program.step_us, steps))
    for at in range(0, steps, BLOCK):
        block = all_steps[at : at + BLOCK]
        for name, stream in alone.items():
            for start_us, step in block:
                x = encoder.encode(step, start_us)
                clocked(f"network, {name}", partial(stream.step, x))
        for start_us, step in block:
            clocked(f"whole step, {first}", partial(whole, step, start_us))
            told = readout.field(start_us + program.step_us, cell, program.step_us)
            assert told is not None
        recent = Recent()
        for start_us, step in block:
            recent = recent.and_then(step, start_us + program.step_us, cell, program.step_us)
        velocity = told.velocity * (program.step_us * 1e-6 / cell)  # cells per step
        newest = recent.thinned(len(events))
        for name, kernel in kernels.items():
            for kind, one in (("coarse", COARSE), ("fine", FINE)):
                call = partial(kernel.moved, newest, velocity, one, SLOW)
                clocked(f"{kind} round, {name}", call)
        for name, method in peers.items():
            for start_us, step in block:
                clocked(name, partial(peer, method, step, start_us))
    seen = sum(len(step) for _, step in all_steps)
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
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    if given.save is not None:
        npz_from_events(given.save, wide_scene(), SIZE)
        return
    report = timed(given.steps)
    if given.json:
        print(json.dumps(report))
        return
    print(f"{report['grid']}, {report['events_per_cell_and_step']:.2f} events a cell and step")
    for name, us in report["median_us"].items():
        print(f"{name:24} {us:8,.0f} us")


if __name__ == "__main__":
    main()
