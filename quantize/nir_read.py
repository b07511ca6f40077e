"""NIR graphs (Pedersen et al., Nature Communications 2024) into `FloatNet`s.

Continuous neurons are stepped as their convention says, with dt = one step:

    nir       tau dv/dt = (v_leak - v) + r I by Euler:  keep = 1 - dt / tau,  gain = r dt / tau
    sinabs    exactly over a step:                      keep = exp(-dt / tau), gain = r (1 - keep)
    IF        dv/dt = r I: gain = r, as every framework steps it

A potential at the threshold fires (nir: > in the paper's text, >= in sinabs; equal only for exact
ties). After a spike a neuron starts from v_reset, or lower by the threshold with reset "subtract".
"""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError, MissingDependency

from .float_net import FloatNet, Floats, Neurons, Pooled, Stage, Weighted

CONVENTIONS = ("nir", "sinabs")
_MOST_VALUES = 50_000_000
_KNOWN = "Affine, Linear, Conv2d, IF, LIF, Threshold, SumPool2d, AvgPool2d, Flatten, Input, Output"
_INSTEAD = {
    "CubaLIF": "its synaptic current is not carried over yet; train with LIF",
    "CubaLI": "a leaky integrator without spikes is not carried over yet; end with LIF or Affine",
    "LI": "a leaky integrator without spikes is not carried over yet; end with LIF or Affine",
    "I": "an integrator without spikes is not carried over yet; end with IF or Affine",
    "Conv1d": "one-dimensional convolutions are not carried over yet; use Conv2d of height 1",
    "Delay": "delays are not carried over yet",
    "Scale": "put the factor into the weights before or behind it",
    "NIRGraph": "subgraphs are not carried over yet; write the graph flat",
}
Reset = Literal["zero", "subtract"]


def read_nir(
    path: Path, *, step_us: int, convention: str = "nir", reset: Reset | None = None
) -> FloatNet:
    """Read a .nir file; raises InputError that names the node and what is wrong with it.

    step_us: of a step. convention: see the module's head. reset: None: to v_reset, as NIR says.
    """
    if convention not in CONVENTIONS:
        raise InputError(f"--convention {convention} is none; give {' or '.join(CONVENTIONS)}")
    nodes, edges = _graph(path)
    order = _ordered(nodes, edges, path)
    before = defaultdict(list)
    for source, target in edges:
        before[target].append(source)
    return _Reader(path, nodes, before, step_us * 1e-6, convention, reset).net(order)


def _graph(path: Path) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    try:
        import nir  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingDependency('reading .nir needs nir: pip install ".[nir]"') from error
    try:
        graph = nir.read(path, type_check=False)
        nodes = dict(graph.nodes)
        edges = sorted({(str(a), str(b)) for a, b in graph.edges})
    except Exception as error:  # h5py and nir raise many kinds
        said = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"{path} is not a readable NIR graph: {said[0][:200]}") from error
    values = sum(np.size(v) for node in nodes.values() for v in vars(node).values())
    if values > _MOST_VALUES:
        raise InputError(f"{path} holds {values:,} numbers; edgesnn takes {_MOST_VALUES:,}")
    for source, target in edges:
        for name in (source, target):
            if name not in nodes:
                raise InputError(f"{path}: an edge names {name!r}, which is no node")
    return nodes, edges


def _ordered(nodes: dict[str, Any], edges: list[tuple[str, str]], path: Path) -> list[str]:
    """Return the nodes, each behind all that it reads; raises InputError for circles."""
    waiting = {name: {a for a, b in edges if b == name} for name in nodes}
    order: list[str] = []
    while waiting:
        ready = sorted(name for name, needs in waiting.items() if needs <= set(order))
        if not ready:
            raise InputError(
                f"{path}: {', '.join(sorted(waiting))} read each other in a circle: recurrent "
                "edges are not carried over yet"
            )
        order += ready
        for name in ready:
            del waiting[name]
    return order


