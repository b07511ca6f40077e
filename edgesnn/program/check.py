"""What can be said of a program before it runs: shapes, bounds, and whether it makes sense."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edgesnn.errors import BundleError
from edgesnn.program.kinds.previous import Previous
from edgesnn.program.node import Node, Tensor, Value


def infer(
    nodes: Iterable[Node], tensors: Mapping[str, Tensor], x: Value, output: str
) -> dict[str, Value]:
    """Return shape and bounds of x and of each node's output.

    Raises BundleError with one sentence that names the node and what is wrong.
    """
    if len(x.shape) != 3 or min(x.shape) < 1 or not 1 <= x.high <= 255:
        raise BundleError(f"input_shape {x.shape} and input_high {x.high} do not describe x")
    nodes = tuple(nodes)
    values = values_of(nodes, tensors, x)
    for node in nodes:
        if isinstance(node, Previous):
            _check_loop(node, values)
    if output not in values or output == "x":
        raise BundleError(f"the output {output!r} is not a node of the program")
    return values


def values_of(nodes: Iterable[Node], tensors: Mapping[str, Tensor], x: Value) -> dict[str, Value]:
    """Return shape and bounds of x and of each node's output, of a list that may go on.

    Raises BundleError.
    """
    values = {"x": x}
    for node in nodes:
        if not (node.name.isascii() and node.name.isidentifier()) or node.name in values:
            raise BundleError(f"node name {node.name!r} is not a new C identifier")
        if not node.reads and not isinstance(node, Previous):
            raise BundleError(f"node {node.name} has no inputs")
        for name in node.reads:
            if name not in values:
                raise BundleError(f"node {node.name} reads {name}, which no earlier node gives")
        given = [values[name] for name in node.reads]
        value = node.value(tensors, given)
        if not value.shape or min(value.shape) < 1:
            before = given[0].shape if given else ()
            raise BundleError(f"{node.name}: nothing is left of {before}: {value.shape}")
        values[node.name] = value
    return values


def _check_loop(node: Previous, values: Mapping[str, Value]) -> None:
    """Raise BundleError unless the node that is read one step late is there and gives spikes."""
    names = list(values)
    if node.later not in values or names.index(node.later) <= names.index(node.name):
        raise BundleError(f"{node.name} reads {node.later} one step late, which is no later node")
    later = values[node.later]
    counts = later.dtype == "uint8" and later.high <= node.most and 1 <= node.most <= 255
    if not counts or later.shape != tuple(node.shape):
        raise BundleError(
            f"{node.name}: {node.later} gives {later.dtype} up to {later.high} of {later.shape}, "
            f"wanted up to {node.most} spikes of {tuple(node.shape)}"
        )
