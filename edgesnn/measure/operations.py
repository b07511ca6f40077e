"""How much work a program does per step: spikes and synaptic operations, counted, not estimated.

The definitions are NeuroBench's (Yik et al., Nature Communications 2025): an operation is one
activation meeting one weight in a connection layer. Dense counts every pair; effective only those
where neither is zero. They are accumulates (ACs) where the activations are 0 or 1, and
multiply-accumulates (MACs) where they are numbers. The zeros around a padded image do not count.

What is counted is the network as it is defined, weights on inputs (`W * s[t]`). The temporal
filters belong to the neurons, as their thresholds do, and are not synaptic operations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.hardware.reference import trace
from edgesnn.program import Layer, Node, Program, Tensor, initial_state


@dataclass(frozen=True, slots=True)
class LayerWork:
    """Means per step. kind: "ACs" or "MACs". rate: share of neurons that fire (0 for sums).

    spikes: of the layer's neurons, those that compare or integrate its sums among them; several of
    one neuron in a step are as many. neurons: how many there are.
    """

    name: str
    kind: str
    dense: float
    effective: float
    spikes: float
    rate: float
    neurons: int


def count_work(
    program: Program, inputs: Sequence[Tensor], begins: Sequence[bool] = ()
) -> tuple[list[LayerWork], dict[str, list[int]]]:
    """Run a program over inputs x, from the initial state.

    begins: for each input, whether it finds the network in its initial state again.

    Returns the work of each layer, and the spikes of each in every step.
    """
    layers = [node for node in program.nodes if isinstance(node, Layer)]
    fans = {layer.name: fan_out(program, layer) for layer in layers}
    effective = dict.fromkeys(fans, 0)
    neurons_of: dict[str, list[str]] = {name: [] for name in fans}
    for node in program.nodes:
        summed = _summed_by(program, node)
        if getattr(node, "threshold", None) is not None and summed in neurons_of:
            neurons_of[summed].append(node.name)
    over_time: dict[str, list[int]] = {name: [] for name, nodes in neurons_of.items() if nodes}
    fired = dict.fromkeys(fans, 0)
    state = initial_state(program)
    for at, x in enumerate(inputs):
        if at < len(begins) and begins[at]:
            state = initial_state(program)
        outputs, state = trace(program, x, state)
        for layer in layers:
            name = layer.name
            effective[name] += int(fans[name][outputs[layer.input] != 0].sum())
            if name in over_time:
                spikes = [outputs[node] for node in neurons_of[name]]
                over_time[name].append(sum(int(each.sum()) for each in spikes))
                fired[name] += sum(int(np.count_nonzero(each)) for each in spikes)
    works = []
    for layer in layers:
        name = layer.name
        neurons = sum(math.prod(program.values[node].shape) for node in neurons_of[name])
        spikes_of, steps = sum(over_time.get(name, [])), max(1, len(inputs))
        works.append(
            LayerWork(
                name=name,
                kind="ACs" if program.values[layer.input].spikes else "MACs",
                dense=float(fan_out(program, layer, dense=True).sum()),
                effective=effective[name] / steps,
                spikes=spikes_of / steps,
                rate=fired[name] / steps / max(1, neurons),
                neurons=neurons,
            )
        )
    return works, over_time


def neurobench(
    program: Program, layers: Sequence[LayerWork], over_time: dict[str, list[int]]
) -> dict[str, Any]:
    """Return what NeuroBench's metrics of these names would, by its definitions, means per step.

    layers, over_time: as `count_work` returns them. Footprint: bytes of weights, taps, thresholds
    and of the state. ConnectionSparsity: share of weights that are 0. ActivationSparsity: share of
    neurons' outputs that are 0.
    """
    names = dict.fromkeys(n.weight for n in program.nodes if isinstance(n, Layer))
    weights = [program.tensors[name] for name in names]
    zeros = sum(int(np.count_nonzero(weight == 0)) for weight in weights)
    spiking = [layer for layer in layers if layer.name in over_time]
    fired = sum(layer.rate * layer.neurons for layer in spiking)
    neurons = sum(layer.neurons for layer in spiking)
    operations = {
        f"Effective_{kind}": sum(layer.effective for layer in layers if layer.kind == kind)
        for kind in ("MACs", "ACs")
    }
    held = sum(port.nbytes for port in initial_state(program).values())
    return {
        "Footprint": sum(tensor.nbytes for tensor in program.tensors.values()) + held,
        "ConnectionSparsity": round(zeros / max(1, sum(weight.size for weight in weights)), 4),
        "ActivationSparsity": 1 - fired / neurons if neurons else 1.0,
        "SynapticOperations": {**operations, "Dense": sum(layer.dense for layer in layers)},
    }


def _summed_by(program: Program, node: Node) -> str:
    """Return the layer whose sums a node compares, the first of several that are added."""
    nodes = {one.name: one for one in program.nodes}
    while not isinstance(node, Layer):
        first = node.reads[0] if node.reads else "x"
        if first not in nodes:
            return first
        node = nodes[first]
    return node.name


def fan_out(program: Program, layer: Layer, *, dense: bool = False) -> NDArray[np.int64]:
    """Return with how many weights (that are not zero, unless dense) each input of a layer meets.

    int64, of the shape of the layer's input. A synapse with a delay counts when its input fires.
    """
    weight, shape = program.tensors[layer.weight], program.values[layer.input].shape
    uses = np.ones(weight.shape, np.int64) if dense else (weight != 0).astype(np.int64)
    filters = program.taps_of(layer).shape[0]
    if layer.op == "linear":
        return np.asarray(uses.sum(axis=0).reshape(filters, *shape).sum(axis=0))
    _, per_group, kernel_height, kernel_width = weight.shape
    # Channel c of group g meets the weights [outputs of g, c]: how many for each kernel position.
    by_group = uses.reshape(layer.groups, -1, per_group, kernel_height, kernel_width)
    meets = by_group.sum(axis=1).reshape(filters, shape[0], kernel_height, kernel_width).sum(axis=0)
    _, out_height, out_width = program.values[layer.name].shape
    margin, stride = layer.padding, layer.stride
    found = np.zeros((shape[0], shape[1] + 2 * margin, shape[2] + 2 * margin), np.int64)
    for dy in range(kernel_height):
        for dx in range(kernel_width):
            rows = slice(dy, dy + stride * out_height, stride)
            columns = slice(dx, dx + stride * out_width, stride)
            found[:, rows, columns] += meets[:, dy, dx, None, None]
    return found[:, margin : margin + shape[1], margin : margin + shape[2]]
