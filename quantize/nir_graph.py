"""A .nir file as nodes in order: read, flattened, its loops found.

Subgraphs become part of the graph around them, their nodes named SUBGRAPH.NODE. An edge that closes
a circle must come from neurons; it is then read one step late, as every framework steps it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgesnn.errors import InputError, MissingDependency
from edgesnn.text import first_line

SPIKING = ("IF", "LIF", "CubaLIF", "Threshold")
PASSING = ("Flatten", "Input", "Output")
"""What only hands on: Input and Output of a subgraph among them."""
_MOST_VALUES = 50_000_000
_DEEPEST = 8
Edge = tuple[str, str]


@dataclass(slots=True)
class Graph:
    """nodes: by name, nir's own objects. edges: of this step. late: edges read one step late.
    order: of the nodes, each behind all that it reads in this step. inputs, outputs: of the whole.
    """

    path: Path
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    late: list[Edge] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)

    def kind(self, name: str) -> str:
        """Return the name of a node's class."""
        return type(self.nodes[name]).__name__


def read_graph(source: Path | Any) -> Graph:
    """Read a file, or a nir.NIRGraph.

    Raises InputError that names what is wrong, MissingDependency without nir.
    """
    try:
        import nir  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingDependency('reading .nir needs nir: pip install ".[nir]"') from error
    path = source if isinstance(source, Path) else Path("the graph")
    found = Graph(path)
    try:
        graph = nir.read(path, type_check=False) if isinstance(source, Path) else source
        edges: set[Edge] = set()
        _flatten(graph, "", found, edges, 0)
    except InputError:
        raise
    except Exception as error:  # h5py and nir raise many kinds
        said = first_line(error)[:200]
        raise InputError(f"{path} is not a readable NIR graph: {said}") from error
    values = sum(np.size(v) for node in found.nodes.values() for v in vars(node).values())
    if values > _MOST_VALUES:
        raise InputError(f"{path} holds {values:,} numbers; edgesnn takes {_MOST_VALUES:,}")
    for source, target in edges:
        for name in (source, target):
            if name not in found.nodes:
                raise InputError(f"{path}: an edge names {name!r}, which is no node")
    found.edges = sorted(edges)
    _put_in_order(found)
    return found


def _flatten(graph: Any, prefix: str, found: Graph, edges: set[Edge], depth: int) -> None:
    """Add a graph's nodes and edges under a prefix; a subgraph's ends stand for it."""
    if depth > _DEEPEST:
        raise InputError(f"{found.path}: subgraphs lie more than {_DEEPEST} deep in each other")
    ends: dict[str, tuple[str, str]] = {}
    for name, node in graph.nodes.items():
        own = f"{prefix}{name}"
        if type(node).__name__ != "NIRGraph":
            found.nodes[own] = node
            if not prefix:
                kind = type(node).__name__
                if kind in ("Input", "Output"):
                    (found.inputs if kind == "Input" else found.outputs).append(own)
            continue
        kinds = {inner: type(part).__name__ for inner, part in node.nodes.items()}
        pair = []
        for wanted in ("Input", "Output"):
            names = [inner for inner, kind in kinds.items() if kind == wanted]
            if len(names) != 1:
                raise InputError(
                    f"{found.path}: the subgraph {own} has {len(names)} nodes of {wanted.lower()}; "
                    "wanted one"
                )
            pair.append(f"{own}.{names[0]}")
        ends[own] = (pair[0], pair[1])
        _flatten(node, f"{own}.", found, edges, depth + 1)
    for a, b in graph.edges:
        source, target = f"{prefix}{a}", f"{prefix}{b}"
        edges.add((ends.get(source, ("", source))[1], ends.get(target, (target, ""))[0]))


def _put_in_order(graph: Graph) -> None:
    """Fill order and late; raises InputError for a circle without neurons."""
    needs = {name: {a for a, b in graph.edges if b == name} for name in graph.nodes}
    done: set[str] = set()
    while needs:
        ready = sorted(name for name, missing in needs.items() if missing <= done)
        if not ready:
            late = _closing(graph, needs, done)
            graph.late += late
            for source, target in late:
                graph.edges.remove((source, target))
                needs[target].discard(source)
            continue
        graph.order += ready
        done |= set(ready)
        for name in ready:
            del needs[name]


def _closing(graph: Graph, needs: dict[str, set[str]], done: set[str]) -> list[Edge]:
    """Return edges from neurons that close a circle, all into one node."""
    for name in sorted(needs):
        missing = needs[name] - done
        if all(graph.kind(source) in SPIKING for source in missing):
            reached = _reached(graph, name)
            if missing <= reached:
                return [(source, name) for source in sorted(missing)]
    raise InputError(
        f"{graph.path}: {', '.join(sorted(needs))} read each other in a circle, and no neurons in "
        "it are read by all that is behind them: such a loop is not carried over"
    )


def _reached(graph: Graph, start: str) -> set[str]:
    found: set[str] = set()
    new = {start}
    while new:
        new = {b for a, b in graph.edges if a in new} - found
        found |= new
    return found


def input_shape(graph: Graph, name: str) -> tuple[int, int, int]:
    """Return (channels, height, width) of the input; features are (n, 1, 1). Raises InputError."""
    found = getattr(graph.nodes[name], "input_type", {}) or {}
    shape = tuple(int(n) for n in np.ravel(found.get("input", ())))
    # Some writers leave it out, or tell time and batch with it: what reads it says.
    wanted = _shape_wanted(graph, name)
    if wanted and shape[-1:] in ((), wanted):
        shape = wanted
    if len(shape) == 1:
        shape = (shape[0], 1, 1)
    if len(shape) == 2:  # channels and a length: what Conv1d takes
        shape = (shape[0], 1, shape[1])
    if len(shape) != 3 or min(shape) < 1 or int(np.prod(shape)) > 1 << 24:
        raise InputError(
            f"{graph.path}: the input {name} is of shape {shape}; wanted (channels, height, "
            "width), or (features,)"
        )
    return shape[0], shape[1], shape[2]


def _shape_wanted(graph: Graph, name: str) -> tuple[int, ...]:
    """Return how many features the first linear map behind the input takes."""
    for source, target in graph.edges:
        if source == name and graph.kind(target) in ("Affine", "Linear"):
            return (int(np.shape(graph.nodes[target].weight)[-1]),)
    return ()
