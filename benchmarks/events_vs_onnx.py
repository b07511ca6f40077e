"""One step on the events backend against the same step on ONNX Runtime, by how much happens.

    python benchmarks/events_vs_onnx.py                   (all shipped bundles; --bundle gesture)

Inputs: the bundle's own recording of inputs (its parity vector), random cells of 1, 5, 10, 30 and
100 % at the levels that the encoder gives, and silence. Both backends see the same inputs and must
give the same outputs in every step; blocks of 20 steps alternate, one thread each. The line fitted
at the end is the engine's time against the effective operations of the random inputs: a step that
costs what its spikes cost lies on it.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from edgesnn.backend import Stream, load_model
from edgesnn.bundle import Bundle, list_bundles, load_bundle
from edgesnn.decide.trial import TrialSpec
from edgesnn.hardware.reference import trace
from edgesnn.program import Layer, Program, Tensor, initial_state

BLOCK = 20
SHARES = (0.01, 0.05, 0.1, 0.3, 1.0)
BACKENDS = ("events", "onnx_cpu")


def random_inputs(program: Program, share: float, steps: int) -> list[Tensor]:
    """Return levels in a share of the cells, drawn anew in every step."""
    rng = np.random.default_rng(round(share * 1000))
    shape = (steps, *program.input_shape)
    levels = rng.integers(1, program.input_high + 1, shape) * (rng.random(shape) < share)
    return list(levels.astype(np.uint8))


def timed_us(stream: Stream, xs: list[Tensor], window: int | None) -> tuple[list[float], Tensor]:
    """Return how long each step took, and the outputs; beginning a trial is not counted."""
    times, outputs = [], []
    for t, x in enumerate(xs):
        if window is not None and t % window == 0:
            stream.reset()
        began = time.perf_counter_ns()
        y = stream.step(x)
        times.append((time.perf_counter_ns() - began) / 1e3)
        outputs.append(y.copy())
    return times, np.stack(outputs)


def compare(bundle: Bundle, xs: list[Tensor], rounds: int) -> dict[str, list[float]]:
    """Return the times of all steps by backend, us; exits where outputs differ."""
    window = bundle.readout.steps if isinstance(bundle.readout, TrialSpec) else None
    streams = {name: load_model(name, bundle)[1].stream() for name in BACKENDS}
    times: dict[str, list[float]] = {name: [] for name in BACKENDS}
    for _ in range(rounds):
        for at in range(0, len(xs), BLOCK):
            found = {}
            for name, stream in streams.items():
                took, found[name] = timed_us(stream, xs[at : at + BLOCK], window)
                times[name] += took
            if not np.array_equal(*found.values()):
                raise SystemExit(f"{bundle.program.name}: the outputs differ")
    return times


def operations(program: Program, xs: list[Tensor], window: int | None) -> float:
    """Return the events per step that meet the weights of a layer, each times its outputs."""
    state, total = initial_state(program), 0
    for t, x in enumerate(xs):
        if window is not None and t % window == 0:
            state = initial_state(program)
        values, state = trace(program, x, state)
        for node in program.nodes:
            if isinstance(node, Layer):
                weight = program.tensors[node.weight]
                fan_out = weight.shape[0] * int(np.prod(weight.shape[2:])) // node.stride**2
                terms = np.count_nonzero(program.taps_of(node).any(axis=0))
                lags = terms if len(program.taps_of(node)) > 1 else 1
                total += int(np.count_nonzero(values[node.input])) * fan_out * lags
    return total / len(xs)


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", help="a model's name or a bundle's .json; all shipped ones")
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    for name in [arguments.bundle] if arguments.bundle else list_bundles():
        bundle = load_bundle(name)
        program = bundle.program
        window = bundle.readout.steps if isinstance(bundle.readout, TrialSpec) else None
        inputs = {"parity": list(bundle.parity["x"])}
        inputs |= {f"{share:.0%}": random_inputs(program, share, 40) for share in SHARES}
        inputs["idle"] = [np.zeros(program.input_shape, np.uint8)] * 40
        print(f"{program.name}: one step, us, median (fastest); outputs agree in every step")
        points = []
        for kind, xs in inputs.items():
            times = compare(bundle, xs, arguments.rounds)
            ours, theirs = (statistics.median(times[b]) for b in BACKENDS)
            least = [min(times[b]) for b in BACKENDS]
            print(
                f"  {kind:7s} events {ours:7.1f} ({least[0]:.1f})   onnx_cpu {theirs:7.1f} "
                f"({least[1]:.1f})   {theirs / ours:5.1f} x"
            )
            if kind.endswith("%") or kind == "idle":
                points.append((operations(program, xs, window), ours))
        x, y = np.array(points).T
        slope, start = np.polyfit(x, y, 1)
        fit = 1 - ((y - slope * x - start) ** 2).sum() / ((y - y.mean()) ** 2).sum()
        print(
            f"  time = {start:.1f} us + {slope * 1e6:.0f} us per million operations, R2 {fit:.3f}"
        )


if __name__ == "__main__":
    main()
