"""A short training of a float network with the weights that it will have as integers.

Weights are rounded in every forward pass as `from_float.py` rounds them, and the gradient passes
(straight-through); neurons step as `float_net.py` steps them, with the derivative of an arctangent
where they fire (Fang et al., ICCV 2021). What is learned is the class whose output is the largest
sum over a recording. Thresholds, leaks and delays stay; recurrent networks are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from edgesnn.errors import InputError

from .float_net import FloatNet
from .float_stages import (
    Before,
    Enlarged,
    Floats,
    Joined,
    Neurons,
    Pooled,
    Potentials,
    Stage,
    Weighted,
)
from .int_layers import WEIGHT_LIMIT, unit_of
from .straight_through import round_through, spike

Clip = tuple[NDArray[np.uint8], int]
_BATCH = 16
_TIE = 1e-6
"""Above a threshold, of it, where a potential at it is too low."""
_SPREAD = 2.0
"""Standard deviation of the logits at the start: sums of spikes are scaled to it."""


def tuned(
    net: FloatNet,
    clips: list[Clip],
    *,
    epochs: int,
    rate: float = 0.01,
    seed: int = 0,
    tell: Callable[[str], None] = lambda line: None,
) -> FloatNet:
    """Return the network with weights trained on clips: x over time (T, *shape) and the class.

    rate: of Adam, in shares of each map's mean weight. seed: of the order of clips. tell: takes a
    line after each time through. Raises InputError for what is not trained.
    """
    classes = int(np.prod(net.shapes()[net.stages[-1].name]))
    if not clips or any(not 0 <= label < classes for _, label in clips):
        raise InputError(f"to train on: recordings of classes 0 to {classes - 1}, at least one")
    made = _Network(net)
    groups = [
        {"params": [weight], "lr": rate * float(weight.detach().abs().mean())}
        for weight in made.weights.values()
    ]
    optimiser = torch.optim.Adam(groups)
    with torch.no_grad():
        first = torch.cat([made.sums(batch) for batch, _ in _batches(clips[: 4 * _BATCH], None)])
    scale = _SPREAD / max(float(first.std()), 1e-6)
    order = np.random.default_rng(seed)
    for epoch in range(1, epochs + 1):
        losses, right = [], 0
        for xs, labels in _batches(clips, order):
            sums = made.sums(xs)
            loss = F.cross_entropy(sums * scale, labels)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(made.parameters(), 1.0)
            optimiser.step()
            losses.append(float(loss.detach()))
            right += int((sums.argmax(1) == labels).sum())
        share = 100 * right / len(clips)
        tell(f"epoch {epoch} of {epochs}: loss {np.mean(losses):.3f}, {share:.1f} % right")
    return made.net()


def _batches(clips: list[Clip], order: np.random.Generator | None) -> Any:
    """Yield x (T, B, *shape) and labels; shorter ones end in silence."""
    at = np.arange(len(clips)) if order is None else order.permutation(len(clips))
    for part in np.array_split(at, -(-len(clips) // _BATCH)):
        steps = max(len(clips[i][0]) for i in part)
        shape = clips[part[0]][0].shape[1:]
        xs = np.zeros((steps, len(part), *shape), np.float32)
        for b, i in enumerate(part):
            xs[: len(clips[i][0]), b] = clips[i][0]
        yield torch.from_numpy(xs), torch.tensor([clips[i][1] for i in part])


class _Network(nn.Module):
    def __init__(self, net: FloatNet) -> None:
        super().__init__()
        for stage in net.stages:
            if isinstance(stage, Before):
                raise InputError(f"{stage.name} closes a loop: recurrent networks are not tuned")
        self._net = net
        self.weights = nn.ParameterDict()
        factor = {"x": 1.0}  # of means: they go into the weights behind them
        self._factor: dict[str, float] = {}
        for stage in net.stages:
            if isinstance(stage, Weighted):
                self.weights[stage.name] = nn.Parameter(torch.from_numpy(stage.weight).float())
                self._factor[stage.name] = factor.get(stage.input, 1.0)
            elif isinstance(stage, Pooled | Enlarged):
                own = 1 / stage.size**2 if isinstance(stage, Pooled) and stage.op == "mean" else 1.0
                factor[stage.name] = factor.get(stage.input, 1.0) * own

    def net(self) -> FloatNet:
        """Return the network with the weights as they are now."""
        found: list[Stage] = []
        for stage in self._net.stages:
            if isinstance(stage, Weighted):
                weight = self.weights[stage.name].detach().numpy().astype(np.float64)
                stage = replace(stage, weight=weight)
            found.append(stage)
        return replace(self._net, stages=tuple(found))

    def sums(self, xs: Tensor) -> Tensor:
        """Take x (T, B, *shape); return the output, summed over time, (B, classes)."""
        rounded = self._rounded()
        values: dict[str, Tensor] = {"x": xs}
        for stage in self._net.stages:
            values[stage.name] = self._run(stage, values, rounded)
        total: Tensor = values[self._net.stages[-1].name].sum(0).flatten(1)
        return total

    def _rounded(self) -> dict[str, Tensor]:
        """Return every map's weights as its integers will be, in floats."""
        found = {}
        last = self._net.stages[-1]
        for stage in self._net.stages:
            if isinstance(stage, Neurons | Potentials):
                parts, gain = stage.inputs, _column(stage.gain)
            elif stage is last and isinstance(stage, Weighted):
                parts, gain = (stage.name,), torch.ones(1)
            else:
                continue
            real = {
                name: self.weights[name] * (_rows(gain, self.weights[name]) * self._factor[name])
                for name in parts
            }
            peaks = [w.detach().abs().flatten(1).amax(1) for w in real.values()]
            peak = torch.stack(peaks).amax(0).clamp_min(1e-12)
            if not isinstance(stage, Neurons):
                peak = peak.amax().expand_as(peak)
            for name, w in real.items():
                unit = _rows(peak / WEIGHT_LIMIT, w)
                whole = round_through(w / unit).clamp(-WEIGHT_LIMIT, WEIGHT_LIMIT)
                share = _rows(gain, w) * self._factor[name]
                # a channel of no gain gets nothing, whatever its weights are
                found[name] = whole * unit / torch.where(share == 0, 1.0, share)
        return found

    def _run(self, stage: Stage, values: dict[str, Tensor], rounded: dict[str, Tensor]) -> Tensor:
        if isinstance(stage, Neurons | Potentials):
            return _integrated(stage, sum(values[name] for name in stage.inputs))  # type: ignore[arg-type]
        if isinstance(stage, Joined):
            first, second = (values[name] for name in stage.inputs)
            return first * second if stage.op == "and" else (1 - first) * second
        given = values[stage.input]  # type: ignore[union-attr]
        if isinstance(stage, Weighted):
            return _weighted(stage, _late(stage, given), rounded[stage.name])
        flat = given.flatten(0, 1)
        if isinstance(stage, Enlarged):
            flat = F.interpolate(flat, scale_factor=stage.factor, mode="nearest")
        elif isinstance(stage, Pooled):
            if stage.op == "or":
                flat = F.max_pool2d(flat, stage.size)
            else:
                flat = F.avg_pool2d(flat, stage.size)
                flat = flat * stage.size**2 if stage.op == "sum" else flat
        return flat.view(*given.shape[:2], *flat.shape[1:])


