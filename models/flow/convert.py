"""From the trained flow network to an exact integer program, one for each grid of cells.

The weights are the integers of the forward pass and batch norm becomes one threshold per channel,
as for the other networks; the windows of the first layer are fixed taps of 0 and 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgesnn.program import Add, Concat, Layer, Node, Program, Tensor, Upsample
from edgesnn.quantize.integers import check_exact, integers

from .data import HIGHEST
from .net import BINS, DELAYS, LAYERS, OUTPUTS
from .surfaces import STEP_US

if TYPE_CHECKING:
    from ..layers.psn import SpikingConv
    from .net import FlowNet


SEEN_STEPS = 2
"""Motion is told where something was seen in as many steps."""


def flow_program(net: FlowNet, height: int, width: int) -> Program:
    """Return the program for a grid of height x width cells, multiples of 8.

    Its output is int32 (4, height / 2, width / 2): times `net.unit()` the compressed motion and its
    evidence; last the events of the newest SEEN_STEPS steps, at most 7 of a cell and half step.
    Raises BundleError when a sum could leave the range in which training was exact.
    """
    delays = [(age, age + 1) for age in DELAYS]
    tensors: dict[str, Tensor] = {"windows": _taps(net.shape.windows), "delays": _taps(delays)}
    inputs = {
        "near": "x",
        "middle": "near",
        "far": "middle",
        "deep1": "far",
        "deep2": "deep1",
        "middle_up": "both_middle",
        "near_up": "both_near",
    }
    filters = {"near": "windows", "middle": "delays", "far": "delays"}
    joined = {"middle_up": ("middle", "deep2"), "near_up": ("near", "middle_up")}
    nodes: list[Node] = []
    names: dict[int, str] = {}
    for name in LAYERS:
        layer: SpikingConv = net.layers[name]  # type: ignore[assignment]
        weight = names.setdefault(id(layer.shared), f"w_{name}")
        tensors[weight] = integers(layer.shared.integers(), np.int8)
        tensors[f"theta_{name}"] = integers(layer.threshold.integers(), np.int32)
        if name in joined:
            fine, coarse = joined[name]
            nodes += [Upsample(f"up_{coarse}", coarse, 2)]
            nodes += [Concat(inputs[name], (fine, f"up_{coarse}"))]
        nodes.append(
            Layer(
                name=name,
                input=inputs[name],
                weight=weight,
                taps=filters.get(name),
                threshold=f"theta_{name}",
                stride=layer.stride,
                padding=layer.padding,
            )
        )
    sums = []
    scales = (("deep2", 4), ("middle_up", 2), ("near_up", 1))
    for (source, factor), weight_of in zip(scales, net.predictor_integers(), strict=True):
        silent = weight_of.new_zeros(1, *weight_of.shape[1:])  # the last channel is `seen`'s
        tensors[f"w_flow_{source}"] = integers(torch.cat([weight_of, silent]), np.int8)
        padding = weight_of.shape[-1] // 2
        nodes.append(Layer(f"flow_{source}", source, f"w_flow_{source}", padding=padding))
        sums.append(f"flow_{source}")
        if factor > 1:
            nodes.append(Upsample(f"flow_up_{source}", sums[-1], factor))
            sums[-1] = f"flow_up_{source}"
    tensors["w_seen"] = np.zeros((OUTPUTS + 1, 2 * BINS, 2, 2), np.int8)
    tensors["w_seen"][OUTPUTS] = 1
    tensors["recent"] = np.ones((1, SEEN_STEPS), np.int8)
    nodes.append(Layer("seen", "x", "w_seen", taps="recent", stride=2))
    nodes.append(Add("flow", (*sums, "seen")))
    return check_exact(
        Program(
            name="flow",
            step_us=STEP_US,
            input_shape=(2 * BINS, height, width),
            input_high=HIGHEST,
            nodes=tuple(nodes),
            output="flow",
            tensors=tensors,
        )
    )


def _taps(windows: Iterable[tuple[int, int]]) -> Tensor:
    """Return filters of 0 and 1 that sum the inputs of some ages, one row for each window."""
    spans = tuple(windows)
    taps = np.zeros((len(spans), max(end for _, end in spans)), np.int8)
    for row, (begin, end) in zip(taps, spans, strict=True):
        row[begin:end] = 1
    return taps
