"""A SpikingJelly network (torch modules) into a `FloatNet`.

Modules are known by their class and attributes. In Sequentials their order is known; any other
module is traced (`torch_trace.py`): additions of spikes and of sums, products of spikes and
1 - spikes between them, as residual networks have them. Neurons (Fang et al., Science Advances
2023; SpikingJelly's `neuron.py`):

    IFNode                          v + x                           keep 1, gain 1
    LIFNode, ParametricLIFNode      v + (x - v) / tau               keep 1 - 1/tau, gain 1/tau
      with decay_input=False        v (1 - 1/tau) + x               keep 1 - 1/tau, gain 1

    SlidingPSN                      sum_i weight[k - 1 - i] x[t - i] + bias >= 0, no reset

firing at v >= v_threshold; v_reset None is a reset by subtraction. Batch norm goes into the weights
before it (in eval mode), dropout is left out. What reads a sum of several spikes reads each of them
through the same weights.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edgesnn.errors import InputError

from .float_net import FloatNet, needed, stage_name
from .float_stages import Enlarged, Joined, Neurons, Pooled, Stage, Weighted
from .torch_modules import (
    CONTAINERS,
    INSTEAD,
    KNOWN,
    MODAL,
    NEURONS,
    SKIPPED,
    Flow,
    array_of,
    both,
    is_chain,
)


def read_spikingjelly(module: Any, shape: tuple[int, int, int]) -> FloatNet:
    """Return the float network of a module that takes x of a shape (channels, height, width).

    Raises InputError that names the module which is not carried over, and what is.
    """
    reader = Reader(shape)
    reader.look_at_modes(module)
    if is_chain(module):
        end = reader.chain(module, "", Flow(spikes=("x",)))
    else:
        from .torch_trace import traced

        end = traced(module, reader)
    return reader.net(type(module).__name__, end)


class Reader:
    """Adds stages, module by module."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self._shape = shape
        self._stages: dict[str, Stage] = {}
        self._taken: set[str] = set()  # weighted stages that neurons read
        self._notes: list[str] = []
        self._at = ""  # what is read now, as people call it
        self._called: set[int] = set()  # neurons, which remember

    def look_at_modes(self, module: Any) -> None:
        """Note what is read otherwise than the module, as it is, would compute."""
        parts = module.named_modules() if hasattr(module, "named_modules") else ()
        names = [name for name, part in parts if part.training and type(part).__name__ in MODAL]
        if names:
            told = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            self._notes.append(
                f"{told}: in train() mode, read as in eval() mode: batch norm by its "
                "running mean and variance, and no dropout"
            )

    def net(self, about: str, end: Flow) -> FloatNet:
        """Return what leads to `end`; raises InputError."""
        names = end.sums or end.spikes
        if not self._stages or names == ("x",):
            raise InputError(f"{about} holds nothing that is carried over: {KNOWN}")
        if len(names) != 1 or end.without:
            raise InputError(
                f"{about} ends in a sum of {len(names)}, or in 1 - spikes; end in neurons or in "
                "one layer"
            )
        stages = tuple(needed(self._stages.values(), *names))
        net = FloatNet(self._shape, stages, about, tuple(self._notes))
        net.shapes()
        return net

    def chain(self, module: Any, name: str, flow: Flow) -> Flow:
        """Add a Sequential, or one module."""
        if type(module).__name__ not in CONTAINERS:
            return self.add(name, module, flow)
        for inner, child in module.named_children():
            flow = self.chain(child, f"{name}.{inner}" if name else inner, flow)
        return flow

    def add(self, name: str, module: Any, flow: Flow) -> Flow:
        """Add a module that reads `flow`; return what it gives."""
        kind, self._at = type(module).__name__, name
        where = f"{name} ({kind})"
        if kind in SKIPPED:
            return flow
        if kind in ("BatchNorm1d", "BatchNorm2d"):
            return self._fold(module, flow, where)
        if kind in (*NEURONS, "SlidingPSN"):
            if id(module) in self._called:
                raise InputError(
                    f"{where} is called twice in a step, and remembers; give each call neurons of "
                    "its own"
                )
            self._called.add(id(module))
        if kind in NEURONS:
            return self._neurons(module, kind, flow, where)
        if kind == "SlidingPSN":
            return self._sliding(module, flow, where)
        if kind in ("Conv2d", "Linear", "AvgPool2d", "MaxPool2d", "Upsample"):
            if flow.sums or flow.without:
                raise InputError(f"{where} reads sums without neurons between, or 1 - spikes")
            if kind in ("Conv2d", "Linear"):
                return self._weighted(module, kind, flow, where)
            return self._resized(module, kind, flow, where)
        raise InputError(f"{where} is not carried over{INSTEAD.get(kind, '')}; what is: {KNOWN}")

    def added(self, a: Flow, b: Flow, where: str) -> Flow:
        """Return a + b."""
        self._at = where.rpartition(" ")[2]
        if a.without or b.without:
            raise InputError(f"{where} adds 1 - spikes, which is not carried over")
        if bool(a.sums) != bool(b.sums):  # spikes to the sums of others: through weights of 1
            a, b = (flow if flow.sums else self._as_sums(flow) for flow in (a, b))
        return Flow(sums=a.sums + b.sums, spikes=a.spikes + b.spikes)

    def times(self, a: Flow, b: Flow, where: str) -> Flow:
        """Return a * b of spikes."""
        self._at = where.rpartition(" ")[2]
        if a.without:
            a, b = b, a
        for flow in (a, b):
            if len(flow.spikes) != 1 or not self._fires(flow.spikes[0]):
                raise InputError(f"{where} multiplies what are not the spikes of one layer")
        if a.without:
            raise InputError(f"{where} multiplies 1 - spikes twice, which is not carried over")
        inputs = (b.spikes[0], a.spikes[0])
        return self._push(Joined(self._name(), inputs, "iand" if b.without else "and"))

    def _fires(self, name: str) -> bool:
        """Whether a stage gives 0 and 1 alone."""
        stage = self._stages.get(name)
        if isinstance(stage, Pooled):
            return stage.op == "or"
        return isinstance(stage, Neurons | Joined)

    def _push(self, stage: Stage) -> Flow:
        self._stages[stage.name] = stage
        return Flow(spikes=(stage.name,))

    def _name(self) -> str:
        return stage_name(self._at, self._stages)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return FloatNet(self._shape, tuple(self._stages.values()), "").shapes()

    def _as_sums(self, flow: Flow) -> Flow:
        shapes, names = self._shapes(), []
        for source in flow.spikes:
            channels, *image = shapes[source]
            weight = np.ones((channels, 1, 1, 1)) if image else np.eye(channels)
            names.append(self._name())
            groups = channels if image else 1
            one = Weighted(names[-1], source, weight, np.zeros(channels), groups=groups)
            self._push(one)
        return Flow(sums=tuple(names))

    def _weighted(self, module: Any, kind: str, flow: Flow, where: str) -> Flow:
        weight = array_of(module.weight, where)
        bias = np.zeros(len(weight)) if module.bias is None else array_of(module.bias, where)
        fields: dict[str, Any] = {}
        if kind == "Conv2d":
            if module.padding_mode != "zeros" or isinstance(module.padding, str):
                raise InputError(f"{where}: padding {module.padding!r} {module.padding_mode}")
            if both(module.dilation, where) != 1:
                raise InputError(f"{where}: dilated kernels are not carried over")
            sides = {name: both(getattr(module, name), where) for name in ("stride", "padding")}
            fields = {**sides, "groups": int(module.groups)}
        names = []
        for source in flow.spikes:
            names.append(self._name())
            self._push(Weighted(names[-1], source, weight, bias, **fields))
            bias = np.zeros(len(weight))  # once
        return Flow(sums=tuple(names))

    def _parts(self, flow: Flow) -> list[Weighted]:
        return [part for name in flow.sums if isinstance(part := self._stages[name], Weighted)]

    def _fold(self, module: Any, flow: Flow, where: str) -> Flow:
        parts = self._parts(flow)
        if not parts:
            raise InputError(f"{where}: batch norm goes into weights, and there are none before it")
        if module.running_mean is None:
            raise InputError(f"{where}: batch norm without running statistics depends on the batch")
        mean, variance = array_of(module.running_mean, where), array_of(module.running_var, where)
        gain = np.ones(len(mean)) if module.weight is None else array_of(module.weight, where)
        shift = np.zeros(len(mean)) if module.bias is None else array_of(module.bias, where)
        factor = gain / np.sqrt(variance + float(module.eps))
        names: list[str] = []
        for part in parts:
            weight = part.weight * factor.reshape(-1, *[1] * (part.weight.ndim - 1))
            bias = part.bias * factor
            if not names:
                bias = bias - mean * factor + shift
            names.append(self._name())
            self._push(replace(part, name=names[-1], weight=weight, bias=bias))
        return Flow(sums=tuple(names))

    def _resized(self, module: Any, kind: str, flow: Flow, where: str) -> Flow:
        if kind == "Upsample":
            factor = both(module.scale_factor, where)
            if module.size is not None or module.mode != "nearest" or factor != int(factor):
                raise InputError(f"{where}: nearest, by a whole factor, is carried over")
            made = [self._push(Enlarged(self._name(), s, int(factor))) for s in flow.spikes]
            return Flow(spikes=tuple(name for one in made for name in one.spikes))
        size = both(module.kernel_size, where)
        stride = size if module.stride is None else both(module.stride, where)
        other = getattr(module, "divisor_override", None), getattr(module, "dilation", 1)
        if other[0] is not None or both(other[1], where) != 1:
            raise InputError(f"{where}: a divisor or a dilation of its own is not carried over")
        if stride != size or both(module.padding, where):
            raise InputError(f"{where}: windows of {size} every {stride}; they must not overlap")
        if kind == "AvgPool2d":
            made = [self._push(Pooled(self._name(), s, size, "mean")) for s in flow.spikes]
            return Flow(spikes=tuple(name for one in made for name in one.spikes))
        if len(flow.spikes) != 1 or not self._fires(flow.spikes[0]):
            raise InputError(f"{where}: the largest of sums is not carried over, only of spikes")
        return self._push(Pooled(self._name(), flow.spikes[0], size, "or"))

    def _before(self, flow: Flow, where: str) -> list[Weighted]:
        """Return the weighted stages that neurons read, copies where others read them too."""
        parts = self._parts(flow)
        if not parts:
            raise InputError(f"{where}: neurons follow Conv2d or Linear")
        own = []
        for part in parts:
            if part.name in self._taken:
                part = replace(part, name=self._name())
                self._push(part)
            self._taken.add(part.name)
            own.append(part)
        return own

    def _neurons(self, module: Any, kind: str, flow: Flow, where: str) -> Flow:
        before = self._before(flow, where)
        v_reset = module.v_reset
        if v_reset not in (None, 0, 0.0):
            raise InputError(f"{where}: v_reset is {v_reset:g}; 0 and None are carried over")
        keep, gain = 1.0, 1.0
        if kind != "IFNode":
            if kind == "LIFNode":
                share = 1 / float(module.tau)
            else:
                share = float(1 / (1 + np.exp(-float(array_of(module.w, where)))))
            keep, gain = 1 - share, share if module.decay_input else 1.0
        theta = np.full(len(before[0].weight), float(module.v_threshold))
        reset: Any = "subtract" if v_reset is None else "zero"
        inputs = tuple(part.name for part in before)
        return self._push(Neurons(self._name(), inputs, theta, keep=keep, gain=gain, reset=reset))

    def _sliding(self, module: Any, flow: Flow, where: str) -> Flow:
        before = self._before(flow, where)
        taps = array_of(module.weight, where)[::-1].copy()
        if not taps.any():
            raise InputError(f"{where}: all of its taps are 0")
        bias = float(array_of(module.bias, where))
        if any(part.bias.any() for part in before) and len(taps) > 1:
            self._notes.append(
                f"{where}: the bias before it counts in full from the first step on, not only "
                f"after {len(taps) - 1} steps"
            )
        for part in before:
            self._stages[part.name] = replace(part, taps=taps, bias=part.bias * taps.sum())
        # V + bias >= 0 with a threshold above 0: both sides are raised alike.
        raised = max(0.0, bias) + 1 if bias >= 0 else 0.0
        theta = np.full(len(before[0].weight), raised - bias if bias < 0 else raised)
        current = bias + raised if bias >= 0 else 0.0
        inputs = tuple(part.name for part in before)
        return self._push(
            Neurons(self._name(), inputs, theta, keep=0.0, current=current, reset="none")
        )
