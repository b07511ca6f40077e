"""A trained spiking network in floats: what importers read into.

`run` is its meaning, in float64, step by step: what an integer program is compared with.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError

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

State = dict[str, Floats]
_OURS = re.compile("^(synapse|sum|end|theta|current|drop|leak|taps|delays|w)_|_(coarse|a|b)$")
"""Names that a conversion gives to nodes and tensors of its own."""
_TIE = 1e-12
"""A potential of so many thresholds, and a little less by rounding, is as many spikes."""


@dataclass(frozen=True, slots=True, eq=False)
class FloatNet:
    """stages: in order, each reads "x" or earlier ones; the last one is the output.

    shape: of x. about: where it comes from. approximations: what was not carried over exactly.
    """

    shape: tuple[int, int, int]
    stages: tuple[Stage, ...]
    about: str
    approximations: tuple[str, ...] = ()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of x and of each stage's output; raises InputError that names one."""
        found: dict[str, tuple[int, ...]] = {"x": self.shape}
        for stage in self.stages:
            found[stage.name] = _shape(stage, found)
        return found

    def run(self, xs: NDArray[Any]) -> dict[str, Floats]:
        """Take xs (T, *shape); return every stage's output over time, (T, ...)."""
        xs, state = np.asarray(xs, np.float64), State()
        loops = [stage for stage in self.stages if isinstance(stage, Before)]
        if not loops:
            return self._stretch(xs, state)
        steps = []
        for x in xs:
            values = self._stretch(x[None], state)
            for loop in loops:
                state[loop.name] = values[loop.later].reshape(loop.shape)
            steps.append(values)
        return {name: np.concatenate([step[name] for step in steps]) for name in steps[0]}

    def _stretch(self, xs: Floats, state: State) -> dict[str, Floats]:
        values: dict[str, Floats] = {"x": xs}
        for stage in self.stages:
            values[stage.name] = _run(stage, values, state)
        return values


def shape_before(shape: tuple[int, ...], stages: Iterable[Stage], later: str) -> tuple[int, ...]:
    """Return the shape of a stage that closes a loop, () where the loop alone tells it.

    shape: of x. What reads a `Before` of no shape is passed over: neurons are told by any input.
    """
    known: dict[str, tuple[int, ...]] = {"x": shape}
    for stage in stages:
        if isinstance(stage, Before) and not stage.shape:
            continue
        if isinstance(stage, Neurons | Potentials):
            inputs = tuple(name for name in stage.inputs if name in known)
            if not inputs:
                continue
            stage = replace(stage, inputs=inputs)
        if all(name in known for name in reads(stage)):
            known[stage.name] = _shape(stage, known)
    return known.get(later, ())


