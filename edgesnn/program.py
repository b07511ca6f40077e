"""The integer program: a trained network as data, with one meaning on every backend.

A program is a list of nodes in order (`nodes.py`) and a table of named integer tensors. Each step
it takes one input frame x, uint8 of shape (channels, height, width), and a state, and gives y and
the next state. All arithmetic is on integers; `hardware/reference.py` defines the meaning.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from edgesnn.errors import BundleError
from edgesnn.nodes import (
    KINDS,
    Add,
    Concat,
    Layer,
    Node,
    Pool,
    Tensor,
    Upsample,
    Value,
    inputs_of,
)
from edgesnn.program_check import filtered_bounds, infer, sum_bounds, taps_of

__all__ = [
    "KINDS",
    "Add",
    "Concat",
    "Layer",
    "Node",
    "Pool",
    "Program",
    "State",
    "Tensor",
    "Upsample",
    "Value",
    "from_dict",
    "initial_state",
    "inputs_of",
    "state_shapes",
    "to_dict",
    "warmup_steps",
]

State = dict[str, Tensor]
"""The whole memory of a stream, by name; see `state_shapes`."""


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A network as integers. Two programs are equal when their hashes are.

    name: of the network. step_us: length of one step in microseconds of event time.
    input_shape: (channels, height, width) of x. input_high: largest value of x.
    nodes: in the order of execution. output: the node whose output is y (as int32).
    tensors: by name; int8 or int32, C-contiguous, never written to.
    """

    name: str
    step_us: int
    input_shape: tuple[int, int, int]
    input_high: int
    nodes: tuple[Node, ...]
    output: str
    tensors: dict[str, Tensor] = field(repr=False)
    values: dict[str, Value] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the whole program and derive each node's shape and bounds.

        Raises BundleError naming the node and what is wrong.
        """
        if self.step_us < 1:
            raise BundleError(f"step_us is {self.step_us}, wanted at least 1")
        x = Value(self.input_shape, 0, self.input_high, "uint8")
        object.__setattr__(self, "values", infer(self.nodes, self.tensors, x, self.output))

    @property
    def sha256(self) -> str:
        """Hash over the description and every tensor's name, type, shape and bytes."""
        digest = hashlib.sha256(json.dumps(to_dict(self), sort_keys=True).encode())
        for name in sorted(self.tensors):
            tensor = self.tensors[name]
            digest.update(f"{name} {tensor.dtype.str} {tensor.shape}".encode())
            digest.update(np.ascontiguousarray(tensor).tobytes())
        return digest.hexdigest()

    def __eq__(self, other: object) -> bool:
        """Compare descriptions and tensors, by hash."""
        return isinstance(other, Program) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        """Equal programs have equal hashes."""
        return hash(self.sha256)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of y."""
        return self.values[self.output].shape

    def taps_of(self, layer: Layer) -> Tensor:
        """Return the layer's taps, int32 of shape (m, k)."""
        return taps_of(layer, self.tensors)

    def filtered_bounds(self, layer: Layer) -> tuple[int, int]:
        """Return (low, high) of the layer's filtered input u: no input can exceed them."""
        return filtered_bounds(self.taps_of(layer), self.values[layer.input])

    def sum_bounds(self, layer: Layer) -> tuple[Tensor, Tensor]:
        """Return lowest and highest H that any input could reach, int64 per output channel."""
        return sum_bounds(self.tensors[layer.weight], *self.filtered_bounds(layer))


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
        channels, height, width = description["input_shape"]
        return Program(
            name=description["name"],
            step_us=int(description["step_us"]),
            input_shape=(int(channels), int(height), int(width)),
            input_high=int(description["input_high"]),
            nodes=tuple(_node(entry) for entry in description["nodes"]),
            output=description["output"],
            tensors=tensors,
        )
    except KeyError as error:
        raise BundleError(f"the program's description has no {error}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"the program's description is not usable: {error}") from error


def _node(entry: dict[str, Any]) -> Node:
    if entry["kind"] not in KINDS:
        known = ", ".join(KINDS)
        raise BundleError(f"{entry.get('name')}: unknown kind {entry['kind']!r}; known: {known}")
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
    return KINDS[entry["kind"]](**fields)


def state_shapes(program: Program) -> dict[str, tuple[int, ...]]:
    """Return the shape of every state tensor (all uint8, all 0 at the start), by name, in order.

    state_<layer>: the layer's last k - 1 inputs, (k - 1, *input shape), newest first; layers with
    k = 1 have none.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for node in program.nodes:
        if isinstance(node, Layer) and program.taps_of(node).shape[1] > 1:
            past = program.taps_of(node).shape[1] - 1
            shapes[f"state_{node.name}"] = (past, *program.values[node.input].shape)
    return shapes


def initial_state(program: Program) -> State:
    """Return the exact state before the first step: all zeros, freshly allocated."""
    return {name: np.zeros(shape, np.uint8) for name, shape in state_shapes(program).items()}


def warmup_steps(program: Program) -> int:
    """Return after how many steps nothing of the initial state can be left in the output."""
    depth: dict[str, int] = {"x": 0}
    for node in program.nodes:
        memory = program.taps_of(node).shape[1] - 1 if isinstance(node, Layer) else 0
        depth[node.name] = max(depth[name] for name in inputs_of(node)) + memory
    return depth[program.output]
