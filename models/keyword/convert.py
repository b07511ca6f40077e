"""From the trained keyword network to an exact integer program: delays rounded, nothing else."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edgesnn.program import LEAK_UNIT, Integrate, Layer, Leaky, Node, Program, Tensor
from edgesnn.program.kinds.integrate import KEEP_UNIT
from edgesnn.quantize.integers import check_exact, integers

if TYPE_CHECKING:
    from ..layers.delays import DelayedWeight, DelayLayer
    from .net import KeywordNet


def keyword_program(net: KeywordNet, *, step_us: int, input_high: int) -> Program:
    """Return the integer program of a trained network; input (2, 1, bands).

    step_us, input_high: of the encoder the network was trained behind. Raises BundleError for sums
    that float32 training did not hold exactly.
    """
    tensors: dict[str, Tensor] = {}
    nodes: list[Node] = []
    source = "x"
    for name, module in net.layers.items():
        nodes += _neurons(tensors, name, source, module)  # type: ignore[arg-type]
        source = name
    weight, delays = _synapses(tensors, "scores", net.scores)
    nodes.append(Layer("scores", source, weight, op="linear", delays=delays))
    program = Program(
        name="keyword_portable" if net.shape.neuron == "stock" else "keyword",
        step_us=step_us,
        input_shape=(2, 1, net.shape.bands),
        input_high=input_high,
        nodes=tuple(nodes),
        output="scores",
        tensors=tensors,
    )
    return check_exact(program)


def _neurons(tensors: dict[str, Tensor], name: str, source: str, layer: DelayLayer) -> list[Node]:
    """Store what a layer is made of; return its nodes, the last of which is called `name`."""
    from ..layers.leaky import Leaky as LeakyNeurons
    from ..layers.leaky import StockLeaky

    weight, delays = _synapses(tensors, name, layer.synapses)
    theta, current = f"theta_{name}", f"current_{name}"
    if isinstance(layer.neuron, LeakyNeurons):
        thresholds, currents = layer.neuron.integers()
        parts, above = layer.neuron.parts, layer.neuron.above
        thresholds = (thresholds * parts + above).expand_as(currents)
        tensors[theta] = integers(thresholds, np.int32)
        tensors[current] = integers(currents * parts, np.int32)
        sums = Layer(f"{name}_sums", source, weight, op="linear", delays=delays)
        keep = layer.neuron.keep
        if isinstance(layer.neuron, StockLeaky):
            keep *= KEEP_UNIT // LEAK_UNIT
            bits = int(math.log2(parts))
            return [sums, Integrate(name, sums.name, theta, current, keep=keep, bits=bits)]
        return [sums, Leaky(name, sums.name, theta, current, keep)]
    tensors[theta] = integers(layer.neuron.integers(), np.int32)
    taps = None
    if layer.taps is not None:
        taps = f"taps_{name}"
        tensors[taps] = integers(layer.taps.integers(), np.int8)[None, :]
    return [Layer(name, source, weight, taps, theta, op="linear", delays=delays)]


def _synapses(
    tensors: dict[str, Tensor], name: str, synapses: DelayedWeight
) -> tuple[str, str | None]:
    """Store weights and delays; return their names."""
    weight, delays = f"w_{name}", f"delays_{name}"
    tensors[weight] = integers(synapses.shared.integers(), np.int8)
    if synapses.span == 1:
        return weight, None
    tensors[delays] = integers(synapses.whole(), np.int8)
    return weight, delays