class _Reader:
    def __init__(
        self,
        path: Path,
        nodes: dict[str, Any],
        before: dict[str, list[str]],
        dt: float,
        convention: str,
        reset: Reset | None,
    ) -> None:
        self._path, self._nodes, self._before = path, nodes, before
        self._dt, self._convention, self._reset = dt, convention, reset
        self._stages: list[Stage] = []
        self._named: dict[str, str] = {}  # of nodes: the stage that gives their output
        self._notes: list[str] = []

    def net(self, order: list[str]) -> FloatNet:
        kinds = {name: type(self._nodes[name]).__name__ for name in order}
        inputs = [name for name in order if kinds[name] == "Input"]
        outputs = [name for name in order if kinds[name] == "Output"]
        for names, what in ((inputs, "input"), (outputs, "output")):
            if len(names) != 1:
                raise InputError(f"{self._path} has {len(names)} nodes of {what}; wanted one")
        shape = self._input_shape(inputs[0], order, kinds)
        for name in order:
            if kinds[name] not in ("Input", "Output"):
                self._add(name, kinds[name])
        (last,) = self._reads(outputs[0], 1)
        if not self._stages or self._stages[-1].name != last:
            raise InputError(f"{self._path}: what {outputs[0]} reads is not the end of the graph")
        net = FloatNet(shape, tuple(self._stages), self._path.name, tuple(self._notes))
        net.shapes()
        return net

    def _input_shape(
        self, name: str, order: list[str], kinds: dict[str, str]
    ) -> tuple[int, int, int]:
        found = getattr(self._nodes[name], "input_type", {}) or {}
        shape = tuple(int(n) for n in np.ravel(found.get("input", ())))
        if len(shape) == 1:
            shape = (shape[0], 1, 1)
        if len(shape) != 3 or min(shape) < 1 or int(np.prod(shape)) > 1 << 24:
            raise InputError(
                f"{self._path}: the input {name} is of shape {shape}; wanted (channels, height, "
                "width), or (features,)"
            )
        self._named[name] = "x"
        return shape[0], shape[1], shape[2]

    def _reads(self, name: str, most: int | None = None) -> list[str]:
        sources = self._before[name]
        if not sources or (most is not None and len(sources) > most):
            raise InputError(
                f"{self._path}: {name} ({type(self._nodes[name]).__name__}) reads {len(sources)} "
                f"nodes; wanted {'at least one' if most is None else most}"
            )
        return [self._named[source] for source in sources]

    def _add(self, name: str, kind: str) -> None:
        own, node = f"n_{len(self._stages)}", self._nodes[name]
        where = f"{self._path}: {name} ({kind})"
        if kind == "Flatten":
            (self._named[name],) = self._reads(name, 1)
            return
        if kind in ("Affine", "Linear", "Conv2d"):
            (source,) = self._reads(name, 1)
            stage: Stage = self._weighted(own, source, node, kind, where)
        elif kind in ("SumPool2d", "AvgPool2d"):
            (source,) = self._reads(name, 1)
            stage = self._pooled(own, source, node, kind, where)
        elif kind in ("IF", "LIF", "Threshold"):
            stage = self._neurons(own, tuple(self._reads(name)), node, kind, where)
        else:
            hint = _INSTEAD.get(kind, "it is not carried over")
            raise InputError(f"{where}: {hint}; what is: {_KNOWN}")
        self._stages.append(stage)
        self._named[name] = own

    def _weighted(self, own: str, source: str, node: Any, kind: str, where: str) -> Weighted:
        weight = _finite(node.weight, where, "weight")
        bias = _finite(getattr(node, "bias", np.zeros(weight.shape[0])), where, "bias")
        if weight.ndim != (4 if kind == "Conv2d" else 2) or bias.shape != weight.shape[:1]:
            raise InputError(f"{where}: weight of {weight.shape} and bias of {bias.shape}")
        if kind != "Conv2d":
            return Weighted(own, source, weight, bias)
        if _both(node.dilation, where, "dilation") != 1:
            raise InputError(f"{where}: dilated kernels are not carried over")
        stride, padding = _both(node.stride, where, "stride"), node.padding
        if isinstance(padding, str):
            if padding not in ("same", "valid") or len(set(weight.shape[2:])) != 1:
                raise InputError(f"{where}: padding {padding!r} of a kernel of {weight.shape[2:]}")
            if padding == "same" and (stride != 1 or weight.shape[2] % 2 == 0):
                raise InputError(f"{where}: padding 'same' needs stride 1 and odd kernels")
            padding = weight.shape[2] // 2 if padding == "same" else 0
        return Weighted(
            own,
            source,
            weight,
            bias,
            stride=stride,
            padding=_both(padding, where, "padding"),
            groups=int(node.groups),
        )

    def _pooled(self, own: str, source: str, node: Any, kind: str, where: str) -> Pooled:
        size, stride = (_both(getattr(node, n), where, n) for n in ("kernel_size", "stride"))
        if stride != size or _both(node.padding, where, "padding"):
            raise InputError(f"{where}: windows of {size} every {stride}; they must not overlap")
        return Pooled(own, source, size, "sum" if kind == "SumPool2d" else "mean")

    def _neurons(
        self, own: str, inputs: tuple[str, ...], node: Any, kind: str, where: str
    ) -> Neurons:
        stages = {stage.name: stage for stage in self._stages}
        for name in inputs:
            if not isinstance(stages.get(name), Weighted):
                raise InputError(f"{where}: reads what is not weighted (Affine, Linear, Conv2d)")
        name = "threshold" if kind == "Threshold" else "v_threshold"
        theta = _by_channel(getattr(node, name), where, name)
        if kind == "Threshold":
            return Neurons(own, inputs, theta, keep=0.0, reset="none", strict=True)
        gain = _one(node.r, where, "r")
        rest = _one(node.v_leak, where, "v_leak") if kind == "LIF" else 0.0
        back = getattr(node, "v_reset", None)
        back = rest if back is None else _one(back, where, "v_reset")
        if self._reset is None and back != rest:
            raise InputError(
                f"{where}: starts from {back:g} after a spike and rests at {rest:g}; these must be "
                "the same (or say --reset subtract)"
            )
        keep = 1.0
        if kind == "LIF":
            tau = _one(node.tau, where, "tau")
            if not tau > 0 or (self._convention == "nir" and tau < self._dt):
                raise InputError(
                    f"{where}: tau is {tau:g} s and a step {self._dt:g} s; take shorter steps "
                    "(--step-us)"
                )
            keep = 1 - self._dt / tau if self._convention == "nir" else math.exp(-self._dt / tau)
            gain *= 1 - keep
        # Potentials are counted from where the neuron rests.
        return Neurons(own, inputs, theta - rest, keep=keep, gain=gain, reset=self._reset or "zero")


