"""The integer program: a trained network as data, with one meaning on every backend.

A program is a list of nodes in order and a table of named integer tensors. Each step it takes one
input frame x, uint8 of shape (channels, height, width), and a state, and gives y and the next
state. All arithmetic is on integers; `hardware/reference.py` defines the meaning.

The one spiking primitive, `Layer`, is a finite temporal filter, a weighted sum and a comparison:

    u_m[t] = sum_{i<k} taps[m, i] * s[t - i]        filter m over the last k inputs, newest first
    H[t]   = W * concat_m u_m[t]                    convolution or linear map, int32
    S[t]   = H[t] >= theta                          one threshold per output channel

One filter (m = 1) is a sliding PSN of order k (Fang et al., NeurIPS 2023, "Parallel spiking
neurons"): by linearity its taps may stand before the weights. Several filters give every synapse
several delays (taps that are unit vectors are pure synaptic delays). Before the first step all
inputs were 0. Nodes that name the same weight tensor share it (Azadbakht et al. 2022).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import BundleError

Tensor = NDArray[Any]
State = dict[str, Tensor]
"""The whole memory of a stream, by name; see `state_shapes`."""

MAX_ORDER = 8
"""Longest temporal filter over spikes: eight past spikes are one byte per neuron."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Temporal filter, weighted sum, comparison.

    name: C identifier, unique; names the output. input: "x" or an earlier node.
    weight: int8 tensor; op "conv": (out, m * in / groups, kh, kw), the filters' channels in
        filter-major order (filter 0's channels first); op "linear": (out, m * in * h * w), the
        filtered input flattened in the same order.
    taps: int8 tensor (m, k), newest input first; None is [[1]] (no memory).
    threshold: int32 tensor (out,); output uint8 0/1. None: output is the int32 sum itself.
    stride, padding: of the convolution, the same in both directions; groups: its groups.
    """

    name: str
    input: str
    weight: str
    taps: str | None = None
    threshold: str | None = None
    op: Literal["conv", "linear"] = "conv"
    stride: int = 1
    padding: int = 0
    groups: int = 1
    kind: Literal["layer"] = "layer"


@dataclass(frozen=True, slots=True)
class Pool:
    """Non-overlapping size x size windows: "sum" of small integers, or "or" of spikes; uint8."""

    name: str
    input: str
    size: int
    op: Literal["sum", "or"] = "sum"
    kind: Literal["pool"] = "pool"


@dataclass(frozen=True, slots=True)
class Upsample:
    """Nearest-neighbour upsampling by an integer factor."""

    name: str
    input: str
    factor: int
    kind: Literal["upsample"] = "upsample"


@dataclass(frozen=True, slots=True)
class Concat:
    """Concatenation along channels of uint8 outputs."""

    name: str
    inputs: tuple[str, ...]
    kind: Literal["concat"] = "concat"


@dataclass(frozen=True, slots=True)
class Add:
    """Integer sum of int32 outputs (of layers without threshold); int32, or compared to spikes.

    threshold: int32 tensor (channels,): output uint8 0/1. None: the int32 sum itself.
    """

    name: str
    inputs: tuple[str, ...]
    threshold: str | None = None
    kind: Literal["add"] = "add"


Node = Layer | Pool | Upsample | Concat | Add
_KINDS: dict[str, type[Node]] = {
    "layer": Layer,
    "pool": Pool,
    "upsample": Upsample,
    "concat": Concat,
    "add": Add,
}


@dataclass(frozen=True, slots=True)
class Value:
    """What is known of a node's output before anything runs.

    shape: (channels, height, width), or (features,) after a linear layer.
    low, high: bounds that no input can exceed. spikes: True where values are only 0 or 1.
    dtype: "uint8" or "int32".
    """

    shape: tuple[int, ...]
    low: int
    high: int
    dtype: Literal["uint8", "int32"]

    @property
    def spikes(self) -> bool:
        """Whether the value can only be 0 or 1."""
        return self.low >= 0 and self.high <= 1


@dataclass(frozen=True, slots=True)
class Program:
    """A network as integers.

    name: of the network. step_us: length of one step in microseconds of event time.
    input_shape: (channels, height, width) of x. input_high: largest value of x.
    nodes: in the order of execution. output: the node whose output is y.
    tensors: by name; int8 or int32, C-contiguous, never written to.
    """

    name: str
    step_us: int
    input_shape: tuple[int, int, int]
    input_high: int
    nodes: tuple[Node, ...]
    output: str
    tensors: dict[str, Tensor] = field(repr=False)
    values: dict[str, Value] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the whole program and derive each node's shape and bounds.

        Raises BundleError naming the node and what is wrong.
        """
        object.__setattr__(self, "values", _infer(self))

    @property
    def sha256(self) -> str:
        """Hash over the description and every tensor's name, type, shape and bytes."""
        digest = hashlib.sha256(json.dumps(to_dict(self), sort_keys=True).encode())
        for name in sorted(self.tensors):
            tensor = self.tensors[name]
            digest.update(f"{name} {tensor.dtype.str} {tensor.shape}".encode())
            digest.update(np.ascontiguousarray(tensor).tobytes())
        return digest.hexdigest()

    def taps_of(self, layer: Layer) -> Tensor:
        """Return the layer's taps, int32 of shape (m, k)."""
        if layer.taps is None:
            return np.ones((1, 1), np.int32)
        return self.tensors[layer.taps].astype(np.int32)


def to_dict(program: Program) -> dict[str, Any]:
    """Return everything but the tensors as plain JSON values."""
    return {
        "format": "edgesnn-program",
        "version": 1,
        "name": program.name,
        "step_us": program.step_us,
        "input_shape": list(program.input_shape),
        "input_high": program.input_high,
        "nodes": [
            {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(node).items()}
            for node in program.nodes
        ],
        "output": program.output,
    }


def from_dict(description: dict[str, Any], tensors: dict[str, Tensor]) -> Program:
    """Build a program from `to_dict`'s values and its tensors; raises BundleError."""
    found = (description.get("format"), description.get("version"))
    if found != ("edgesnn-program", 1):
        raise BundleError(f"expected an edgesnn-program of version 1, found {found[0]} {found[1]}")
    try:
        nodes = []
        for entry in description["nodes"]:
            fields = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
            nodes.append(_KINDS[fields["kind"]](**fields))
        channels, height, width = description["input_shape"]
        return Program(
            name=description["name"],
            step_us=int(description["step_us"]),
            input_shape=(int(channels), int(height), int(width)),
            input_high=int(description["input_high"]),
            nodes=tuple(nodes),
            output=description["output"],
            tensors=tensors,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"the program's description is not usable: {error!r}") from error


def history_kind(program: Program, layer: Layer) -> Literal["none", "byte", "frames"]:
    """Say how a layer remembers its input.

    "none": k = 1. "byte": the input is spikes; state_<layer> is uint8 of the input's shape, bit i
    = the input i + 1 steps before the coming step (eight steps are kept, whatever k is).
    "frames": the input is counts; state_<layer> is uint8 (k - 1, *input shape), newest first.
    """
    if program.taps_of(layer).shape[1] == 1:
        return "none"
    return "byte" if program.values[layer.input].spikes else "frames"


def state_shapes(program: Program) -> dict[str, tuple[int, ...]]:
    """Return the shape of every state tensor (all uint8, all 0 at the start), by name, in order."""
    shapes: dict[str, tuple[int, ...]] = {}
    for node in program.nodes:
        if isinstance(node, Layer):
            kind = history_kind(program, node)
            source = program.values[node.input].shape
            if kind == "byte":
                shapes[f"state_{node.name}"] = source
            elif kind == "frames":
                k = program.taps_of(node).shape[1]
                shapes[f"state_{node.name}"] = (k - 1, *source)
    return shapes


def initial_state(program: Program) -> State:
    """Return the exact state before the first step: all zeros, freshly allocated."""
    return {name: np.zeros(shape, np.uint8) for name, shape in state_shapes(program).items()}


def warmup_steps(program: Program) -> int:
    """Return after how many steps nothing of the initial state can be left in the output."""
    depth: dict[str, int] = {"x": 0}
    for node in program.nodes:
        inputs = node.inputs if isinstance(node, (Concat, Add)) else (node.input,)
        memory = program.taps_of(node).shape[1] - 1 if isinstance(node, Layer) else 0
        depth[node.name] = max(depth[name] for name in inputs) + memory
    return depth[program.output]


def _infer(program: Program) -> dict[str, Value]:
    values = {"x": Value(program.input_shape, 0, program.input_high, "uint8")}
    for node in program.nodes:
        if not node.name.isidentifier() or node.name in values:
            raise BundleError(f"node name {node.name!r} is not a new C identifier")
        inputs = node.inputs if isinstance(node, (Concat, Add)) else (node.input,)
        for name in inputs:
            if name not in values:
                raise BundleError(f"node {node.name} reads {name}, which no earlier node gives")
        values[node.name] = _value_of(program, node, [values[name] for name in inputs])
    if program.output not in values or program.output == "x":
        raise BundleError(f"the output {program.output!r} is not a node of the program")
    return values


def _value_of(program: Program, node: Node, given: list[Value]) -> Value:
    match node:
        case Layer():
            return _layer_value(program, node, given[0])
        case Pool():
            channels, height, width = _image(node, given[0])
            if height % node.size or width % node.size:
                raise BundleError(f"{node.name}: {height} x {width} is no multiple of {node.size}")
            if node.op == "or" and not given[0].spikes:
                raise BundleError(f"{node.name}: OR pooling needs spikes")
            high = 1 if node.op == "or" else given[0].high * node.size**2
            if given[0].dtype != "uint8" or high > 255:
                raise BundleError(f"{node.name}: sums up to {high} do not fit uint8")
            return Value((channels, height // node.size, width // node.size), 0, high, "uint8")
        case Upsample():
            channels, height, width = _image(node, given[0])
            shape = (channels, height * node.factor, width * node.factor)
            return Value(shape, given[0].low, given[0].high, given[0].dtype)
        case Concat():
            if any(v.dtype != "uint8" or v.shape[1:] != given[0].shape[1:] for v in given):
                raise BundleError(f"{node.name}: concatenates uint8 maps of one height and width")
            shape = (sum(v.shape[0] for v in given), *given[0].shape[1:])
            return Value(shape, 0, max(v.high for v in given), "uint8")
        case Add():
            if any(v.dtype != "int32" or v.shape != given[0].shape for v in given):
                raise BundleError(f"{node.name}: adds int32 sums of one shape")
            low, high = sum(v.low for v in given), sum(v.high for v in given)
            return _compared(program, node.name, node.threshold, given[0].shape, low, high)


def _image(node: Node, value: Value) -> tuple[int, int, int]:
    if len(value.shape) != 3:
        raise BundleError(f"{node.name}: needs (channels, height, width), got {value.shape}")
    return value.shape[0], value.shape[1], value.shape[2]


def _tensor(program: Program, node: str, name: str, dtype: str, ndim: int) -> Tensor:
    tensor = program.tensors.get(name)
    if tensor is None:
        raise BundleError(f"{node}: tensor {name} is missing")
    if tensor.dtype != np.dtype(dtype) or tensor.ndim != ndim:
        raise BundleError(
            f"{node}: tensor {name} is {tensor.dtype} with {tensor.ndim} axes, "
            f"wanted {dtype} with {ndim}"
        )
    return tensor


def filtered_bounds(program: Program, layer: Layer) -> tuple[int, int]:
    """Return (low, high) of the filtered input u of a layer: no input can exceed them."""
    taps = program.taps_of(layer)
    high = program.values[layer.input].high if layer.input != "x" else program.input_high
    return (
        int(np.minimum(taps, 0).sum(axis=1).min()) * high,
        int(np.maximum(taps, 0).sum(axis=1).max()) * high,
    )


def _layer_value(program: Program, node: Layer, given: Value) -> Value:
    if given.dtype != "uint8":
        raise BundleError(f"{node.name}: filters uint8 inputs, got {given.dtype}")
    if node.taps is not None:
        _tensor(program, node.name, node.taps, "int8", 2)
    taps = program.taps_of(node)
    filters, order = taps.shape
    if order > MAX_ORDER:
        raise BundleError(f"{node.name}: order {order} is over {MAX_ORDER}")
    weight = _tensor(program, node.name, node.weight, "int8", 4 if node.op == "conv" else 2)
    out, fan_in = int(weight.shape[0]), int(weight.shape[1])
    if node.op == "conv":
        channels, height, width = _image(node, given)
        wanted = filters * channels // node.groups
        if filters * channels % node.groups or out % node.groups:
            raise BundleError(f"{node.name}: {node.groups} groups do not divide its channels")
        kernel = weight.shape[2:]
        shape: tuple[int, ...] = (
            out,
            (height + 2 * node.padding - int(kernel[0])) // node.stride + 1,
            (width + 2 * node.padding - int(kernel[1])) // node.stride + 1,
        )
    else:
        wanted = filters * int(np.prod(given.shape))
        shape = (out,)
    if fan_in != wanted:
        raise BundleError(f"{node.name}: weight {node.weight} takes {fan_in} inputs, not {wanted}")
    ones = np.maximum(taps, 0).sum(axis=1), np.minimum(taps, 0).sum(axis=1)
    per_filter = weight.astype(np.int64).reshape(out, -1)
    low, high = _sum_bounds(
        per_filter, int(max(ones[0])) * given.high, int(min(ones[1])) * given.high
    )
    return _compared(program, node.name, node.threshold, shape, low, high)


def _sum_bounds(weight: Tensor, u_high: int, u_low: int) -> tuple[int, int]:
    positive, negative = np.maximum(weight, 0).sum(axis=1), np.minimum(weight, 0).sum(axis=1)
    high = int((positive * u_high + negative * u_low).max())
    low = int((positive * u_low + negative * u_high).min())
    if max(high, -low) >= 2**31:
        raise BundleError(f"sums up to {max(high, -low)} do not fit int32")
    return low, high


def _compared(
    program: Program, node: str, threshold: str | None, shape: tuple[int, ...], low: int, high: int
) -> Value:
    if threshold is None:
        return Value(shape, low, high, "int32")
    theta = _tensor(program, node, threshold, "int32", 1)
    if theta.shape != (shape[0],):
        raise BundleError(f"{node}: {theta.shape[0]} thresholds for {shape[0]} channels")
    return Value(shape, 0, 1, "uint8")
