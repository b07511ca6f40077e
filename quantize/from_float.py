"""A float network into an integer program, without retraining, and what that cost.

Weights become int8 with one unit s per output channel, s = max |w| / 127, and the neuron's gain and
the factor of a mean before it go into them. Thresholds and currents are counted in s / 2**bits,
with as many bits as int32 holds, 8 at most; leaks in 4096ths. Spikes stay 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import BundleError, InputError
from edgesnn.hardware.reference import trace
from edgesnn.program import Add, Integrate, Layer, Node, Pool, Program, Tensor, initial_state
from edgesnn.program.kinds.integrate import KEEP_UNIT, LIMIT

from .float_net import FloatNet, Floats, Neurons, Pooled, Weighted

_MOST_BITS = 8
_FLOAT32 = 1e-7
"""Differences of leaks that float32 has already."""


@dataclass(frozen=True, slots=True)
class LayerReport:
    """What a stage became. worst_bound: largest |H| that any input could reach. weight_error: mean
    |w - its integer| over mean |w|. agreement: share of spikes that are those of the float network,
    None where nothing was compared. rate: spikes per neuron and step of the float network.
    """

    name: str
    was: str
    became: str
    worst_bound: int | None = None
    weight_error: float | None = None
    agreement: float | None = None
    rate: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Converted:
    """layers: what each stage became. approximations: what is not exact, with its size."""

    program: Program
    layers: tuple[LayerReport, ...]
    approximations: tuple[str, ...]


def converted(net: FloatNet, *, name: str, step_us: int, highest: int) -> Converted:
    """Return the integer program of a float network; x holds counts up to `highest`.

    Raises InputError that names a stage which cannot be carried over.
    """
    return _Converter(net, name, step_us, highest).made()


class _Converter:
    def __init__(self, net: FloatNet, name: str, step_us: int, highest: int) -> None:
        self._net, self._name, self._step_us, self._highest = net, name, step_us, highest
        self._nodes: list[Node] = []
        self._tensors: dict[str, Tensor] = {}
        self._factor: dict[str, float] = {"x": 1.0}
        self._weighted = {s.name: s for s in net.stages if isinstance(s, Weighted)}
        self._layers: list[LayerReport] = []
        self._notes = list(net.approximations)

    def made(self) -> Converted:
        shapes = self._net.shapes()
        for stage in self._net.stages:
            if isinstance(stage, Pooled):
                self._pool(stage, shapes[stage.input])
            elif isinstance(stage, Neurons):
                self._neurons(stage)
        last = self._net.stages[-1]
        if isinstance(last, Weighted):
            self._output(last)
        return Converted(self._program(), tuple(self._layers), tuple(self._notes))

    def _program(self) -> Program:
        try:
            return Program(
                name=self._name,
                step_us=self._step_us,
                input_shape=self._net.shape,
                input_high=self._highest,
                nodes=tuple(self._nodes),
                output=self._nodes[-1].name,
                tensors=dict(self._tensors),
            )
        except BundleError as error:
            raise InputError(f"{self._net.about}: {error}") from error

    def _pool(self, stage: Pooled, given: tuple[int, ...]) -> None:
        if given[1] % stage.size or given[2] % stage.size:
            raise InputError(
                f"{stage.name}: windows of {stage.size} do not divide {given[1]} x {given[2]}; the "
                "rest would be dropped, which is not carried over"
            )
        self._nodes.append(
            Pool(stage.name, stage.input, stage.size, "or" if stage.op == "or" else "sum")
        )
        share = 1 / stage.size**2 if stage.op == "mean" else 1.0
        self._factor[stage.name] = self._factor.get(stage.input, 1.0) * share
        folded = ", its factor in the next weights" if stage.op == "mean" else ""
        self._layers.append(LayerReport(stage.name, f"pool, {stage.op}", f"Pool{folded}"))

    def _neurons(self, stage: Neurons) -> None:
        parts = [self._weighted[name] for name in stage.inputs]
        real = [part.weight * (stage.gain * self._factor.get(part.input, 1.0)) for part in parts]
        unit = np.max([np.abs(w).reshape(len(w), -1).max(1) for w in real], axis=0) / 127
        unit = np.where(unit > 0, unit, 1.0)
        errors = []
        for part, weight in zip(parts, real, strict=True):
            errors.append(self._layer(part, weight, unit))
        sums = parts[0].name
        if len(parts) > 1:
            sums = f"sum_{stage.name}"
            self._nodes.append(Add(sums, tuple(part.name for part in parts)))
        current = stage.current + stage.gain * np.sum([part.bias for part in parts], axis=0)
        bits = self._bits(sums, stage, unit, current)
        scale = 2.0**bits / unit
        theta = stage.threshold * scale
        whole = np.floor(theta) + 1 if stage.strict else np.ceil(theta - 1e-6)
        self._tensors[f"theta_{stage.name}"] = np.clip(whole, 1, LIMIT - 1).astype(np.int32)
        currents = np.rint(np.broadcast_to(current * scale, unit.shape))
        self._tensors[f"current_{stage.name}"] = currents.astype(np.int32)
        keep = round(stage.keep * KEEP_UNIT)
        off = abs(keep / KEEP_UNIT - stage.keep)
        if off > _FLOAT32:
            self._notes.append(
                f"{stage.name}: a leak of {stage.keep:.6f} a step became {keep} / {KEEP_UNIT} (off "
                f"by {off:.1e})"
            )
        self._nodes.append(
            Integrate(
                stage.name,
                sums,
                f"theta_{stage.name}",
                f"current_{stage.name}",
                keep=keep,
                bits=bits,
                reset=stage.reset,
            )
        )
        leak = "" if keep == KEEP_UNIT else f", keeps {keep} / {KEEP_UNIT}"
        self._layers.append(
            LayerReport(
                stage.name,
                f"{' + '.join(_told(part) for part in parts)}, neurons",
                f"int8, {bits} bits finer, reset {stage.reset}{leak}",
                worst_bound=self._program().values[sums].largest,
                weight_error=float(np.mean(errors)),
            )
        )

    def _bits(self, sums: str, stage: Neurons, unit: Floats, current: Floats) -> int:
        """Return how many bits below the unit thresholds, currents and potentials may have."""
        largest = self._program().values[sums].largest
        own = max(float(np.abs(current / unit).max()), float((stage.threshold / unit).max()))
        for bits in range(_MOST_BITS, -1, -1):
            if (largest + math.ceil(own)) * 2**bits < LIMIT // 2:
                return bits
        raise InputError(f"{stage.name}: sums up to {largest} and {own:.3g} do not fit int32")

    def _layer(self, part: Weighted, weight: Floats, unit: Floats) -> float:
        by = unit.reshape(-1, *[1] * (weight.ndim - 1))
        whole = np.clip(np.rint(weight / by), -127, 127)
        self._tensors[f"w_{part.name}"] = whole.astype(np.int8)
        self._nodes.append(
            Layer(
                part.name,
                part.input,
                f"w_{part.name}",
                op="conv" if weight.ndim == 4 else "linear",
                stride=part.stride,
                padding=part.padding,
                groups=part.groups,
            )
        )
        return float(np.abs(whole * by - weight).mean() / max(np.abs(weight).mean(), 1e-12))

    def _output(self, part: Weighted) -> None:
        if part.bias.any():
            raise InputError(
                f"{part.name}: an output without neurons must have no bias: end with neurons, or "
                "train the last layer without one"
            )
        weight = part.weight * self._factor.get(part.input, 1.0)
        unit = np.full(len(weight), max(float(np.abs(weight).max()), 1e-12) / 127)
        error = self._layer(part, weight, unit)
        self._layers.append(
            LayerReport(
                part.name,
                f"{_told(part)}, output",
                "int8, one unit for all",
                worst_bound=self._program().values[part.name].largest,
                weight_error=error,
            )
        )


def _told(part: Weighted) -> str:
    if part.weight.ndim == 2:
        return f"linear {part.weight.shape[1]} to {part.weight.shape[0]}"
    out, _, kh, kw = part.weight.shape
    return f"conv {kh}x{kw} to {out}" + (f", stride {part.stride}" if part.stride > 1 else "")


def compared(net: FloatNet, made: Converted, clips: list[NDArray[np.uint8]]) -> Converted:
    """Return a conversion with the agreement of every layer's spikes on clips (T, *shape)."""
    names = [stage.name for stage in net.stages if isinstance(stage, Neurons)]
    same: Mapping[str, list[float]] = {name: [] for name in names}
    rates: Mapping[str, list[float]] = {name: [] for name in names}
    for xs in clips:
        wanted, state = net.run(xs), initial_state(made.program)
        found: dict[str, list[Any]] = {name: [] for name in names}
        for x in xs:
            outputs, state = trace(made.program, x, state)
            for name in names:
                found[name].append(outputs[name])
        for name in names:
            same[name].append(float((np.stack(found[name]) == wanted[name]).mean()))
            rates[name].append(float(wanted[name].mean()))
    layers = tuple(
        replace(
            layer,
            agreement=float(np.mean(same[layer.name])),
            rate=float(np.mean(rates[layer.name])),
        )
        if same.get(layer.name)
        else layer
        for layer in made.layers
    )
    return replace(made, layers=layers)
