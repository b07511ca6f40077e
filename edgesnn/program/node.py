"""What every kind of node has: data, a check, a state, a meaning on integers, ONNX operators.

A kind is a frozen dataclass in a file of its own in `kinds/` (its equation at the top) and a line
in `nodes.KINDS`. Its fields are what a bundle stores.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import BundleError

Tensor = NDArray[Any]
State = dict[str, Tensor]
"""The whole memory of a stream, by name; see `edgesnn.program.state_ports`."""
INT32 = 2**31 - 1


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
        return self.dtype == "uint8" and self.high <= 1

    @property
    def largest(self) -> int:
        """Bound of the absolute value."""
        return max(self.high, -self.low)


@dataclass(frozen=True, slots=True)
class StatePort:
    """Shape and type of one state tensor; it is all 0 at the start.

    largest: what no |value| of it can exceed, however long a stream runs.
    """

    shape: tuple[int, ...]
    dtype: Literal["uint8", "int32"] = "uint8"
    largest: int = 1

    @property
    def lowest(self) -> int:
        """The lowest value."""
        return 0 if self.dtype == "uint8" else -self.largest


class Known(Protocol):
    """What a node may look up of its program: the integer tensors, and what is known of values."""

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """The program's tensors, by name."""
        ...

    @property
    def values(self) -> Mapping[str, Value]:
        """Shape and bounds of x and of every node's output, by name."""
        ...


class Writer(Protocol):
    """An ONNX graph being written; see `edgesnn.quantize.graph.Graph`."""

    def add(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Append a node with one output; return the output's name."""
        ...

    def constant(self, name: str, value: Tensor) -> str:
        """Store a constant under a name, once; return the name."""
        ...

    def scalar(self, value: int, dtype: str) -> str:
        """Store a whole number from 0 on as a scalar; return its name."""
        ...

    def cast(self, source: str, dtype: str, out: str) -> str:
        """Append a conversion; return its output's name."""
        ...

    def reshape(self, source: str, shape: Sequence[int], out: str) -> str:
        """Append a Reshape; return its output's name."""
        ...

    def image(self, source: str, channels: int, size: Sequence[int], like: str, out: str) -> str:
        """Append a Reshape to (1, channels, *size); `like` has four axes, the last two of size."""
        ...


class Node(ABC):
    """One primitive. name: C identifier, unique; names the output.

    What a kind does not say of itself below is true of one without memory.
    """

    __slots__ = ()
    name: str
    kind: str

    @property
    @abstractmethod
    def reads(self) -> tuple[str, ...]:
        """The names that it reads, in order: "x" or earlier nodes."""

    @abstractmethod
    def value(self, tensors: Mapping[str, Tensor], given: list[Value]) -> Value:
        """Return shape and bounds of the output; raises BundleError that names what is wrong."""

    @abstractmethod
    def run(self, known: Known, given: list[Tensor], state: State) -> tuple[Tensor, State]:
        """Return the output (T, ...) for inputs (T, ...), and its own state after them.

        This is what the node means: every backend gives these bits. `given` and `state` are not
        changed.
        """

    @abstractmethod
    def write(self, graph: Writer, known: Known, sources: list[str], out: str) -> str:
        """Write one step as ONNX operators, (1, *shape) in and out; return the output's name.

        States are read as <state> and written as new_<state>.
        """

    def ports(self, known: Known) -> dict[str, StatePort]:
        """Return its state tensors, by name."""
        return {}

    def memory(self, known: Known) -> int | None:
        """Return how many steps back its inputs can count in its output; None: without end."""
        return 0

    def settling(self, known: Known) -> int | None:
        """Return after how many steps without input its state stays as it is; None: unknown."""
        return self.memory(known)

    def largest_sum(self, known: Known) -> int | None:
        """Return what no |H| that it compares or gives can exceed; None: it sums nothing."""
        return None

    def largest_number(self, known: Known) -> int | None:
        """Return what nothing on the way to H exceeds either: training in floats must hold it."""
        return self.largest_sum(known)


def tensor_of(tensors: Mapping[str, Tensor], node: str, name: str, dtype: str, ndim: int) -> Tensor:
    """Return a node's tensor; raises BundleError unless it is there, of that type and axes."""
    tensor = tensors.get(name)
    if tensor is None:
        raise BundleError(f"{node}: tensor {name} is missing")
    if tensor.dtype != np.dtype(dtype) or tensor.ndim != ndim or 0 in tensor.shape:
        raise BundleError(
            f"{node}: tensor {name} is {tensor.dtype} of shape {tensor.shape}, "
            f"wanted {dtype} with {ndim} axes"
        )
    return tensor


def image_of(node: Node, value: Value) -> tuple[int, int, int]:
    """Return (channels, height, width) of what a node reads; raises BundleError."""
    if len(value.shape) != 3:
        raise BundleError(f"{node.name}: needs (channels, height, width), got {value.shape}")
    return value.shape[0], value.shape[1], value.shape[2]


def at_least(node: Node, name: str, value: int, least: int) -> None:
    """Raise BundleError for a field that is too small."""
    if value < least:
        raise BundleError(f"{node.name}: {name} is {value}, wanted at least {least}")


def sums_of(node: Node, value: Value) -> Value:
    """Return what a node integrates; raises BundleError unless it is int32 sums."""
    if value.dtype != "int32":
        raise BundleError(f"{node.name}: integrates int32 sums, got {value.dtype}")
    return value


def compared_value(
    node: Node,
    threshold: str | None,
    tensors: Mapping[str, Tensor],
    sums: tuple[tuple[int, ...], int, int],
) -> Value:
    """Return what is known of sums (shape, low, high) after a comparison, if there is one."""
    shape, low, high = sums
    if max(high, -low) > INT32:
        raise BundleError(f"{node.name}: sums up to {max(high, -low)} do not fit int32")
    if threshold is None:
        return Value(shape, low, high, "int32")
    theta = tensor_of(tensors, node.name, threshold, "int32", 1)
    if theta.shape != (shape[0],):
        raise BundleError(f"{node.name}: {theta.shape[0]} thresholds for {shape[0]} channels")
    return Value(shape, 0, 1, "uint8")


def compared(known: Known, threshold: str | None, sums: Tensor) -> Tensor:
    """Return the spikes of sums (T, channels, ...); the sums where there is no threshold."""
    if threshold is None:
        return sums
    theta = per_channel(known.tensors[threshold], sums.ndim - 1)
    spikes: Tensor = (sums >= theta).astype(np.uint8)
    return spikes


def per_channel(tensor: Tensor, axes: int) -> Tensor:
    """Return a tensor (channels,) in the shape that meets (channels, ...) of so many axes."""
    return tensor.reshape(-1, *[1] * (axes - 1))


def write_compared(
    graph: Writer, known: Known, node: tuple[str, str | None], sums: str, out: str
) -> str:
    """Write the comparison of int32 sums of a node (name, threshold); without one they are it."""
    name, threshold = node
    if threshold is None:
        return sums
    theta = per_channel(known.tensors[threshold], len(known.values[name].shape))
    inputs = [sums, graph.constant(f"theta_{name}", theta)]
    return graph.cast(graph.add("GreaterOrEqual", inputs, f"fired_{name}"), "uint8", out)


def write_per_channel(graph: Writer, known: Known, node: Node, tensor: str) -> str:
    """Store a tensor (channels,) so that it meets the node's output; return its name."""
    wide = per_channel(known.tensors[tensor], len(known.values[node.name].shape))
    return graph.constant(f"{tensor}_of_{node.name}", wide)
