"""One step of a bundle's network: ours against the same network in SpikingJelly, one thread each.

    pip install spikingjelly==2.0.0      (the first release on PyPI that has SlidingPSN)
    python benchmarks/step_vs_spikingjelly.py --bundle gesture      (or keyword, mnist, ...)

The peer is written as its users would: `layer.Conv2d`, `neuron.SlidingPSN` in single step mode, the
program's weights, taps and thresholds as float32, `torch.inference_mode`. Synaptic delays are a
queue of inputs in front of the weights (of one delay per synapse, dense weights as the published
layer's kernel has them). Leaky neurons are a `neuron.SimpleBaseNode` with a charge of their own,
since its `LIFNode` has no leak that rounds. SpikingJelly has no neuron that fires once: there it is
the plain PyTorch of its equation. Both see the same inputs and must
give the same outputs before any time is taken; then blocks of steps alternate, so that a noisy
machine is noisy for both. The fastest steps are printed beside the medians: on a machine that
others use, long steps are interrupted more often than short ones. Networks that run in trials start
each trial, of both, from rest.
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
from edgesnn.nodes import LEAK_UNIT
from edgesnn.program import Fire, Layer, Leaky, Node, Pool, Program, Tensor
from edgesnn.trial import TrialSpec

BLOCK = 20
"""Steps of one contender before it is the other's turn."""


class Delays(nn.Module):
    """The newest `count` inputs, one after the other along the channels."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.queue: deque[torch.Tensor] = deque(maxlen=count)

    def reset(self) -> None:
        """Forget all inputs."""
        self.queue.clear()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take one frame (1, C, H, W) or (1, C); return (1, count * C, ...), newest first."""
        while len(self.queue) < self.count - 1:
            self.queue.append(torch.zeros_like(x))
        self.queue.appendleft(x)
        return torch.cat(tuple(self.queue), dim=1)


class Filter(nn.Module):
    """A temporal filter with the same taps for all inputs, newest first."""

    def __init__(self, taps: torch.Tensor) -> None:
        super().__init__()
        self.taps = taps
        self.past = Delays(len(taps))

    def reset(self) -> None:
        """Forget all inputs."""
        self.past.reset()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take one frame (1, ...); return the filtered one."""
        seen = self.past(x).view(len(self.taps), -1)
        return (self.taps @ seen).view(x.shape)


class FireOnce(nn.Module):
    """V[t] = V[t-1] + X[t]; one spike where V first reaches theta."""

    def __init__(self, theta: torch.Tensor) -> None:
        super().__init__()
        self.theta = theta
        self.reset()

    def reset(self) -> None:
        """Begin a trial."""
        self.v = torch.zeros_like(self.theta)
        self.fired = torch.zeros(self.theta.shape, dtype=torch.bool)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take one step's sums (1, ...); return spikes."""
        self.v = self.v + x
        above = self.v >= self.theta
        first = above & ~self.fired
        self.fired = self.fired | above
        return first.float()


class LeakyNeurons(neuron.SimpleBaseNode):
    """V[t] = trunc(keep V[t-1]) + X[t] + current; hard reset; SpikingJelly fires and resets."""

    def __init__(self, keep: float, current: torch.Tensor, theta: torch.Tensor) -> None:
        super().__init__(v_reset=0.0, step_mode="s")
        self.keep, self.current, self.v_threshold = keep, current, theta

    def neuronal_charge(self, x: torch.Tensor) -> None:
        """Leak and integrate one step's sums (1, ...)."""
        left = torch.trunc(self.v * self.keep) if torch.is_tensor(self.v) else 0.0
        self.v = left + (x + self.current)


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
    if isinstance(node, Fire):
        return [FireOnce(_spread(program, node, node.threshold))]
    if isinstance(node, Leaky):
        theta, current = (_spread(program, node, name) for name in (node.threshold, node.current))
        return [LeakyNeurons(node.keep / LEAK_UNIT, current, theta)]
    if not isinstance(node, Layer):
        raise SystemExit(f"{node.name}: {node.kind} is not written here")
    own = program.delays_of(node)
    if own is not None:
        return _delayed(program, node, own)
    taps = program.taps_of(node)
    filters, order = taps.shape
    delays = filters > 1 and np.array_equal(taps, np.eye(order))
    if filters > 1 and not delays:
        raise SystemExit(f"{node.name}: several filters that are no pure delays")
    modules: list[nn.Module] = [Delays(order)] if delays else []
    if node.threshold is None and not delays and order > 1:
        modules.append(Filter(torch.from_numpy(taps[0].copy()).float()))
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