def _finite(values: Any, where: str, name: str) -> Floats:
    array = np.asarray(values)
    if array.dtype.kind not in "fiu" or array.size == 0:
        raise InputError(f"{where}: {name} is {array.dtype} of shape {array.shape}, not numbers")
    floats: Floats = array.astype(np.float64)
    if not np.isfinite(floats).all():
        raise InputError(f"{where}: {name} holds values that are not finite")
    return floats


def _both(value: Any, where: str, name: str) -> int:
    """Return a whole number that is the same for height and width."""
    found: NDArray[Any] = np.unique(np.asarray(value))
    if len(found) != 1 or found.dtype.kind not in "iuf" or found[0] != int(found[0]):
        raise InputError(f"{where}: {name} is {value}; wanted one whole number for both sides")
    if not 0 <= int(found[0]) < 1 << 16:
        raise InputError(f"{where}: {name} is {value}")
    return int(found[0])


def _one(values: Any, where: str, name: str) -> float:
    found = np.unique(_finite(values, where, name))
    if len(found) != 1:
        raise InputError(
            f"{where}: {name} differs between neurons ({found.min():g} to {found.max():g}); one "
            "for the layer is carried over"
        )
    return float(found[0])


def _by_channel(values: Any, where: str, name: str) -> Floats:
    found = _finite(values, where, name)
    flat = found.reshape(found.shape[0] if found.ndim else 1, -1)
    if (flat != flat[:, :1]).any():
        raise InputError(f"{where}: {name} differs within a channel; one a channel is carried over")
    if (flat <= 0).any():
        raise InputError(f"{where}: {name} must be above 0")
    channels: Floats = flat[:, 0].copy()
    return channels
