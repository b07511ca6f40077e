"""One delay per synapse, written as the filters and the dense weights that mean the same.

A layer with delays d_ji < D behind one filter of order k equals a layer with D filters, filter d
being the one filter d steps later, whose weight from input i at filter d is w_ji where d = d_ji and
0 elsewhere. A matrix product with D times as many weights, most of them 0, is what ONNX Runtime
does fast; gathering the inputs synapse by synapse is not (docs/onnx.md).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgesnn.program import Layer, Node, Program, Tensor


def without_delays(program: Program) -> Program:
    """Return a program of the same outputs and states, in which no layer has delays."""
    tensors = dict(program.tensors)
    nodes: list[Node] = []
    for node in program.nodes:
        if isinstance(node, Layer) and node.delays is not None:
            weight, taps = f"dense_{node.name}", f"shifted_{node.name}"
            tensors[weight], tensors[taps] = _dense(program, node)
            node = replace(node, weight=weight, taps=taps, delays=None)
        nodes.append(node)
    return replace(program, nodes=tuple(nodes), tensors=tensors)


def _dense(program: Program, layer: Layer) -> tuple[Tensor, Tensor]:
    """Return weights (out, D * in) and taps (D, D - 1 + k), both int8."""
    weight, delays = program.tensors[layer.weight], program.delays_of(layer)
    assert delays is not None
    span, (taps,) = int(delays.max()) + 1, program.taps_of(layer)
    dense = np.zeros((len(weight), span, weight.shape[1]), np.int8)
    np.put_along_axis(dense, delays[:, None, :], weight[:, None, :], axis=1)
    shifted = np.zeros((span, span - 1 + len(taps)), np.int8)
    for delay in range(span):
        shifted[delay, delay : delay + len(taps)] = taps
    return dense.reshape(len(weight), -1), shifted