def _shape(stage: Stage, known: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    if isinstance(stage, Before):
        return stage.shape
    if isinstance(stage, Neurons | Potentials):
        shapes = {known[name] for name in stage.inputs}
        if len(shapes) != 1:
            raise InputError(f"{stage.name}: adds {sorted(shapes)}, which are not alike")
        (shape,) = shapes
        if isinstance(stage, Neurons) and len(stage.threshold) != shape[0]:
            raise InputError(f"{stage.name}: {len(stage.threshold)} thresholds for {shape[0]}")
        return shape
    if isinstance(stage, Joined):
        first, second = (known[name] for name in stage.inputs)
        if first != second:
            raise InputError(f"{stage.name}: joins {first} and {second}, which are not alike")
        return first
    given = known[stage.input]
    if isinstance(stage, Pooled | Enlarged):
        if len(given) != 3:
            raise InputError(f"{stage.name}: reads {given}, wanted (channels, height, width)")
        if isinstance(stage, Enlarged):
            return given[0], given[1] * stage.factor, given[2] * stage.factor
        return given[0], given[1] // stage.size, given[2] // stage.size
    out = stage.weight.shape[0]
    if stage.weight.ndim == 2:
        if stage.weight.shape[1] != int(np.prod(given)):
            raise InputError(f"{stage.name}: takes {stage.weight.shape[1]} inputs, gets {given}")
        return (out,)
    if len(given) != 3 or stage.weight.shape[1] * stage.groups != given[0]:
        raise InputError(f"{stage.name}: a kernel of {stage.weight.shape} on {given}")
    height, width = (
        (side + 2 * stage.padding - kernel) // stage.stride + 1
        for side, kernel in zip(given[1:], stage.weight.shape[2:], strict=True)
    )
    if min(height, width) < 1:
        raise InputError(f"{stage.name}: nothing is left of {given}")
    return out, height, width


def _run(stage: Stage, values: Mapping[str, Floats], state: State) -> Floats:
    if isinstance(stage, Before):
        return state.get(stage.name, np.zeros(stage.shape))[None]
    if isinstance(stage, Neurons | Potentials):
        total = values[stage.inputs[0]]
        for name in stage.inputs[1:]:
            total = total + values[name]
        return _integrated(stage, total, state)
    if isinstance(stage, Joined):
        first, second = (values[name] for name in stage.inputs)
        return first * second if stage.op == "and" else (1 - first) * second
    given = values[stage.input]
    if isinstance(stage, Enlarged):
        return given.repeat(stage.factor, axis=2).repeat(stage.factor, axis=3)
    if isinstance(stage, Pooled):
        size, (steps, channels, height, width) = stage.size, given.shape
        cut = given[:, :, : height // size * size, : width // size * size]
        windows = cut.reshape(steps, channels, height // size, size, width // size, size)
        if stage.op == "or":
            return np.asarray(windows.max((3, 5)))
        return np.asarray(windows.sum((3, 5)) if stage.op == "sum" else windows.mean((3, 5)))
    given = _filtered(stage, _delayed(stage, given, state), state)
    if stage.weight.ndim == 2:
        linear: Floats = given.reshape(len(given), -1) @ stage.weight.T + stage.bias
        return linear
    return _convolved(stage, given)


def _convolved(stage: Weighted, x: Floats) -> Floats:
    edge, stride, groups = stage.padding, stage.stride, stage.groups
    x = np.pad(x, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    out, _, kh, kw = stage.weight.shape
    height, width = (x.shape[2] - kh) // stride + 1, (x.shape[3] - kw) // stride + 1
    rows = stage.weight.reshape(groups, out // groups, -1, kh, kw)
    cells = x.reshape(len(x), groups, -1, *x.shape[2:])
    sums = np.zeros((len(x), groups, out // groups, height, width))
    for dy in range(kh):
        for dx in range(kw):
            seen = cells[..., dy::stride, dx::stride][..., :height, :width]
            sums += np.einsum("goc,tgcyx->tgoyx", rows[..., dy, dx], seen, optimize=True)
    return sums.reshape(len(x), out, height, width) + stage.bias[:, None, None]


def _delayed(stage: Weighted, x: Floats, state: State) -> Floats:
    """Return the input as it was `delays` steps ago, nothing before the first."""
    most = int(np.max(stage.delays))
    if not most:
        return x
    name = f"late {stage.name}"
    past = state.get(name, np.zeros((most, *x.shape[1:])))
    whole = np.concatenate([past, x])
    state[name] = whole[len(whole) - most :]
    if isinstance(stage.delays, int):
        return whole[: len(x)]
    flat = whole.reshape(len(whole), -1)
    at = np.arange(len(x))[:, None] + most - stage.delays[None]
    return np.take_along_axis(flat, at, axis=0)


def _filtered(stage: Weighted, x: Floats, state: State) -> Floats:
    """Return sum_j taps[j] x[t - j]."""
    if stage.taps is None:
        return x
    name, most = f"past {stage.name}", len(stage.taps) - 1
    whole = np.concatenate([state.get(name, np.zeros((most, *x.shape[1:]))), x])
    state[name] = whole[len(whole) - most :]
    total = np.zeros_like(x)
    for j, tap in enumerate(stage.taps):
        total += tap * whole[most - j : most - j + len(x)]
    return total


def _integrated(stage: Neurons | Potentials, sums: Floats, state: State) -> Floats:
    """Return the spikes of neurons, or the potentials; what is left of them goes into the state."""

    def wide(values: float | Floats) -> Floats:
        return np.reshape(values, (-1, *[1] * (sums.ndim - 2))).astype(np.float64)

    theta, drop = np.zeros(0), np.zeros(0)
    if isinstance(stage, Neurons):
        theta = wide(stage.threshold)
        drop = wide(stage.drop) * theta
    keep, gain, current = wide(stage.keep), wide(stage.gain), wide(stage.current)
    synapse = None if stage.synapse is None else wide(stage.synapse)
    v = state.get(stage.name, np.zeros(sums.shape[1:]))
    i = state.get(f"synapse {stage.name}", np.zeros(sums.shape[1:]))
    found = np.zeros_like(sums)
    for t, x in enumerate(sums):
        i = x if synapse is None else synapse * i + x
        v = keep * v + gain * i + current
        if not isinstance(stage, Neurons):
            found[t] = v
            continue
        if stage.most > 1:
            fired = np.clip(np.floor(v / theta + _TIE), 0, stage.most)
        else:
            fired = (v > theta if stage.strict else v >= theta).astype(np.float64)
        found[t] = fired
        if stage.reset == "zero":
            v = np.where(fired > 0, 0.0, v)
        elif stage.reset == "subtract":
            v = v - fired * drop
    state[stage.name], state[f"synapse {stage.name}"] = v, i
    return found


def stage_name(wanted: str, taken: Container[str]) -> str:
    """Return a new name that stages and nodes may have, as near as can be to what is wanted."""
    name = re.sub(r"\W", "_", wanted, flags=re.ASCII)
    if not name.isidentifier() or name == "x" or _OURS.search(name):
        name = f"n_{name}"
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found


def reads(stage: Stage) -> tuple[str, ...]:
    """Return what a stage reads in the same step."""
    if isinstance(stage, Neurons | Potentials | Joined):
        return stage.inputs
    return () if isinstance(stage, Before) else (stage.input,)


def needed(stages: Iterable[Stage], *ends: str) -> list[Stage]:
    """Return the stages that lead to `ends`, in their order; loops lead to what closes them."""
    known = {stage.name: stage for stage in stages}
    found, left = set(ends), list(ends)
    while left:
        stage = known[left.pop()]
        names = (stage.later,) if isinstance(stage, Before) else reads(stage)
        new = {name for name in names if name != "x"} - found
        found |= new
        left += sorted(new)
    return [stage for name, stage in known.items() if name in found]


def of_pixels(stage: Stage) -> Stage:
    """Return a stage whose reading of n pixels reads (2, h, w) of them: OFF counts nothing."""
    if getattr(stage, "input", "") != "x":
        return stage
    if not isinstance(stage, Weighted) or stage.groups > 1:
        raise InputError(f"{stage.name}: ON events alone are read by linear maps and convolutions")
    weight = np.concatenate([np.zeros_like(stage.weight), stage.weight], axis=1)
    delays = stage.delays
    if not isinstance(delays, int):
        delays = np.concatenate([delays, delays])
    return replace(stage, weight=weight, delays=delays)
