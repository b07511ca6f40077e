"""How neurons that keep a potential are written as ONNX operators; states have no batch axis."""

from __future__ import annotations

import math

import numpy as np

from edgesnn.nodes import LEAK_UNIT, MEMBRANE_LIMIT
from edgesnn.program import Fire, Leaky, Program

from .graph import Graph


def write_fire(graph: Graph, program: Program, node: Fire, source: str, out: str) -> str:
    """Integrate, compare, and let each neuron pass once; return `out`, uint8 (1, *shape)."""
    name, shape = node.name, program.values[node.name].shape
    sums = graph.reshape(source, shape, f"sums_of_{name}")
    total = graph.add("Add", [sums, f"membrane_{name}"], f"total_{name}")
    ends = [
        graph.constant(f"membrane_{end}", np.array(limit, np.int32))
        for end, limit in (("lowest", -MEMBRANE_LIMIT), ("highest", MEMBRANE_LIMIT))
    ]
    graph.add("Clip", [total, *ends], f"new_membrane_{name}")
    inputs = [f"new_membrane_{name}", _per_channel(graph, program, node, node.threshold)]
    above = graph.add("GreaterOrEqual", inputs, f"above_{name}")
    fired = graph.cast(f"fired_{name}", "bool", f"before_{name}")
    first = graph.add("And", [above, graph.add("Not", [fired], f"silent_{name}")], f"now_{name}")
    graph.cast(graph.add("Or", [above, fired], f"ever_{name}"), "uint8", f"new_fired_{name}")
    spikes = graph.cast(first, "uint8", f"spikes_{name}")
    return graph.reshape(spikes, (1, *shape), out)


def write_leaky(graph: Graph, program: Program, node: Leaky, source: str, out: str) -> str:
    """Leak, integrate, compare and reset; return `out`, uint8 (1, *shape).

    ONNX divides integers towards 0, as the leak does. 128 / 256 is written as 1 / 2.
    """
    name, shape = node.name, program.values[node.name].shape
    common = math.gcd(node.keep, LEAK_UNIT)
    left = f"membrane_{name}"
    if node.keep != common:
        kept = graph.constant(
            f"keep_{node.keep // common}", np.array(node.keep // common, np.int32)
        )
        left = graph.add("Mul", [left, kept], f"kept_{name}")
    unit = graph.constant(f"keep_of_{LEAK_UNIT // common}", np.array(LEAK_UNIT // common, np.int32))
    left = graph.add("Div", [left, unit], f"left_{name}")
    sums = graph.reshape(source, shape, f"sums_of_{name}")
    charged = graph.add("Add", [left, sums], f"charged_{name}")
    inputs = [charged, _per_channel(graph, program, node, node.current)]
    total = graph.add("Add", inputs, f"total_{name}")
    inputs = [total, _per_channel(graph, program, node, node.threshold)]
    fired = graph.add("GreaterOrEqual", inputs, f"above_{name}")
    zero = graph.scalar(0, "int32")
    graph.add("Where", [fired, zero, total], f"new_membrane_{name}")
    return graph.reshape(graph.cast(fired, "uint8", f"spikes_{name}"), (1, *shape), out)


def _per_channel(graph: Graph, program: Program, node: Fire | Leaky, tensor: str) -> str:
    """Store a tensor (channels,) so that it meets (channels, ...); return its name."""
    axes = len(program.values[node.name].shape)
    wide = program.tensors[tensor].reshape(-1, *[1] * (axes - 1))
    return graph.constant(f"{tensor}_of_{node.name}", wide)
