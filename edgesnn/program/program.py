"""The integer program: a trained network as data, with one meaning on every backend.

A program is a list of nodes in order (`kinds/`) and a table of named integer tensors. Each step
it takes one input frame x, uint8 of shape (channels, height, width), and a state, and gives y and
the next state. All arithmetic is on integers; what a node means is its `run`, which
`hardware/reference.py` executes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any

import numpy as np

from edgesnn.errors import BundleError
from edgesnn.program.check import infer
from edgesnn.program.kinds.layer import Layer
from edgesnn.program.kinds.layer_bounds import filtered_bounds_of, sum_bounds_of
from edgesnn.program.kinds.previous import Previous
from edgesnn.program.node import Node, State, StatePort, Tensor, Value
from edgesnn.program.nodes import KINDS


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
        return self._hashed(to_dict(self))

    @property
    def any_grid_sha256(self) -> str:
        """The same, whatever the height and width of x."""
        return self._hashed({**to_dict(self), "input_shape": [self.input_shape[0], 0, 0]})

    def _hashed(self, description: dict[str, Any]) -> str:
        digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
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

    def on_grid(self, height: int, width: int) -> Program:
        """Return the same network for an x of another height and width.

        Raises BundleError where its nodes do not fit each other on it.
        """
        return replace(self, input_shape=(self.input_shape[0], height, width))

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of y."""
        return self.values[self.output].shape

    def taps_of(self, layer: Layer) -> Tensor:
        """Return the layer's taps, int32 of shape (m, k)."""
        return layer.taps_in(self.tensors)

    def delays_of(self, layer: Layer) -> Tensor | None:
        """Return the layer's delays, int64 of its weight's shape; None where it has none."""
        return layer.delays_in(self.tensors)

    def history_of(self, layer: Layer) -> int:
        """Return how many past inputs the layer remembers."""
        return layer.memory(self)

    def filtered_bounds(self, layer: Layer) -> tuple[int, int]:
        """Return (low, high) of the layer's filtered input u: no input can exceed them."""
        return filtered_bounds_of(self, layer)

    def sum_bounds(self, layer: Layer) -> tuple[Tensor, Tensor]:
        """Return lowest and highest H that any input could reach, int64 per output channel."""
        return sum_bounds_of(self, layer)


def to_dict(program: Program) -> dict[str, Any]:
    """Return everything but the tensors as plain JSON values."""
    return {
        "format": "edgesnn-program",
        "version": 1,
        "name": program.name,
        "step_us": program.step_us,
        "input_shape": list(program.input_shape),
        "input_high": program.input_high,
        "nodes": [_entry(node) for node in program.nodes],
        "output": program.output,
    }


def _entry(node: Node) -> dict[str, Any]:
    """Return a node as JSON values; what came to a kind later and is not there is not told."""
    assert is_dataclass(node)
    values = asdict(node)
    for name, without in (("delays", None), ("drop", None), ("leak", None), ("most", 1)):
        if name in values and values[name] == without:
            del values[name]
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


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
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
    kind: Any = KINDS[entry["kind"]]
    for one in fields(kind):
        value = given.get(one.name)
        if str(one.type) == "int" and one.name in given and type(value) is not int:
            raise BundleError(f"{entry.get('name')}: {one.name} is {value!r}, no whole number")
    node: Node = kind(**given)
    return node


def state_ports(program: Program) -> dict[str, StatePort]:
    """Return shape and type of every state tensor, by name, in order; see `Node.ports`."""
    ports: dict[str, StatePort] = {}
    for node in program.nodes:
        ports |= node.ports(program)
    return ports


def initial_state(program: Program) -> State:
    """Return the exact state before the first step: all zeros, freshly allocated."""
    return {name: np.zeros(port.shape, port.dtype) for name, port in state_ports(program).items()}


def has_loops(program: Program) -> bool:
    """Whether a node reads what a later one gave in the step before: it runs step by step."""
    return any(isinstance(node, Previous) for node in program.nodes)


def warmup_steps(program: Program) -> int | None:
    """Return after how many steps nothing of the initial state can be left in the output.

    None: there is no such number. Neurons that fire once do not forget (such a program runs in
    trials, each of which begins with a reset), and a difference in the potentials of leaky neurons
    can move their later spikes.
    """
    return _depth(program, lambda node: node.memory(program)).get(program.output)


def resting_steps(program: Program) -> int | None:
    """Return after how many steps without input further ones leave the whole state as it is.

    None: never certain, there are neurons that fire once. Thresholds are taken to be at least 1,
    as conversions write them: nothing fires without input.
    """
    depth = _depth(program, lambda node: node.settling(program))
    return max(depth.values()) if depth else None


def _depth(program: Program, own: Callable[[Node], int | None]) -> dict[str, int]:
    """Return how far back x can count in each node's output where nothing else comes in.

    own: what a node adds. Empty where one of them sets no end.
    """
    depth: dict[str, int] = {"x": 0}
    for node in program.nodes:
        added = own(node)
        if added is None:
            return {}
        depth[node.name] = max(depth[name] for name in node.reads) + added
    return depth
