"""An integer program as one ONNX graph: one step, state in and state out, standard ops only.

    x, <state>...  ->  y, new_<state>...

Each node writes itself (`Node.write`).
"""

from __future__ import annotations

from edgesnn.decide.readouts import AnyReadoutSpec
from edgesnn.errors import BundleError
from edgesnn.program import Add, Concat, Layer, Node, Previous, Program, Upsample, state_ports

from .delays import without_delays
from .graph import Graph, Port
from .metadata import metadata_of


def export(
    program: Program,
    *,
    readout: AnyReadoutSpec | None = None,
    license: str = "",
    any_grid: bool = False,
) -> bytes:
    """Return the ONNX model of one step of the program.

    x: uint8 (1, *input_shape); y: int32 (1, *output_shape); each state and
    new_<state> as `state_ports` says. Metadata: see `metadata.py`. any_grid: height and width of x
    are free, and with them those of y and the states.
    Raises BundleError when a layer's sums leave the range in which all kernels are exact, or a
    node holds to one height and width.
    """
    if any_grid:
        _check_free(program)
    graph = Graph(any_grid=any_grid, taken=state_ports(program))
    names = {"x": "x"}
    dense = without_delays(program)
    for node in dense.nodes:
        names[node.name] = _write(graph, dense, node, names)
    for node in dense.nodes:
        if isinstance(node, Previous):
            graph.reshape(names[node.later], node.shape, f"new_previous_{node.name}")
    if program.values[program.output].dtype == "uint8":
        graph.cast(names[program.output], "int32", "y")
    states = [Port(name, port.dtype, port.shape) for name, port in state_ports(program).items()]
    new = [Port(f"new_{port.name}", port.dtype, port.shape) for port in states]
    x = Port("x", "uint8", (1, *program.input_shape))
    y = Port("y", "int32", (1, *program.output_shape))
    metadata = metadata_of(program, readout, license)
    if any_grid:
        metadata["any_grid_sha256"] = program.any_grid_sha256
        x, y, *both = (_freed(port) for port in (x, y, *states, *new))
        states, new = both[: len(states)], both[len(states) :]
    return graph.model(program.name, [x, *states], [y, *new], metadata)


def _check_free(program: Program) -> None:
    for node in program.nodes:
        fixed = isinstance(node, Layer) and node.op == "linear"
        if fixed or not isinstance(node, Layer | Concat | Add | Upsample):
            raise BundleError(f"{node.name}: a {node.kind} node holds to one height and width")


def _freed(port: Port) -> Port:
    """Return a port whose last two axes may have any length; its name tells them apart."""
    *front, _, _ = port.shape
    name = port.name.removeprefix("new_")
    return Port(port.name, port.dtype, (*front, f"{name}_height", f"{name}_width"))


def _write(graph: Graph, program: Program, node: Node, names: dict[str, str]) -> str:
    """Write a node; return the name of its output, (1, *shape) in the node's dtype."""
    is_y = node.name == program.output and program.values[node.name].dtype == "int32"
    out = "y" if is_y else f"out_{node.name}"
    return node.write(graph, program, [names[name] for name in node.reads], out)
