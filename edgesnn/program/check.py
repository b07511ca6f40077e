"""What can be said of a program before it runs: shapes, bounds, and whether it makes sense."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edgesnn.errors import BundleError
from edgesnn.program.node import Node, Tensor, Value


def infer(
    nodes: Iterable[Node], tensors: Mapping[str, Tensor], x: Value, output: str
) -> dict[str, Value]:
    """Return shape and bounds of x and of each node's output.

    Raises BundleError with one sentence that names the node and what is wrong.
    """
    if len(x.shape) != 3 or min(x.shape) < 1 or not 1 <= x.high <= 255:
        raise BundleError(f"input_shape {x.shape} and input_high {x.high} do not describe x")
    values = {"x": x}
    for node in nodes:
        if not (node.name.isascii() and node.name.isidentifier()) or node.name in values:
            raise BundleError(f"node name {node.name!r} is not a new C identifier")
        if not node.reads:
            raise BundleError(f"node {node.name} has no inputs")
        for name in node.reads:
            if name not in values:
                raise BundleError(f"node {node.name} reads {name}, which no earlier node gives")
        given = [values[name] for name in node.reads]
        value = node.value(tensors, given)
        if min(value.shape) < 1:
            raise BundleError(f"{node.name}: nothing is left of {given[0].shape}: {value.shape}")
        values[node.name] = value
    if output not in values or output == "x":
        raise BundleError(f"the output {output!r} is not a node of the program")
    return values
