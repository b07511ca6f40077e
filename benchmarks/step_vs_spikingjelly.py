"""One step of a bundle's network: ours against the same network in SpikingJelly, one thread each.

    pip install spikingjelly==2.0.0      (the first release on PyPI that has SlidingPSN)
    python benchmarks/step_vs_spikingjelly.py --bundle gesture

The peer is written as its users would: `layer.Conv2d`, `neuron.SlidingPSN` in single step mode, the
program's weights, taps and thresholds as float32, `torch.inference_mode`. Synaptic delays of the
first layer are a queue of frames in front of its convolution. Both see the same inputs and must
give the same outputs before any time is taken; then blocks of steps alternate, so that a noisy
machine is noisy for both. The fastest steps are printed beside the medians: on a machine that
others use, long steps are interrupted more often than short ones.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import deque
from collections.abc import Callable

import numpy as np
import torch
from spikingjelly.activation_based import layer, neuron, surrogate
from torch import nn

from edgesnn.backend import backend
from edgesnn.bundle import Bundle, load_bundle
from edgesnn.program import Layer, Node, Pool, Program, Tensor

BLOCK = 20
"""Steps of one contender before it is the other's turn."""


class Delays(nn.Module):
    """The newest `count` inputs, one after the other along the channels."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.queue: deque[torch.Tensor] = deque(maxlen=count)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take one frame (1, C, H, W); return (1, count * C, H, W), newest first."""
        while len(self.queue) < self.count - 1:
            self.queue.append(torch.zeros_like(x))
        self.queue.appendleft(x)
        return torch.cat(tuple(self.queue), dim=1)


class Times(nn.Module):
    """Multiply by a constant: a mean becomes a sum."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return factor * x."""
        return x * self.factor


def spikingjelly_network(program: Program) -> nn.Sequential:
    """Return a chain program (layers and sum pools) as a SpikingJelly network, single step."""
    modules: list[nn.Module] = []
    source = "x"
    for node in program.nodes:
        if getattr(node, "input", None) != source:
            raise SystemExit(f"{node.name}: only chains of layers and pools are written here")
        modules += _modules(program, node)
        source = node.name
    return nn.Sequential(*modules).eval()


def _modules(program: Program, node: Node) -> list[nn.Module]:
    if isinstance(node, Pool) and node.op == "sum":
        return [layer.AvgPool2d(node.size), Times(node.size**2)]
    if not isinstance(node, Layer):
        raise SystemExit(f"{node.name}: {node.kind} is not written here")
    taps = program.taps_of(node)
    filters, order = taps.shape
    delays = filters > 1 and np.array_equal(taps, np.eye(order))
    if filters > 1 and not delays:
        raise SystemExit(f"{node.name}: several filters that are no pure delays")
    modules: list[nn.Module] = [Delays(order)] if delays else []
    modules.append(_weighted(program, node))
    if node.threshold is None:
        return modules
    theta = torch.from_numpy(program.tensors[node.threshold]).float()
    if delays:
        modules[-1].bias = nn.Parameter(-theta)
        modules.append(surrogate.ATan())
    else:
        modules.append(_sliding_psn(taps[0], theta, program.values[node.name].shape))
    return modules


def _weighted(program: Program, node: Layer) -> nn.Module:
    weight = torch.from_numpy(program.tensors[node.weight]).float()
    if node.op == "linear":
        linear = layer.Linear(weight.shape[1], weight.shape[0], bias=False)
        linear.weight.data = weight
        return nn.Sequential(layer.Flatten(), linear)
    out, per_group, height, width = weight.shape
    conv = layer.Conv2d(
        per_group * node.groups,
        out,
        (height, width),
        stride=node.stride,
        padding=node.padding,
        groups=node.groups,
        bias=False,
    )
    conv.weight.data = weight
    return conv


def _sliding_psn(taps: Tensor, theta: torch.Tensor, shape: tuple[int, ...]) -> nn.Module:
    """Return the neuron; its queue is flat, so a threshold per channel is written per neuron."""
    psn = neuron.SlidingPSN(len(taps), step_mode="s")
    psn.weight.data = torch.from_numpy(taps[::-1].copy()).float()
    spread = theta.view(-1, *[1] * (len(shape) - 1)).expand(shape)
    psn.bias = nn.Parameter(-spread.reshape(-1))
    return psn


def inputs(program: Program, steps: int) -> list[Tensor]:
    """Return random levels: a fifth of the cells active."""
    rng = np.random.default_rng(0)
    shape = (steps, *program.input_shape)
    levels = rng.integers(1, program.input_high + 1, shape) * (rng.random(shape) < 0.2)
    return list(levels.astype(np.uint8))


def block_us(step: Callable[[Tensor], object], xs: list[Tensor]) -> list[float]:
    """Return how long each step took."""
    times = []
    for x in xs:
        began = time.perf_counter_ns()
        step(x)
        times.append((time.perf_counter_ns() - began) / 1e3)
    return times


def compare(bundle: Bundle, rounds: int) -> tuple[list[float], list[float]]:
    """Return the times of all steps, ours and SpikingJelly's, us; exits when outputs differ."""
    program = bundle.program
    net = spikingjelly_network(program)
    stream = backend("onnx_cpu").load(bundle, threads=1).stream()

    def theirs(x: Tensor) -> torch.Tensor:
        return net(torch.from_numpy(x)[None].float())

    for t, x in enumerate(inputs(program, 100)):
        y = theirs(x).numpy().reshape(program.output_shape)
        if not np.array_equal(stream.step(x), y):
            raise SystemExit(f"step {t}: the outputs differ, nothing to compare")
    xs = inputs(program, BLOCK)
    ours_us: list[float] = []
    theirs_us: list[float] = []
    for _ in range(rounds):
        ours_us += block_us(stream.step, xs)
        theirs_us += block_us(theirs, xs)
    return ours_us, theirs_us


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", default="gesture", help="a model's name or a bundle's .json")
    parser.add_argument("--rounds", type=int, default=50, help="blocks of 20 steps of each")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        ours, theirs = compare(load_bundle(arguments.bundle), arguments.rounds)
    print("outputs agree over 100 steps; one step, one thread, us:  median  fastest")
    for name, times in (("edgesnn onnx_cpu", ours), ("SpikingJelly single step", theirs)):
        print(f"  {name:26s}{statistics.median(times):8.0f} {min(times):8.0f}")
    of_medians = statistics.median(theirs) / statistics.median(ours)
    print(f"  {'ratio':26s}{of_medians:8.1f} {min(theirs) / min(ours):8.1f}")


if __name__ == "__main__":
    main()
