"""Each layer alone: how its step grows with what is active, and where dense arithmetic is as fast.

    python benchmarks/sparsity.py [--bundle NAME] [--rounds 30]

A layer up to its sums, fed with random cells at its input's levels: the events engine beside ONNX
Runtime's dense kernel, alternating, one thread each, outputs compared. Told: the time with nothing
active, nanoseconds for each effective operation (a weight that meets an input), R2 of that line,
the dense kernel's time, and the break-even: the share of active inputs at which both cost the same
(by the line; over 100 %: the engine is always faster), beside the share that the bundle's own
recording of inputs has.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace

import numpy as np

from edgesnn.backend import Stream
from edgesnn.bundle import Bundle, list_bundles, load_bundle
from edgesnn.decide.trial import TrialSpec
from edgesnn.hardware import events
from edgesnn.hardware.onnx_cpu import OnnxModel
from edgesnn.hardware.reference import trace
from edgesnn.measure.operations import fan_out
from edgesnn.measure.tables import show, table_of
from edgesnn.program import Layer, Program, Tensor, initial_state
from edgesnn.quantize.export import export

SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
STEPS = 20


def alone(program: Program, layer: Layer) -> Program:
    """Return a program of one layer, without its threshold."""
    source = program.values[layer.input]
    used = (layer.weight, layer.taps, layer.delays)
    tensors = {name: program.tensors[name] for name in used if name is not None}
    node = replace(layer, input="x", threshold=None)
    high = program.input_high if layer.input == "x" else source.high
    image = (*source.shape, 1, 1)[:3]  # features are an image of one pixel
    return Program(layer.name, 1000, image, high, (node,), layer.name, tensors)


def own_shares(bundle: Bundle) -> dict[str, float]:
    """Return the share of each layer's inputs that are active on the bundle's inputs."""
    program, readout = bundle.program, bundle.readout
    window = readout.steps if isinstance(readout, TrialSpec) else None
    layers = [node for node in program.nodes if isinstance(node, Layer)]
    active = {layer.name: 0.0 for layer in layers}
    state, steps = initial_state(program), bundle.parity["x"]
    for t, x in enumerate(steps):
        if window is not None and t % window == 0:
            state = initial_state(program)
        values, state = trace(program, x, state)
        for layer in layers:
            active[layer.name] += float((values[layer.input] != 0).mean()) / len(steps)
    return active


def timed_us(stream: Stream, xs: list[Tensor]) -> tuple[list[float], list[Tensor]]:
    """Return how long each step took, and the outputs."""
    times, outputs = [], []
    for x in xs:
        began = time.perf_counter_ns()
        y = stream.step(x)
        times.append((time.perf_counter_ns() - began) / 1e3)
        outputs.append(y.copy())
    return times, outputs


def measured(program: Program, rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Return operations a step, the engine's and the dense kernel's medians, by share."""
    bundle = Bundle(program, None, None, {}, b"", {})  # type: ignore[arg-type]
    engine = events.load(bundle).stream()
    dense = OnnxModel(program, export(program)).stream()
    (layer,) = program.nodes
    assert isinstance(layer, Layer)
    fans, rng = fan_out(program, layer), np.random.default_rng(0)
    found: tuple[list[float], list[float], list[float]] = ([], [], [])
    for share in SHARES:
        shape = (STEPS, *program.input_shape)
        levels = rng.integers(1, program.input_high + 1, shape) * (rng.random(shape) < share)
        xs = list(levels.astype(np.uint8))
        ours: list[float] = []
        theirs: list[float] = []
        for _ in range(rounds):
            for times, stream in ((ours, engine), (theirs, dense)):
                took, outputs = timed_us(stream, xs)
                times += took
                if stream is engine:
                    wanted = outputs
                elif not all(map(np.array_equal, wanted, outputs)):
                    raise SystemExit(f"{program.name}: the outputs differ")
        found[0].append(float(np.mean([fans[x != 0].sum() for x in xs])))
        found[1].append(statistics.median(ours))
        found[2].append(statistics.median(theirs))
    return found


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", help="a model's name or a bundle's .json; all shipped ones")
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args()
    for name in [given.bundle] if given.bundle else list_bundles():
        bundle = load_bundle(name)
        own = own_shares(bundle)
        columns = ["idle us", "ns per op", "R2", "dense us", "break-even", "own input"]
        table = table_of([bundle.program.name], columns)
        for layer in bundle.program.nodes:
            if not isinstance(layer, Layer):
                continue
            program = alone(bundle.program, layer)
            operations, ours, theirs = (np.array(part) for part in measured(program, given.rounds))
            slope, start = np.polyfit(operations, ours, 1)
            spread = ((ours - ours.mean()) ** 2).sum()
            fit = 1 - ((ours - slope * operations - start) ** 2).sum() / spread
            dense = float(np.median(theirs))
            even = (dense - start) / slope / operations[-1]
            table.add_row(
                layer.name,
                f"{ours[0]:.1f}",
                f"{slope * 1e3:.2f}",
                f"{fit:.4f}",
                f"{dense:.1f}",
                f"{even:.0%}" if even < 1 else "over 100%",
                f"{own[layer.name]:.1%}",
            )
        show(table)


if __name__ == "__main__":
    main()
