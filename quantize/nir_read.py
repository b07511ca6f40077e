"""NIR graphs (Pedersen et al., Nature Communications 2024) into `FloatNet`s.

How neurons are stepped, and what a reset is, says the convention (`conventions.py`); IF and I have
gain r in each, and CubaLIF's potential sees the new current. An edge that closes a circle is read
one step late. Features, (n,), become a row of n pixels, of which ON events count: so that a sensor,
or a recording, can feed them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError

from .conventions import Convention, Reset, convention_of
from .float_net import FloatNet, needed, of_pixels, shape_before, stage_name
from .float_stages import Before, Neurons, Potentials, Stage, Weighted
from .nir_graph import PASSING, Graph, input_shape, read_graph
from .nir_maps import pooled_map, weighted_map
from .nir_neurons import INTEGRATING, NeuronReader
from .nir_values import by_channel, finite, one

_KNOWN = (
    "Affine, Linear, Conv1d, Conv2d, IF, LIF, CubaLIF, LI, CubaLI, I, Threshold, Scale, Delay, "
    "SumPool2d, AvgPool2d, Flatten, Input, Output, subgraphs"
)
_WEIGHTED = ("Affine", "Linear", "Conv1d", "Conv2d")
_LATEST = 127


def read_nir(
    path: Path | Any,
    *,
    step_us: int,
    convention: str = "nir",
    reset: str | None = None,
    size: tuple[int, int] | None = None,
) -> FloatNet:
    """Read a .nir file, or a nir.NIRGraph.

    step_us: of a step. convention, reset: see `conventions.py`. size: (width, height) of the sensor
    whose pixels features are, ON events alone or OFF and ON. Raises InputError that names the
    node and what is wrong with it.
    """
    way, how = convention_of(convention, reset)
    return _Reader(read_graph(path), step_us * 1e-6, way, how).net(size)


class _Reader:
    def __init__(self, graph: Graph, dt: float, way: Convention, reset: Reset | None) -> None:
        self._path, self._graph, self._nodes = graph.path, graph, graph.nodes
        self._before: dict[str, list[str]] = defaultdict(list)
        for source, target in graph.edges:
            self._before[target].append(source)
        self._dt, self._integrating = dt, NeuronReader(dt, way, reset)
        self._stages: list[Stage] = []
        self._named: dict[str, str] = {}  # of nodes: the stage that gives their output
        self._sums: dict[str, list[str]] = {}  # of Scales that add up: the weighted stages
        self._late: dict[str, NDArray[np.int64] | int] = {}  # of Delays: steps
        self._scaled: dict[str, float] = {}  # of Scales of spikes: the factor
        self._notes: list[str] = []
        self._taken: set[str] = set()  # weighted stages that neurons read

    def net(self, size: tuple[int, int] | None) -> FloatNet:
        """Return the network; raises InputError."""
        graph = self._graph
        for names, what in ((graph.inputs, "input"), (graph.outputs, "output")):
            if len(names) != 1:
                raise InputError(f"{self._path} has {len(names)} nodes of {what}; wanted one")
        (first,), (end,) = graph.inputs, graph.outputs
        shape = input_shape(graph, first)
        self._named[first] = "x"
        features = shape[0] if shape[1:] == (1, 1) else 0
        for name in graph.order:
            if name not in (first, end):
                self._add(name, graph.kind(name))
        read = next(iter(self._before[end]), "")
        if len(self._before[end]) == 1 and read in self._sums:  # told as they are in each step
            own = self._free(read)
            self._stages.append(Potentials(own, tuple(self._sums.pop(read)), keep=0.0))
            self._named[read] = own
        (last,) = self._reads(end, 1)
        if np.any(self._late.get(read, 0)) or self._scaled.get(read, 1.0) != 1:
            raise InputError(f"{self._path}: a Delay or Scale of spikes is the end; leave it out")
        if not self._stages or self._stages[-1].name != last:
            raise InputError(f"{self._path}: what {end} reads is not the end of the graph")
        stages = [self._closed(stage, shape) for stage in self._stages]
        if features:
            width, height = size or (features, 1)
            if features not in (width * height, 2 * width * height):
                raise InputError(
                    f"{self._path} takes {features} features; {width} x {height} pixels are "
                    f"{width * height}, or {2 * width * height} with OFF and ON"
                )
            shape = (2, height, width)
            if features == width * height:
                stages = [of_pixels(stage) for stage in stages]
        elif size is not None and size != shape[:0:-1]:
            raise InputError(
                f"{self._path} takes {shape[2]} x {shape[1]} pixels, not {size[0]} x {size[1]}"
            )
        if not features and shape[0] == 1:  # ON events alone
            shape, stages = (2, *shape[1:]), [of_pixels(stage) for stage in stages]
        stages = needed(stages, last)
        net = FloatNet(shape, tuple(stages), self._path.name, tuple(self._notes))
        net.shapes()
        return net

    def _closed(self, stage: Stage, shape: tuple[int, int, int]) -> Stage:
        """Return a stage, a loop with the name and the shape of the neurons that close it."""
        if not isinstance(stage, Before):
            return stage
        later = self._named[stage.later]
        image = stage.shape or shape_before(shape, self._stages, later)
        if not image:
            raise InputError(
                f"{self._path}: {stage.later} closes a loop through a convolution, and nothing but "
                "the loop tells how large its image is"
            )
        return replace(stage, later=later, shape=image)

    def _reads(self, name: str, most: int | None = None) -> list[str]:
        sources = self._before[name]
        if not sources or (most is not None and len(sources) > most):
            raise InputError(
                f"{self._path}: {name} ({type(self._nodes[name]).__name__}) reads {len(sources)} "
                f"nodes; wanted {'at least one' if most is None else most}"
            )
        for source in sources:
            if source in self._sums:
                raise InputError(
                    f"{self._path}: {name} reads {source}, a sum of several maps; neurons may"
                )
        return [self._named[source] for source in sources]

    def _addends(self, name: str) -> list[str]:
        """Return the stages whose outputs a node reads, those of sums one by one."""
        if not self._before[name]:
            self._reads(name)
        found = [self._sums.get(source) or [self._named[source]] for source in self._before[name]]
        return [stage for stages in found for stage in stages]

    def _add(self, name: str, kind: str) -> None:
        own, node = self._free(name), self._nodes[name]
        where = f"{self._path}: {name} ({kind})"
        earlier = next(iter(self._before[name]), "")
        # what is late and scaled stays so until weights take it
        self._late[name] = self._late.get(earlier, 0)
        self._scaled[name] = self._scaled.get(earlier, 1.0)
        if kind in PASSING:
            (self._named[name],) = self._reads(name, 1)
            return
        if kind == "Delay":
            self._delay(name, node, where)
            return
        if kind == "Scale":
            self._scale(own, name, node, where)
            return
        if kind in _WEIGHTED:
            source = self._source(name, node)
            weighted = weighted_map(own, source, node, kind, where)
            late, factor = self._late.pop(name), self._scaled.pop(name)
            if not isinstance(late, int) and kind not in ("Affine", "Linear"):
                raise InputError(f"{where}: its inputs have several delays; one is carried over")
            stage: Stage = replace(weighted, delays=late, weight=weighted.weight * factor)
        elif kind in ("SumPool2d", "AvgPool2d"):
            (source,) = self._reads(name, 1)
            stage = pooled_map(own, source, node, kind, where)
        elif kind in INTEGRATING:
            stage = self._neurons(own, tuple(self._addends(name)), node, kind, where)
        else:
            raise InputError(f"{where}: it is not carried over; what is: {_KNOWN}")
        self._stages.append(stage)
        self._named[name] = own

    def _free(self, name: str) -> str:
        """Return a new name for the stage of a node."""
        return stage_name(name, {stage.name for stage in self._stages})

    def _source(self, name: str, node: Any) -> str:
        """Return the stage that a weighted map reads; a loop's becomes a stage of its own."""
        late = [source for source, target in self._graph.late if target == name]
        if not late:
            return self._reads(name, 1)[0]
        weight = np.shape(node.weight)
        if len(late) > 1 or self._before[name]:
            raise InputError(
                f"{self._path}: {name} closes a loop; it must read those neurons alone"
            )
        # of a convolution the image is found when all stages are known
        own = self._free(f"{name}_before")
        self._stages.append(Before(own, late[0], (int(weight[1]),) if len(weight) == 2 else ()))
        return own

    def _delay(self, name: str, node: Any, where: str) -> None:
        """Note how late a node's output comes, in whole steps."""
        (source,) = self._reads(name, 1)
        real = finite(node.delay, where, "delay").ravel() / self._dt
        steps = np.rint(real).astype(np.int64)
        if (np.abs(real - steps) > 1e-3).any():
            self._notes.append(f"{name}: delays were rounded to steps of {self._dt * 1e6:g} us")
        whole = steps + self._late[name]
        if (whole < 0).any() or (whole > _LATEST).any():
            raise InputError(
                f"{where}: delays of {int(whole.min())} to {int(whole.max())} steps; 0 to "
                f"{_LATEST} are carried over"
            )
        late = int(whole[0]) if (whole == whole[0]).all() else whole
        weighted = {stage.name: stage for stage in self._stages}.get(source)
        if not isinstance(weighted, Weighted):
            self._late[name], self._named[name] = late, source
            return
        # Late sums are the sums of late inputs.
        before = weighted.delays
        if not isinstance(late, int) or not isinstance(before, int) or weighted.bias.any():
            raise InputError(
                f"{where}: behind weights one delay is carried over, without a bias; put it on "
                "their inputs"
            )
        self._named[name] = self._free(name)
        self._stages.append(replace(weighted, name=self._named[name], delays=before + late))

    def _scale(self, own: str, name: str, node: Any, where: str) -> None:
        """Put factors into copies of the weights before them."""
        sources, stages = self._addends(name), {stage.name: stage for stage in self._stages}
        if len(sources) == 1 and not isinstance(stages.get(sources[0]), Weighted):
            # a number, for the weights behind it
            self._scaled[name] *= one(node.scale, where, "scale")
            self._named[name] = sources[0]
            return
        made: list[str] = []
        for source in sources:
            before = stages.get(source)
            if not isinstance(before, Weighted):
                raise InputError(f"{where}: adds what is not weighted (Affine, Linear, Conv2d)")
            scale = by_channel(node.scale, where, "scale", least=None)
            scale = np.broadcast_to(scale, before.bias.shape)
            factor = scale.reshape(-1, *[1] * (before.weight.ndim - 1))
            weight, bias = before.weight * factor, before.bias * scale
            name_of = own if len(sources) == 1 else self._free(f"{own}_{len(made)}")
            self._stages.append(replace(before, name=name_of, weight=weight, bias=bias))
            made.append(name_of)
        if len(made) == 1:
            self._named[name] = made[0]
        else:
            self._sums[name] = made

    def _neurons(
        self, own: str, inputs: tuple[str, ...], node: Any, kind: str, where: str
    ) -> Neurons | Potentials:
        stages, read = {stage.name: stage for stage in self._stages}, []
        for name in inputs:
            weighted = stages.get(name)
            if not isinstance(weighted, Weighted):
                raise InputError(f"{where}: reads what is not weighted (Affine, Linear, Conv2d)")
            if name in self._taken:  # by other neurons, whose unit may be another
                weighted = replace(weighted, name=self._free(name))
                self._stages.append(weighted)
            self._taken.add(weighted.name)
            read.append(weighted.name)
        return self._integrating.stage(own, tuple(read), node, kind, where)
