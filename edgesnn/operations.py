"""How much work a program does per step: spikes and synaptic operations, counted, not estimated.

The definitions are NeuroBench's (Yik et al., Nature Communications 2025): an operation is one
activation meeting one weight in a connection layer. Dense counts every pair; effective only those
where neither is zero. They are accumulates (ACs) where the activations are 0 or 1, and
multiply-accumulates (MACs) where they are numbers. The zeros around a padded image do not count.

What is counted is the network as it is defined, weights on inputs (`W * s[t]`). The temporal
filters belong to the neurons, as their thresholds do, and are not synaptic operations.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesnn.program import Layer, Program, Tensor, initial_state


@dataclass(frozen=True, slots=True)
class LayerWork:
    """Means per step. kind: "ACs" or "MACs". rate: share of neurons that fire (0 for sums)."""

    name: str
    kind: str
    dense: float
    effective: float
    spikes: float
    rate: float


def count_work(program: Program, inputs: Sequence[Tensor]) -> list[LayerWork]:
    """Run a program over inputs x, from the initial state; return the work of each layer."""
    trace = importlib.import_module("edgesnn.hardware.reference").trace
    layers = [node for node in program.nodes if isinstance(node, Layer)]
    effective = dict.fromkeys((layer.name for layer in layers), 0)
    spikes = dict.fromkeys(effective, 0)
    state = initial_state(program)
    for x in inputs:
        outputs, state = trace(program, x, state)
        for layer in layers:
            given = x if layer.input == "x" else outputs[layer.input]
            effective[layer.name] += operations(program, layer, given != 0, dense=False)
            if program.values[layer.name].spikes:
                spikes[layer.name] += int(np.count_nonzero(outputs[layer.name]))
    return [_mean(program, layer, effective, spikes, max(1, len(inputs))) for layer in layers]


def _mean(
    program: Program, layer: Layer, effective: dict[str, int], spikes: dict[str, int], steps: int
) -> LayerWork:
    source, value = program.values[layer.input], program.values[layer.name]
    everything = np.ones(source.shape, np.bool_)
    fired = spikes[layer.name] / steps
    return LayerWork(
        name=layer.name,
        kind="ACs" if source.spikes else "MACs",
        dense=float(operations(program, layer, everything, dense=True)),
        effective=effective[layer.name] / steps,
        spikes=fired,
        rate=fired / float(np.prod(value.shape)),
    )


def operations(program: Program, layer: Layer, active: NDArray[np.bool_], *, dense: bool) -> int:
    """Count the pairs of an active input and a weight (a weight that is not zero, unless dense).

    active: bool, of the shape of the layer's input.
    """
    weight = program.tensors[layer.weight]
    uses = np.ones(weight.shape, np.int64) if dense else (weight != 0).astype(np.int64)
    filters = program.taps_of(layer).shape[0]
    if layer.op == "linear":
        seen = np.tile(active.reshape(-1), filters)
        return int(uses.sum(axis=0) @ seen)
    _, per_group, kernel_height, kernel_width = weight.shape
    # Channel c of group g meets the weights [outputs of g, c]: how many for each kernel position.
    by_group = uses.reshape(layer.groups, -1, per_group, kernel_height, kernel_width)
    meets = by_group.sum(axis=1).reshape(-1, kernel_height, kernel_width)
    seen = np.tile(active, (filters, 1, 1))
    return int((meets * _visits(seen, layer, (kernel_height, kernel_width))).sum())


def _visits(seen: NDArray[np.bool_], layer: Layer, kernel: tuple[int, int]) -> NDArray[np.int64]:
    """Count for each channel and kernel position how many active inputs come to lie under it."""
    margin = layer.padding
    padded = np.pad(seen, ((0, 0), (margin, margin), (margin, margin)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(1, 2))
    placed = windows[:, :: layer.stride, :: layer.stride]
    return np.asarray(placed.sum(axis=(1, 2), dtype=np.int64))
