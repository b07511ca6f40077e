"""From a trained digit network to an exact integer program: neurons that fire once, and counts.

The output counts, for each class and step, how many neurons of its population fire; the weighing by
time and the early exit belong to the readout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgesnn.program import Fire, Layer, Node, Pool, Program, Tensor
from edgesnn.quantize.integers import check_exact, integers

if TYPE_CHECKING:
    from .net import DigitNet


def digits_program(net: DigitNet, *, name: str, step_us: int) -> Program:
    """Return the integer program of a trained network; input (2, size, size) spikes.

    Raises BundleError for sums that float32 training did not hold exactly.
    """
    s = net.shape
    tensors: dict[str, Tensor] = {}
    nodes: list[Node] = []
    source = "x"
    for part in ("near", "far", "deep", "out"):
        layer = getattr(net, part)
        weight, threshold = layer.integers()
        tensors[f"w_{part}"] = integers(weight, np.int8)
        tensors[f"theta_{part}"] = integers(threshold, np.int32)
        sums = Layer(
            f"{part}_sums",
            source,
            f"w_{part}",
            op="linear" if weight.ndim == 2 else "conv",
            stride=layer.stride,
            padding=layer.padding,
        )
        nodes += [sums, Fire(part, sums.name, f"theta_{part}")]
        source = part
        if part == "far":
            nodes.append(Pool("pooled", part, 2))
            source = "pooled"
    tensors["w_classes"] = np.repeat(np.eye(s.classes, dtype=np.int8), s.population, axis=1)
    nodes.append(Layer("classes", source, "w_classes", op="linear"))
    program = Program(
        name=name,
        step_us=step_us,
        input_shape=(2, s.size, s.size),
        input_high=1,
        nodes=tuple(nodes),
        output="classes",
        tensors=tensors,
    )
    return check_exact(program)
