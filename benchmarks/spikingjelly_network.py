"""A chain program as SpikingJelly's users would write it, single step: what ours is compared with.

`layer.Conv2d`, `neuron.SlidingPSN`, the program's weights, taps and thresholds as float32. Synaptic
delays are a queue of inputs in front of the weights (of one delay per synapse, dense weights as the
published layer's kernel has them). Leaky neurons are a `neuron.SimpleBaseNode` with a charge of
their own, since its `LIFNode` has no leak that rounds. SpikingJelly has no neuron that fires once:
there it is the plain PyTorch of its equation.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import torch
from spikingjelly.activation_based import layer, neuron, surrogate
from torch import nn

from edgesnn.program import LEAK_UNIT, Fire, Layer, Leaky, Node, Pool, Program, Tensor


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
