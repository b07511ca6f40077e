"""What can be said of a program before it runs: shapes, bounds, and whether it makes sense.

Every function raises BundleError with one sentence that names the node and what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from edgesnn.errors import BundleError
from edgesnn.leak import potential_bound
from edgesnn.nodes import (
    LEAK_UNIT,
    MEMBRANE_LIMIT,
    Add,
    Concat,
    Fire,
    Layer,
    Leaky,
    Node,
    Pool,
    Tensor,
    Upsample,
    Value,
    inputs_of,
)

_INT32 = 2**31 - 1


def infer(
    nodes: Iterable[Node], tensors: Mapping[str, Tensor], x: Value, output: str
) -> dict[str, Value]:
    """Return shape and bounds of x and of each node's output; raises BundleError."""
    if len(x.shape) != 3 or min(x.shape) < 1 or not 1 <= x.high <= 255:
        raise BundleError(f"input_shape {x.shape} and input_high {x.high} do not describe x")
    values = {"x": x}
    for node in nodes:
        if not (node.name.isascii() and node.name.isidentifier()) or node.name in values:
            raise BundleError(f"node name {node.name!r} is not a new C identifier")
        if not inputs_of(node):
            raise BundleError(f"node {node.name} has no inputs")
        for name in inputs_of(node):
            if name not in values:
                raise BundleError(f"node {node.name} reads {name}, which no earlier node gives")
        given = [values[name] for name in inputs_of(node)]
        value = _value_of(node, tensors, given)
        if min(value.shape) < 1:
            raise BundleError(f"{node.name}: nothing is left of {given[0].shape}: {value.shape}")
        values[node.name] = value
    if output not in values or output == "x":
        raise BundleError(f"the output {output!r} is not a node of the program")
    return values


def taps_of(layer: Layer, tensors: Mapping[str, Tensor]) -> Tensor:
    """Return the layer's taps, int32 of shape (m, k); [[1]] where it has none."""
    if layer.taps is None:
        return np.ones((1, 1), np.int32)
    return _tensor(tensors, layer.name, layer.taps, "int8", 2).astype(np.int32)


def delays_of(layer: Layer, tensors: Mapping[str, Tensor]) -> Tensor | None:
    """Return the layer's delays, int64 of its weight's shape; None where it has none."""
    if layer.delays is None:
        return None
    return _tensor(tensors, layer.name, layer.delays, "int8", 2).astype(np.int64)


def filtered_bounds(taps: Tensor, given: Value) -> tuple[int, int]:
    """Return (low, high) of the filtered input u of a layer: no input can exceed them."""
    return (
        int(np.minimum(taps, 0).sum(axis=1).min()) * given.high,
        int(np.maximum(taps, 0).sum(axis=1).max()) * given.high,
    )


def sum_bounds(weight: Tensor, u_low: int, u_high: int) -> tuple[Tensor, Tensor]:
    """Return the lowest and highest W * u for u in [u_low, u_high], int64 per output channel."""
    rows = weight.astype(np.int64).reshape(weight.shape[0], -1)
    positive, negative = np.maximum(rows, 0).sum(axis=1), np.minimum(rows, 0).sum(axis=1)
    return positive * u_low + negative * u_high, positive * u_high + negative * u_low


def _value_of(node: Node, tensors: Mapping[str, Tensor], given: list[Value]) -> Value:
    match node:
        case Layer():
            return _layer_value(node, tensors, given[0])
        case Pool():
            return _pool_value(node, given[0])
        case Upsample():
            channels, height, width = _image(node, given[0])
            _at_least(node, "factor", node.factor, 1)
            shape = (channels, height * node.factor, width * node.factor)
            return Value(shape, given[0].low, given[0].high, given[0].dtype)
        case Concat():
            if any(v.dtype != "uint8" or v.shape[1:] != given[0].shape[1:] for v in given):
                raise BundleError(f"{node.name}: concatenates uint8 maps of one height and width")
            channels = sum(v.shape[0] for v in given)
            return Value((channels, *given[0].shape[1:]), 0, max(v.high for v in given), "uint8")
        case Add():
            if any(v.dtype != "int32" or v.shape != given[0].shape for v in given):
                raise BundleError(f"{node.name}: adds int32 sums of one shape")
            low, high = sum(v.low for v in given), sum(v.high for v in given)
            return _compared(node, tensors, given[0].shape, low, high)
        case Fire():
            if given[0].dtype != "int32":
                raise BundleError(f"{node.name}: integrates int32 sums, got {given[0].dtype}")
            if given[0].largest > MEMBRANE_LIMIT:
                raise BundleError(f"{node.name}: sums beyond {MEMBRANE_LIMIT} are not integrated")
            return _compared(node, tensors, given[0].shape, given[0].low, given[0].high)
        case Leaky():
            return _leaky_value(node, tensors, given[0])


def _leaky_value(node: Leaky, tensors: Mapping[str, Tensor], given: Value) -> Value:
    if given.dtype != "int32":
        raise BundleError(f"{node.name}: integrates int32 sums, got {given.dtype}")
    if not 0 <= node.keep < LEAK_UNIT:
        raise BundleError(f"{node.name}: keep is {node.keep}, wanted 0 to {LEAK_UNIT - 1}")
    value = _compared(node, tensors, given.shape, given.low, given.high)
    theta = tensors[node.threshold].astype(np.int64)
    current = _tensor(tensors, node.name, node.current, "int32", 1).astype(np.int64)
    if current.shape != theta.shape:
        raise BundleError(f"{node.name}: {len(current)} currents for {len(theta)} channels")
    if theta.min() < 1 or (current * LEAK_UNIT >= theta * (LEAK_UNIT - node.keep)).any():
        raise BundleError(f"{node.name}: a neuron would fire without input, and never rest")
    largest = potential_bound(node.keep, current, given.largest)
    if largest * max(1, node.keep) > _INT32:
        raise BundleError(f"{node.name}: potentials up to {largest} do not fit int32")
    return value


