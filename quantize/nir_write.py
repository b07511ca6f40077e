"""An integer program as a NIR graph (Pedersen et al., Nature Communications 2024).

Exact for layers, pooling, sums and concatenation: each tap is a Delay and a Scale beside the
others, which add up; a threshold theta on whole numbers is NIR's V > theta - 1/2. Neurons that
integrate become LIF or IF, whose leak is a time constant; `differences` says what a reader that
follows NIR alone computes otherwise. The length of a step and what is special are metadata.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgesnn.errors import BundleError, MissingDependency
from edgesnn.program import (
    KEEP_UNIT,
    LEAK_UNIT,
    Add,
    Concat,
    Fire,
    Integrate,
    Layer,
    Leaky,
    Node,
    Pool,
    Program,
    Tensor,
)
from edgesnn.program.kinds.integrate import keep_of

_NEVER = 1e-9
"""Share that leaks of a neuron that keeps all, where others of its node do not."""


def nir_graph(program: Program) -> tuple[Any, list[str]]:
    """Return the graph (nir.NIRGraph), and what a reader that follows NIR alone computes otherwise.

    Raises BundleError that names a node which NIR cannot hold, MissingDependency without nir.
    """
    try:
        import nir  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingDependency('writing .nir needs nir: pip install ".[nir]"') from error
    return _Writer(nir, program).graph()


class _Writer:
    def __init__(self, nir: Any, program: Program) -> None:
        self._nir, self._program = nir, program
        self._dt = program.step_us * 1e-6
        self._nodes: dict[str, Any] = {}
        self._edges: list[tuple[str, str]] = []
        self._parts: dict[str, tuple[str, ...]] = {"x": ("input",)}
        self.differences: list[str] = []

    def graph(self) -> tuple[Any, list[str]]:
        program, nir = self._program, self._nir
        self._nodes["input"] = nir.Input({"input": np.array(program.input_shape)})
        for node in program.nodes:
            self._add(node)
        shape = np.array(program.output_shape)
        self._nodes["output"] = nir.Output({"output": shape})
        if len(self._parts[program.output]) > 1:
            raise BundleError(f"{program.output}: NIR has no output of maps that were joined")
        for name in self._parts[program.output]:
            self._edges.append((name, "output"))
        graph = nir.NIRGraph(
            self._nodes,
            self._edges,
            metadata={"dt": self._dt, "program_sha256": program.sha256, "made_by": "edgesnn"},
            type_check=False,
        )
        return graph, self.differences

    def _put(self, name: str, node: Any, *sources: str) -> str:
        self._nodes[name] = node
        self._edges += [(source, name) for source in sources]
        return name

    def _add(self, node: Node) -> None:
        shape = self._program.values[node.name].shape
        match node:
            case Layer():
                self._layer(node, shape)
            case Pool():
                self._pool(node, shape)
            case Add():
                sources = [name for source in node.reads for name in self._parts[source]]
                if len(set(sources)) < len(sources):
                    raise BundleError(f"{node.name}: adds one value twice, which NIR cannot say")
                self._compared(node.name, node.threshold, shape, sources)
            case Concat():
                self._parts[node.name] = tuple(
                    name for source in node.inputs for name in self._parts[source]
                )
            case Leaky() | Integrate() | Fire():
                self._integrating(node, shape)
            case _:
                raise BundleError(f"{node.name}: NIR has no node for kind {node.kind!r}")

    def _layer(self, node: Layer, shape: tuple[int, ...]) -> None:
        """Write every tap of every input that was joined, and sum their weighted maps."""
        tensors = self._program.tensors
        taps, weight = node.taps_in(tensors), tensors[node.weight].astype(np.float32)
        given = self._program.values[node.input].shape
        sources = self._sources(node.input)
        twice = len({source for source, _, _ in sources}) < len(sources)
        if node.groups > 1 and (len(taps) > 1 or len(sources) > 1):
            raise BundleError(f"{node.name}: grouped kernels over several filters are not written")
        delays = None if node.delays is None else tensors[node.delays]
        sums: list[str] = []
        for m, filter_taps in enumerate(taps):
            for part, (source, first, channels) in enumerate(sources):
                own = self._slice(weight, node, m, first, channels, given)
                late = delays
                if delays is not None:
                    late = self._slice(delays, node, m, first, channels, given)
                for age, tap in enumerate(filter_taps.tolist()):
                    if tap or (age == 0 and not taps.any()):  # nothing at all is still a sum
                        both = own, late
                        where = f"{m}_{part}_{source}_{age}" if twice else f"{m}_{source}_{age}"
                        sums += self._synapses(node, source, both, where, age, tap, given, channels)
        self._compared(node.name, node.threshold, shape, sums)

    def _sources(self, name: str) -> list[tuple[str, int, int]]:
        """Return what a node reads: the NIR node, its first channel and how many there are."""
        found, first = [], 0
        for part in self._parts[name]:
            shape = self._shapes(part)
            found.append((part, first, shape[0]))
            first += shape[0]
        return found

    def _shapes(self, part: str) -> tuple[int, ...]:
        return self._program.input_shape if part == "input" else self._program.values[part].shape

    def _slice(
        self,
        weight: Tensor,
        node: Layer,
        m: int,
        first: int,
        channels: int,
        given: tuple[int, ...],
    ) -> Tensor:
        if node.op == "conv":
            if node.groups > 1:
                return weight
            begins = m * given[0] + first
            return weight[:, begins : begins + channels]
        cells = int(np.prod(given[1:]))
        begins = (m * given[0] + first) * cells
        return weight[:, begins : begins + channels * cells]

    def _synapses(
        self,
        node: Layer,
        source: str,
        synapses: tuple[Tensor, Tensor | None],
        where: str,
        age: int,
        tap: int,
        given: tuple[int, ...],
        channels: int,
    ) -> list[str]:
        shape = (channels, *given[1:])
        weight, delays = synapses
        ages = [0] if delays is None else np.unique(delays[weight_mask(weight)]).tolist()
        made = []
        for extra in ages:
            name = f"{node.name}_{where}_{extra}"
            before = source
            if age + extra:
                late = np.full(shape, (age + extra) * self._dt)
                before = self._put(f"{name}_delay", self._nir.Delay(late), before)
            if tap != 1:
                scale = self._nir.Scale(np.full(shape, float(tap)))
                before = self._put(f"{name}_tap", scale, before)
            kept = weight if delays is None else np.where(delays == extra, weight, 0)
            made.append(self._weights(name, node, kept, before, shape))
        return made

    def _weights(
        self, name: str, node: Layer, weight: Tensor, before: str, shape: tuple[int, ...]
    ) -> str:
        if node.op == "conv":
            conv = self._nir.Conv2d(
                input_shape=(shape[1], shape[2]),
                weight=weight,
                stride=node.stride,
                padding=node.padding,
                dilation=1,
                groups=node.groups,
                bias=np.zeros(len(weight), np.float32),
            )
            return self._put(name, conv, before)
        if len(shape) > 1:
            flat = self._nir.Flatten({"input": np.array(shape)}, 0, -1)
            before = self._put(f"{name}_flat", flat, before)
        return self._put(name, self._nir.Linear(weight), before)

    def _pool(self, node: Pool, shape: tuple[int, ...]) -> None:
        size = np.array([node.size, node.size])
        pool = self._nir.SumPool2d(size, size, np.array([0, 0]))
        sources = self._parts[node.input]
        if len(sources) > 1:
            raise BundleError(f"{node.name}: pools what was joined; NIR cannot join")
        if node.op == "sum":
            self._put(node.name, pool, *sources)
        else:
            inner = self._put(f"{node.name}_sum", pool, *sources)
            self._put(node.name, self._nir.Threshold(np.full(shape, 0.5)), inner)
        self._parts[node.name] = (node.name,)

    def _compared(
        self, name: str, threshold: str | None, shape: tuple[int, ...], sources: list[str]
    ) -> None:
        if threshold is None:
            node = self._nir.Scale(np.ones(shape))
        else:
            node = self._nir.Threshold(_wide(self._program.tensors[threshold], shape) - 0.5)
        self._put(name, node, *sources)
        self._parts[name] = (name,)

    def _integrating(self, node: Leaky | Integrate | Fire, shape: tuple[int, ...]) -> None:
        tensors, unit = self._program.tensors, 1.0
        theta = _wide(tensors[node.threshold], shape)
        keep, current = np.ones(shape), np.zeros(shape)
        if isinstance(node, Leaky):
            keep, current = keep * node.keep / LEAK_UNIT, _wide(tensors[node.current], shape)
            self.differences.append(f"{node.name}: potentials are rounded towards 0 in each step")
        elif isinstance(node, Integrate):
            unit = float(2**node.bits)
            keep = _wide(np.atleast_1d(keep_of(node, tensors, 1)), shape) / KEEP_UNIT
            current = _wide(tensors[node.current], shape)
            if (keep < 1).any():
                self.differences.append(f"{node.name}: potentials are rounded towards 0")
            if node.most > 1:
                self.differences.append(f"{node.name}: several spikes in a step (in metadata)")
            if node.reset != "zero":
                self.differences.append(
                    f"{node.name}: reset {node.reset!r}, which NIR cannot say (it is metadata)"
                )
        else:
            self.differences.append(f"{node.name}: each neuron fires once, until it is reset")
        sources = list(self._parts[node.reads[0]])
        if current.any():
            self.differences.append(f"{node.name}: its current stands in the metadata only")
        about = {
            "current": current / unit,
            "reset": getattr(node, "reset", "zero"),
            "drop": _wide(tensors[getattr(node, "drop", None) or node.threshold], shape) / unit,
            "fires_once": isinstance(node, Fire),
            "most": getattr(node, "most", 1),
        }
        # Half a unit lower whole potentials fire alike; counts are of the threshold itself.
        half = 0.5 if getattr(node, "most", 1) == 1 else 0.0
        zero, limit = np.zeros(shape), (theta - half) / unit
        if (keep == 1).all():
            own = self._nir.IF(r=np.ones(shape), v_threshold=limit, v_reset=zero, metadata=about)
        else:
            share = np.maximum(1 - keep, _NEVER)
            own = self._nir.LIF(
                tau=self._dt / share,
                r=1 / share,
                v_leak=zero,
                v_threshold=limit,
                v_reset=zero,
                metadata=about,
            )
        self._put(node.name, own, *sources)
        self._parts[node.name] = (node.name,)


def weight_mask(weight: Tensor) -> Tensor:
    """Return where weights are not 0; all of them where none is."""
    mask: Tensor = weight != 0
    return mask if mask.any() else np.ones_like(mask)


def _wide(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a value for each channel in the full shape."""
    column = values.astype(np.float64).reshape(-1, *[1] * (len(shape) - 1))
    return np.broadcast_to(column, shape).copy()
