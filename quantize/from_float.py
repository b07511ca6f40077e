"""A float network into an integer program, without retraining, and what that cost.

Weights become int8 with one unit s per output channel, s = max |w| / 127, and the neuron's gain and
the factor of a mean before it go into them. Thresholds and currents are counted in s / 2**bits,
with as many bits as int32 holds, 8 at most; leaks in 4096ths. Spikes stay 0 and 1.

Where one large weight makes the unit of its channel too coarse for the others, `wide` gives weights
14 bits: w = 100 a + b in two layers of int8, the first behind a tap of 100.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import BundleError, InputError
from edgesnn.program import (
    Integrate,
    Integrator,
    Node,
    Pool,
    Previous,
    Program,
    Tensor,
    Upsample,
    Value,
)
from edgesnn.program.check import values_of
from edgesnn.program.kinds.integrate import KEEP_UNIT, LIMIT

from .conversion import Converted, LayerReport, told_map, told_maps, told_range
from .float_net import FloatNet
from .float_stages import (
    Before,
    Enlarged,
    Floats,
    Joined,
    Neurons,
    Pooled,
    Potentials,
    Weighted,
)
from .int_layers import WEIGHT_LIMIT, WIDE, LayerWriter, unit_of

_MOST_BITS = 8
_NOTHING, _FINEST = 2.0**26, 2.0**18
"""From how many units on a threshold, current or bias is so large that the weights are nothing
beside it; and how many it is then."""
_LEAST_UNIT = 1e-30
_FLOAT32 = 1e-7
"""Differences of leaks that float32 has already."""


def converted(
    net: FloatNet, *, name: str, step_us: int, highest: int, wide: bool = False
) -> Converted:
    """Return the integer program of a float network; x holds counts up to `highest`.

    wide: weights of 14 bits instead of 8. Raises InputError that names a stage which cannot be
    carried over.
    """
    return _Converter(net, name, step_us, highest, wide).made()


class _Converter:
    def __init__(self, net: FloatNet, name: str, step_us: int, highest: int, wide: bool) -> None:
        self._net, self._name, self._step_us, self._highest = net, name, step_us, highest
        self._most = WIDE * WEIGHT_LIMIT if wide else WEIGHT_LIMIT
        self._nodes: list[Node] = []
        self._tensors: dict[str, Tensor] = {}
        self._layer_writer = LayerWriter(self._nodes, self._tensors, self._most)
        self._factor: dict[str, float] = {"x": 1.0}
        self._weighted = {s.name: s for s in net.stages if isinstance(s, Weighted)}
        self._layers: list[LayerReport] = []
        self._notes = list(net.approximations)

    def made(self) -> Converted:
        shapes = self._net.shapes()
        for stage in self._net.stages:
            if isinstance(stage, Pooled):
                self._pool(stage, shapes[stage.input])
            elif isinstance(stage, Before):
                self._nodes.append(
                    Previous(stage.name, stage.later, stage.shape, self._most_of(stage.later))
                )
            elif isinstance(stage, Enlarged):
                self._nodes.append(Upsample(stage.name, stage.input, stage.factor))
                self._factor[stage.name] = self._factor.get(stage.input, 1.0)
                self._layers.append(LayerReport(stage.name, f"up {stage.factor} x", "Upsample"))
            elif isinstance(stage, Joined):
                self._layer_writer.joined(stage, shapes[stage.name])
                self._layers.append(LayerReport(stage.name, f"spikes, {stage.op}", "Add, Layers"))
            elif isinstance(stage, Neurons | Potentials):
                self._neurons(stage)
        last = self._net.stages[-1]
        if isinstance(last, Weighted):
            self._output(last)
        return Converted(self._program(), tuple(self._layers), tuple(self._notes))

    def _most_of(self, name: str) -> int:
        """Return how many spikes neurons give in a step."""
        return max(s.most for s in self._net.stages if isinstance(s, Neurons) and s.name == name)

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

    def _largest(self, name: str) -> int:
        """Return the bound of a node's |values|, of the program as far as it is."""
        x = Value(self._net.shape, 0, self._highest, "uint8")
        try:
            return values_of(self._nodes, self._tensors, x)[name].largest
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

    def _neurons(self, stage: Neurons | Potentials) -> None:
        parts = [self._weighted[name] for name in stage.inputs]
        real = [
            part.weight * _by_row(stage.gain, part.weight) * self._factor.get(part.input, 1.0)
            for part in parts
        ]
        peak = np.max([np.abs(w).reshape(len(w), -1).max(1) for w in real], axis=0)
        if isinstance(stage, Potentials):  # which are compared with each other: one unit
            peak = np.full(len(peak), peak.max())
        unit = peak / self._most
        if parts[0].taps is not None:  # whole too, and their unit is part of the sums' unit
            unit = unit * unit_of(parts[0].taps)
            real = [weight * unit_of(parts[0].taps) for weight in real]
        bias = stage.gain * np.sum([part.bias for part in parts], axis=0)
        # Channels whose weights are nothing beside their threshold and bias have its unit.
        top = self._top(stage, bias)
        unit = np.where(unit * _NOTHING < top, top / _FINEST, unit)
        unit = np.where(unit > _LEAST_UNIT, unit, 1.0)
        sums, errors = self._layer_writer.summed(stage.name, parts, real, unit)
        synapse = None if stage.synapse is None else self._leak(stage.name, stage.synapse)
        bits = self._bits(sums, stage, unit, bias, synapse)
        scale = 2.0**bits / unit
        own, finer = sums, bits
        if synapse is not None:
            own, finer = f"synapse_{stage.name}", 0
            current = self._currents(own, bias * scale)
            self._nodes.append(
                Integrator(own, sums, current, bits=bits, **self._leaking(own, synapse))
            )
            bias = np.zeros_like(bias)
        current = self._currents(stage.name, (bias + stage.current) * scale)
        keep = self._leak(stage.name, stage.keep)
        leak = self._leaking(stage.name, keep)
        if isinstance(stage, Neurons):
            if stage.threshold.min() <= 0:
                least = stage.threshold.min()
                raise InputError(f"{stage.name}: a threshold of {least:g}; above 0 is carried over")
            theta = stage.threshold * scale
            whole = np.floor(theta) + 1 if stage.strict else np.ceil(theta - 1e-6)
            name = f"theta_{stage.name}"
            self._tensors[name] = np.clip(whole, 1, LIMIT - 1).astype(np.int32)
            drop = None
            if stage.reset == "subtract" and (np.any(stage.drop != 1.0) or stage.strict):
                drop = f"drop_{stage.name}"
                taken = np.rint(theta * stage.drop)
                self._tensors[drop] = np.clip(taken, 1, LIMIT).astype(np.int32)
            how = {"bits": finer, "reset": stage.reset, "drop": drop, "most": stage.most, **leak}
            self._nodes.append(Integrate(stage.name, own, name, current, **how))
        else:
            self._nodes.append(Integrator(stage.name, own, current, bits=finer, **leak))
        told = "" if synapse is None else f", its current keeps {told_range(synapse)} / {KEEP_UNIT}"
        kept = "" if keep.min() == KEEP_UNIT else f", keeps {told_range(keep)} / {KEEP_UNIT}"
        reset = f", reset {stage.reset}" if isinstance(stage, Neurons) else ""
        if isinstance(stage, Neurons) and stage.most > 1:
            reset += f", up to {stage.most} spikes a step"
            self._notes.append(f"{stage.name}: a step's spikes beyond {stage.most} are left out")
        if isinstance(stage, Neurons) and np.any(stage.drop != 1.0):
            reset += f" {told_range(np.atleast_1d(stage.drop))} thresholds (late)"
        self._layers.append(
            LayerReport(
                stage.name,
                f"{told_maps(parts)}, {'neurons' if isinstance(stage, Neurons) else 'potentials'}",
                f"{'int8' if self._most == WEIGHT_LIMIT else '14 bits'}, {bits} bits finer{reset}"
                f"{kept}{told}",
                worst_bound=self._largest(sums),
                weight_error=float(np.mean(errors)),
            )
        )

    @staticmethod
    def _top(stage: Neurons | Potentials, bias: Floats) -> Floats:
        """Return the largest of what each channel's sums meet: thresholds, currents, biases."""
        top = np.abs(bias) + np.abs(stage.current)
        if isinstance(stage, Neurons):
            top = np.maximum(top, stage.threshold * np.maximum(1.0, stage.drop))
        if isinstance(stage, Potentials):
            top = np.full(np.shape(top), np.max(top))
        return np.asarray(top, np.float64)

    def _currents(self, name: str, values: Floats) -> str:
        self._tensors[f"current_{name}"] = np.rint(values).astype(np.int32)
        return f"current_{name}"

    def _leak(self, name: str, real: float | Floats) -> NDArray[np.int32]:
        """Return leaks in 4096ths, one or by channel, and note what that costs."""
        exact = np.atleast_1d(real)
        keep: NDArray[np.int32] = np.rint(exact * KEEP_UNIT).astype(np.int32)
        off = float(np.abs(keep / KEEP_UNIT - exact).max())
        if off > _FLOAT32:
            self._notes.append(
                f"{name}: a leak of {told_range(exact, '.6f')} a step became {told_range(keep)} / "
                f"{KEEP_UNIT} (off by {off:.1e})"
            )
        return keep

    def _leaking(self, name: str, keep: NDArray[np.int32]) -> dict[str, Any]:
        """Return the fields of a node that keeps so much, the same for all or by channel."""
        if (keep == keep[0]).all():
            return {"keep": int(keep[0])}
        self._tensors[f"leak_{name}"] = keep
        return {"leak": f"leak_{name}"}

    def _bits(
        self,
        sums: str,
        stage: Neurons | Potentials,
        unit: Floats,
        bias: Floats,
        synapse: NDArray[np.int32] | None,
    ) -> int:
        """Return how many bits below the unit thresholds, currents and potentials may have."""
        largest = self._largest(sums)
        gathered = 1.0
        if synapse is not None:  # a current that leaks gathers so many steps' inputs
            gathered = KEEP_UNIT / max(1, KEEP_UNIT - int(synapse.max()))
        own = float(np.abs((bias + stage.current) / unit).max())
        if isinstance(stage, Neurons):
            own = max(own, float((stage.threshold * np.maximum(1.0, stage.drop) / unit).max()))
        for bits in range(_MOST_BITS, -1, -1):
            if (largest + math.ceil(own)) * gathered * 2**bits < LIMIT // 2:
                return bits
        raise InputError(f"{stage.name}: sums up to {largest} and {own:.3g} do not fit int32")

    def _output(self, part: Weighted) -> None:
        if part.bias.any():
            raise InputError(
                f"{part.name}: an output without neurons must have no bias: end with neurons, or "
                "train the last layer without one"
            )
        weight = part.weight * self._factor.get(part.input, 1.0)
        unit = np.full(len(weight), max(float(np.abs(weight).max()), 1e-12) / self._most)
        name, errors = self._layer_writer.summed(f"end_{part.name}", [part], [weight], unit)
        self._layers.append(
            LayerReport(
                part.name,
                f"{told_map(part)}, output",
                "int8, one unit for all",
                worst_bound=self._largest(name),
                weight_error=errors[0],
            )
        )


def _by_row(values: float | Floats, weight: Floats) -> float | Floats:
    """Return values so that they meet the outputs of a weight."""
    return values if isinstance(values, float) else values.reshape(-1, *[1] * (weight.ndim - 1))