def _pool_value(node: Pool, given: Value) -> Value:
    channels, height, width = _image(node, given)
    _at_least(node, "size", node.size, 1)
    if node.op not in ("sum", "or"):
        raise BundleError(f'{node.name}: pooling is "sum" or "or", not {node.op!r}')
    if height % node.size or width % node.size:
        raise BundleError(f"{node.name}: {height} x {width} is no multiple of {node.size}")
    if node.op == "or" and not given.spikes:
        raise BundleError(f"{node.name}: OR pooling needs spikes")
    high = 1 if node.op == "or" else given.high * node.size**2
    if given.dtype != "uint8" or high > 255:
        raise BundleError(f"{node.name}: sums up to {high} do not fit uint8")
    return Value((channels, height // node.size, width // node.size), 0, high, "uint8")


def _layer_value(node: Layer, tensors: Mapping[str, Tensor], given: Value) -> Value:
    if given.dtype != "uint8":
        raise BundleError(f"{node.name}: filters uint8 inputs, got {given.dtype}")
    taps = taps_of(node, tensors)
    filters = taps.shape[0]
    match node.op:
        case "conv":
            weight = _tensor(tensors, node.name, node.weight, "int8", 4)
            wanted, shape = _convolved(node, weight.shape, filters, given)
        case "linear":
            weight = _tensor(tensors, node.name, node.weight, "int8", 2)
            wanted, shape = filters * int(np.prod(given.shape)), (weight.shape[0],)
        case _:
            raise BundleError(f'{node.name}: op is "conv" or "linear", not {node.op!r}')
    if weight.shape[1] != wanted:
        raise BundleError(
            f"{node.name}: weight {node.weight} takes {weight.shape[1]} inputs, not {wanted}"
        )
    _check_delays(node, tensors, weight.shape, filters)
    lows, highs = sum_bounds(weight, *filtered_bounds(taps, given))
    return _compared(node, tensors, shape, int(lows.min()), int(highs.max()))


def _check_delays(
    node: Layer, tensors: Mapping[str, Tensor], weight: tuple[int, ...], filters: int
) -> None:
    delays = delays_of(node, tensors)
    if delays is None:
        return
    if node.op != "linear" or filters != 1:
        raise BundleError(f'{node.name}: delays need op "linear" and one filter')
    if delays.shape != weight:
        raise BundleError(f"{node.name}: delays of shape {delays.shape} for weights of {weight}")
    if delays.min() < 0:
        raise BundleError(f"{node.name}: a delay is {delays.min()} steps; the least is 0")


def _convolved(
    node: Layer, weight: tuple[int, ...], filters: int, given: Value
) -> tuple[int, tuple[int, ...]]:
    """Return how many channels the kernel must take, and the shape of the output."""
    channels, height, width = _image(node, given)
    _at_least(node, "stride", node.stride, 1)
    _at_least(node, "padding", node.padding, 0)
    _at_least(node, "groups", node.groups, 1)
    out, _, kernel_height, kernel_width = weight
    if filters * channels % node.groups or out % node.groups:
        raise BundleError(f"{node.name}: {node.groups} groups do not divide its channels")
    return filters * channels // node.groups, (
        out,
        (height + 2 * node.padding - kernel_height) // node.stride + 1,
        (width + 2 * node.padding - kernel_width) // node.stride + 1,
    )


def _compared(
    node: Layer | Add | Fire | Leaky,
    tensors: Mapping[str, Tensor],
    shape: tuple[int, ...],
    low: int,
    high: int,
) -> Value:
    if max(high, -low) > _INT32:
        raise BundleError(f"{node.name}: sums up to {max(high, -low)} do not fit int32")
    if node.threshold is None:
        return Value(shape, low, high, "int32")
    theta = _tensor(tensors, node.name, node.threshold, "int32", 1)
    if theta.shape != (shape[0],):
        raise BundleError(f"{node.name}: {theta.shape[0]} thresholds for {shape[0]} channels")
    return Value(shape, 0, 1, "uint8")


def _image(node: Node, value: Value) -> tuple[int, int, int]:
    if len(value.shape) != 3:
        raise BundleError(f"{node.name}: needs (channels, height, width), got {value.shape}")
    return value.shape[0], value.shape[1], value.shape[2]


def _at_least(node: Node, name: str, value: int, least: int) -> None:
    if value < least:
        raise BundleError(f"{node.name}: {name} is {value}, wanted at least {least}")


def _tensor(tensors: Mapping[str, Tensor], node: str, name: str, dtype: str, ndim: int) -> Tensor:
    tensor = tensors.get(name)
    if tensor is None:
        raise BundleError(f"{node}: tensor {name} is missing")
    if tensor.dtype != np.dtype(dtype) or tensor.ndim != ndim or 0 in tensor.shape:
        raise BundleError(
            f"{node}: tensor {name} is {tensor.dtype} of shape {tensor.shape}, "
            f"wanted {dtype} with {ndim} axes"
        )
    return tensor
