"""From the trained gesture network to an exact integer program.

Nothing is rounded here that training did not already round: weights and taps are the integers the
forward pass used, batch norm becomes one integer threshold per channel (`Threshold` in
`models.layers.psn`), so the program gives the network's spikes bit for bit wherever float32 held
the integers exactly (sums below 2**24; checked).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgesnn.program import Layer, Node, Pool, Program, Tensor
from edgesnn.quantize.integers import check_exact, integers

if TYPE_CHECKING:
    from ..layers.psn import SpikingConv
    from .net import GestureNet


def gesture_program(net: GestureNet, *, step_us: int, grid: int, input_high: int) -> Program:
    """Return the integer program of a trained network.

    step_us, grid, input_high: of the encoder the network was trained behind.
    Raises BundleError when a sum could leave the range in which training was exact.
    """
    tensors: dict[str, Tensor] = {}
    nodes: list[Node] = []
    names: dict[int, str] = {}
    source = "x"
    for name, module in net.layers.items():
        layer: SpikingConv = module  # type: ignore[assignment]
        weight = names.setdefault(id(layer.shared), f"w_{name}")
        tensors[weight] = integers(layer.shared.integers(), np.int8)
        taps = None
        if layer.delays > 1:
            taps = "delays"
            tensors[taps] = np.eye(layer.delays, dtype=np.int8)
        elif layer.taps is not None:
            taps = f"taps_{name}"
            tensors[taps] = integers(layer.taps.integers(), np.int8)[None, :]
        tensors[f"theta_{name}"] = integers(layer.threshold.integers(), np.int32)
        nodes.append(
            Layer(
                name=name,
                input=source,
                weight=weight,
                taps=taps,
                threshold=f"theta_{name}",
                stride=layer.stride,
                padding=layer.padding,
            )
        )
        source = name
    nodes.append(Pool(name="pool", input=source, size=2, op="sum"))
    tensors["w_scores"] = integers(net.scores.integers(), np.int8)
    nodes.append(Layer(name="scores", input="pool", weight="w_scores", op="linear"))
    program = Program(
        name="gesture",
        step_us=step_us,
        input_shape=(2, grid, grid),
        input_high=input_high,
        nodes=tuple(nodes),
        output="scores",
        tensors=tensors,
    )
    return check_exact(program)