def _column(values: float | Floats) -> Tensor:
    return torch.from_numpy(np.atleast_1d(np.asarray(values, np.float32)))


def _rows(values: Tensor, like: Tensor) -> Tensor:
    """Return values by channel so that they meet the rows of a weight."""
    return values.view(-1, *[1] * (like.ndim - 1))


def _shifted(x: Tensor, steps: int) -> Tensor:
    if not steps:
        return x
    return torch.cat([torch.zeros_like(x[:steps]), x[:-steps]])[: len(x)]


def _late(stage: Weighted, x: Tensor) -> Tensor:
    """Return the input as late as it comes, and filtered."""
    if not isinstance(stage.delays, int):
        flat, delays = x.flatten(2), torch.from_numpy(np.asarray(stage.delays))
        x = sum(_shifted(flat, int(steps)) * (delays == steps) for steps in torch.unique(delays))
    elif stage.delays:
        x = _shifted(x, stage.delays)
    if stage.taps is None:
        return x
    unit = unit_of(stage.taps)
    whole = np.rint(stage.taps / unit) * unit
    return sum(_shifted(x, j) * float(tap) for j, tap in enumerate(whole))  # type: ignore[return-value]


def _weighted(stage: Weighted, x: Tensor, weight: Tensor) -> Tensor:
    bias = torch.from_numpy(stage.bias).float()
    if weight.ndim == 2:
        return F.linear(x.flatten(2), weight, bias)
    flat = F.conv2d(x.flatten(0, 1), weight, bias, stage.stride, stage.padding, 1, stage.groups)
    return flat.view(*x.shape[:2], *flat.shape[1:])


def _integrated(stage: Neurons | Potentials, sums: Tensor) -> Tensor:
    def wide(values: float | Floats) -> Tensor:
        column = _column(values)
        return column.view(-1, *[1] * (sums.ndim - 3))

    keep, gain, current = wide(stage.keep), wide(stage.gain), wide(stage.current)
    synapse = None if stage.synapse is None else wide(stage.synapse)
    v = i = torch.zeros_like(sums[0])
    found = []
    for x in sums:
        i = x if synapse is None else synapse * i + x
        v = keep * v + gain * i + current
        if isinstance(stage, Potentials):
            found.append(v)
            continue
        theta = wide(stage.threshold)
        if stage.most > 1:
            fits = v / theta
            fired = fits + (fits.floor() - fits).detach()
            fired = fired.clamp(0, stage.most)
        else:
            fired = spike(v / theta - 1 - (_TIE if stage.strict else 0.0))
        found.append(fired)
        taken = fired.detach()
        if stage.reset == "zero":
            v = v * (taken == 0)
        elif stage.reset == "subtract":
            v = v - taken * theta * wide(stage.drop)
    return torch.stack(found)