def _spread(program: Program, node: Fire | Leaky, tensor: str) -> torch.Tensor:
    """Return a tensor (channels,) as float32, one number for each neuron: (1, channels, ...)."""
    shape = program.values[node.name].shape
    values = torch.from_numpy(program.tensors[tensor]).float()
    return values.view(1, -1, *[1] * (len(shape) - 1)).expand(1, *shape)


def _delayed(program: Program, node: Layer, delays: Tensor) -> list[nn.Module]:
    """Return a layer with one delay per synapse: dense weights on a queue, then the neuron."""
    weight, taps = program.tensors[node.weight], program.taps_of(node)[0]
    span = int(delays.max()) + 1
    dense = np.zeros((len(weight), span, weight.shape[1]), np.float32)
    np.put_along_axis(dense, delays[:, None, :], weight[:, None, :].astype(np.float32), axis=1)
    linear = layer.Linear(span * weight.shape[1], len(weight), bias=False)
    linear.weight.data = torch.from_numpy(dense.reshape(len(weight), -1))
    modules: list[nn.Module] = [Delays(span), layer.Flatten(), linear]
    if node.threshold is not None:
        theta = torch.from_numpy(program.tensors[node.threshold]).float()
        modules.append(_sliding_psn(taps, theta, program.values[node.name].shape))
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


class Contenders:
    """Our stream and SpikingJelly's network; a trial of `window` steps begins from rest.

    window: None for networks that run on and on.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Prepare both."""
        self.window = bundle.readout.steps if isinstance(bundle.readout, TrialSpec) else None
        self._net = spikingjelly_network(bundle.program)
        self._stream = backend("onnx_cpu").load(bundle, threads=1).stream()

    def ours(self, x: Tensor) -> Tensor:
        """Take a step of ours."""
        return self._stream.step(x)

    def theirs(self, x: Tensor) -> torch.Tensor:
        """Take a step of theirs."""
        return self._net(torch.from_numpy(x)[None].float())

    def begin(self, t: int) -> None:
        """Put both to rest where step t begins a trial."""
        if self.window is not None and t % self.window == 0:
            self._stream.reset()
            for module in self._net.modules():
                if module is not self._net and hasattr(module, "reset"):
                    module.reset()

    def timed_us(self, step: Callable[[Tensor], object], xs: list[Tensor]) -> list[float]:
        """Return how long each step took; beginning a trial is not counted."""
        times = []
        for t, x in enumerate(xs):
            self.begin(t)
            began = time.perf_counter_ns()
            step(x)
            times.append((time.perf_counter_ns() - began) / 1e3)
        return times


def compare(bundle: Bundle, rounds: int) -> tuple[list[float], list[float]]:
    """Return the times of all steps, ours and SpikingJelly's, us; exits when outputs differ."""
    program, both = bundle.program, Contenders(bundle)
    for t, x in enumerate(inputs(program, 100)):
        both.begin(t)
        y = both.theirs(x).numpy().reshape(program.output_shape)
        if not np.array_equal(both.ours(x), y):
            raise SystemExit(f"step {t}: the outputs differ, nothing to compare")
    xs = inputs(program, BLOCK)
    ours_us: list[float] = []
    theirs_us: list[float] = []
    for _ in range(rounds):
        ours_us += both.timed_us(both.ours, xs)
        theirs_us += both.timed_us(both.theirs, xs)
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
