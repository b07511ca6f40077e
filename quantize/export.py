"""An integer program as one ONNX graph: one step, state in and state out, standard ops only.

    x, <state>...  ->  y, new_<state>...

Layers are written by `export_layer.py`, which has choices to make, neurons with a potential by
`export_neuron.py`; everything else is here.
"""

from __future__ import annotations

import numpy as np

from edgesnn.bundle import AnyReadoutSpec
from edgesnn.program import (
    Add,
    Concat,
    Fire,
    Layer,
    Leaky,
    Node,
    Pool,
    Program,
    Upsample,
    state_ports,
)

from .delays import without_delays
from .export_layer import write_compared, write_layer
from .export_neuron import write_fire, write_leaky
from .graph import Graph, Port
from .metadata import metadata_of


def export(program: Program, *, readout: AnyReadoutSpec | None = None, license: str = "") -> bytes:
    """Return the ONNX model of one step of the program.

    x: uint8 (1, *input_shape); y: int32 (1, *output_shape); each state and
    new_<state> as `state_ports` says. Metadata: see `metadata.py`.
    Raises BundleError when a layer's sums leave the range in which all kernels are exact.
    """
    graph = Graph()
    names = {"x": "x"}
    dense = without_delays(program)
    for node in dense.nodes:
        names[node.name] = _write(graph, dense, node, names)
    if program.values[program.output].dtype == "uint8":
        graph.cast(names[program.output], "int32", "y")
    states = [Port(name, port.dtype, port.shape) for name, port in state_ports(program).items()]
    new = [Port(f"new_{port.name}", port.dtype, port.shape) for port in states]
    x = Port("x", "uint8", (1, *program.input_shape))
    y = Port("y", "int32", (1, *program.output_shape))
    metadata = metadata_of(program, readout, license)
    return graph.model(program.name, [x, *states], [y, *new], metadata)


def _write(graph: Graph, program: Program, node: Node, names: dict[str, str]) -> str:
    """Write a node; return the name of its output, (1, *shape) in the node's dtype."""
    is_y = node.name == program.output and program.values[node.name].dtype == "int32"
    out = "y" if is_y else f"out_{node.name}"
    match node:
        case Layer():
            return write_layer(graph, program, node, names[node.input], out)
        case Pool():
            return _pool(graph, program, node, names[node.input], out)
        case Upsample():
            return _upsample(graph, node, names[node.input], out)
        case Concat():
            return graph.add("Concat", [names[name] for name in node.inputs], out, axis=1)
        case Add():
            return _add(graph, program, node, [names[name] for name in node.inputs], out)
        case Fire():
            return write_fire(graph, program, node, names[node.input], out)
        case Leaky():
            return write_leaky(graph, program, node, names[node.input], out)


def _pool(graph: Graph, program: Program, node: Pool, source: str, out: str) -> str:
    window = {"kernel_shape": [node.size] * 2, "strides": [node.size] * 2}
    if node.op == "or":
        return graph.add("MaxPool", [source], out, **window)
    channels = program.values[node.input].shape[0]
    ones = np.ones((channels, 1, node.size, node.size), np.int8)
    weight = graph.constant(f"ones_{channels}_{node.size}", ones)
    one, zero = graph.scalar(1, "float32"), graph.scalar(0, "uint8")
    inputs = [source, one, zero, weight, one, graph.scalar(0, "int8"), one, zero]
    return graph.add("QLinearConv", inputs, out, group=channels, **window)


def _upsample(graph: Graph, node: Upsample, source: str, out: str) -> str:
    factors = np.array([1, 1, node.factor, node.factor], np.float32)
    return graph.add(
        "Resize",
        [source, "", graph.constant(f"scales_{node.factor}", factors)],
        out,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def _add(graph: Graph, program: Program, node: Add, sources: list[str], out: str) -> str:
    sums = out if node.threshold is None else f"sums_{node.name}"
    total = sources[0]
    if len(sources) == 1:
        graph.add("Identity", [total], sums)
    for i, source in enumerate(sources[1:], start=2):
        total = graph.add(
            "Add", [total, source], sums if i == len(sources) else f"first{i}_{node.name}"
        )
    return write_compared(graph, program, node, sums, out)
