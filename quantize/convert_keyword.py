"""From the trained keyword network to an exact integer program: delays rounded, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgesnn.errors import BundleError
from edgesnn.program import Layer, Node, Program, Tensor

from .integers import check_exact, integers

if TYPE_CHECKING:
    from edgesnn.models.delays import DelayedWeight
    from edgesnn.models.keyword_net import KeywordNet


def keyword_program(net: KeywordNet, *, step_us: int, input_high: int) -> Program:
    """Return the integer program of a trained network; input (2, 1, bands).

    step_us, input_high: of the encoder the network was trained behind. Raises BundleError for
    leaky neurons (they are no finite filter) and sums that float32 training did not hold exactly.
    """
    if net.shape.neuron != "psn":
        raise BundleError("leaky neurons are no finite filter; only sliding PSNs convert")
    tensors: dict[str, Tensor] = {}
    nodes: list[Node] = []
    source = "x"
    for name, module in net.layers.items():
        weight, delays = _synapses(tensors, name, module.synapses)  # type: ignore[arg-type]
        taps = None
        if module.taps is not None:
            taps = f"taps_{name}"
            tensors[taps] = integers(module.taps.integers(), np.int8)[None, :]  # type: ignore[union-attr,operator]
        theta = f"theta_{name}"
        tensors[theta] = integers(module.threshold.integers(), np.int32)  # type: ignore[union-attr,operator]
        nodes.append(Layer(name, source, weight, taps, theta, op="linear", delays=delays))
        source = name
    weight, delays = _synapses(tensors, "scores", net.scores)
    nodes.append(Layer("scores", source, weight, op="linear", delays=delays))
    program = Program(
        name="keyword",
        step_us=step_us,
        input_shape=(2, 1, net.shape.bands),
        input_high=input_high,
        nodes=tuple(nodes),
        output="scores",
        tensors=tensors,
    )
    return check_exact(program)


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
