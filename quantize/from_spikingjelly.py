"""A SpikingJelly network (torch modules) into a `FloatNet`; works without importing either.

    net = from_spikingjelly(module, (2, 34, 34))
    made = converted(net, name="mine", step_us=1000, highest=15)     # quantize/from_float.py

Modules are known by their class and attributes, in Sequentials inside each other. Neurons (Fang et
al., Science Advances 2023; SpikingJelly's `neuron.py`):

    IFNode                          v + x                           keep 1, gain 1
    LIFNode, ParametricLIFNode      v + (x - v) / tau               keep 1 - 1/tau, gain 1/tau
      with decay_input=False        v (1 - 1/tau) + x               keep 1 - 1/tau, gain 1

    SlidingPSN                      sum_i weight[k - 1 - i] x[t - i] + bias >= 0, no reset

firing at v >= v_threshold; v_reset None is a reset by subtraction. Batch norm goes into the weights
before it (in eval mode), dropout is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from edgesnn.errors import InputError

from .float_net import FloatNet, Floats, Neurons, Pooled, Stage, Weighted

_KNOWN = (
    "Conv2d, Linear, BatchNorm1d, BatchNorm2d, AvgPool2d, MaxPool2d on spikes, Flatten, Dropout, "
    "IFNode, LIFNode, ParametricLIFNode, SlidingPSN, in Sequentials"
)
_INSTEAD = {
    "PSN": ": it sees the future; use SlidingPSN",
    "MaskedPSN": ": it has weights for every step; use SlidingPSN",
}
_SKIPPED = ("Dropout", "Dropout2d", "Identity", "Flatten")


def from_spikingjelly(module: Any, shape: tuple[int, int, int]) -> FloatNet:
    """Return the float network of a module that takes x of a shape (channels, height, width).

    Raises InputError that names the module which is not carried over, and what is.
    """
    reader = _Reader()
    for name, own in _leaves(module, ""):
        reader.add(name, own)
    net = FloatNet(shape, tuple(reader.stages), type(module).__name__, tuple(reader.notes))
    if not net.stages:
        raise InputError(f"{type(module).__name__} holds nothing that is carried over: {_KNOWN}")
    net.shapes()
    return net


def _leaves(module: Any, name: str) -> Iterator[tuple[str, Any]]:
    children = list(module.named_children()) if hasattr(module, "named_children") else []
    own_kind = type(module).__name__
    if children and own_kind not in ("Sequential", "MultiStepContainer", "SeqToANNContainer"):
        if not any(own_kind.endswith(end) for end in ("Node", "PSN", "Conv2d", "Linear")):
            if name or len(children) != 1:
                raise InputError(
                    f"{name or own_kind} ({own_kind}) has parts whose order its code decides; give "
                    "a Sequential of them"
                )
        else:
            yield name, module
            return
    if not children:
        yield name, module
        return
    for child_name, child in children:
        yield from _leaves(child, f"{name}.{child_name}" if name else child_name)


class _Reader:
    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self.notes: list[str] = []
        self._last = "x"

    def add(self, name: str, module: Any) -> None:
        kind = type(module).__name__
        where = f"{name} ({kind})"
        if kind in _SKIPPED:
            return
        if kind in ("Conv2d", "Linear"):
            self._weighted(module, kind, where)
        elif kind in ("BatchNorm1d", "BatchNorm2d"):
            self._fold(module, where)
        elif kind in ("AvgPool2d", "MaxPool2d"):
            self._pool(module, kind, where)
        elif kind in ("IFNode", "LIFNode", "ParametricLIFNode"):
            self._neurons(module, kind, where)
        elif kind == "SlidingPSN":
            self._sliding(module, where)
        else:
            hint = _INSTEAD.get(kind, "")
            raise InputError(f"{where} is not carried over{hint}; what is: {_KNOWN}")

    def _push(self, stage: Stage) -> None:
        self.stages.append(stage)
        self._last = stage.name

    def _name(self) -> str:
        return f"n_{len(self.stages)}"

    def _weighted(self, module: Any, kind: str, where: str) -> None:
        if self.stages and isinstance(self.stages[-1], Weighted):
            raise InputError(f"{where} follows weights without neurons between them")
        weight = _array(module.weight, where)
        bias = np.zeros(len(weight)) if module.bias is None else _array(module.bias, where)
        if kind == "Linear":
            self._push(Weighted(self._name(), self._last, weight, bias))
            return
        if module.padding_mode != "zeros" or isinstance(module.padding, str):
            raise InputError(f"{where}: padding {module.padding!r} {module.padding_mode}")
        if _both(module.dilation, where) != 1:
            raise InputError(f"{where}: dilated kernels are not carried over")
        self._push(
            Weighted(
                self._name(),
                self._last,
                weight,
                bias,
                stride=_both(module.stride, where),
                padding=_both(module.padding, where),
                groups=int(module.groups),
            )
        )

    def _fold(self, module: Any, where: str) -> None:
        before = self.stages[-1] if self.stages else None
        if not isinstance(before, Weighted):
            raise InputError(f"{where}: batch norm goes into weights, and there are none before it")
        if module.running_mean is None:
            raise InputError(f"{where}: batch norm without running statistics depends on the batch")
        mean, variance = _array(module.running_mean, where), _array(module.running_var, where)
        gain = np.ones(len(mean)) if module.weight is None else _array(module.weight, where)
        shift = np.zeros(len(mean)) if module.bias is None else _array(module.bias, where)
        factor = gain / np.sqrt(variance + float(module.eps))
        self.stages[-1] = Weighted(
            before.name,
            before.input,
            before.weight * factor.reshape(-1, *[1] * (before.weight.ndim - 1)),
            (before.bias - mean) * factor + shift,
            stride=before.stride,
            padding=before.padding,
            groups=before.groups,
        )

    def _pool(self, module: Any, kind: str, where: str) -> None:
        size = _both(module.kernel_size, where)
        stride = size if module.stride is None else _both(module.stride, where)
        if stride != size or _both(module.padding, where):
            raise InputError(f"{where}: windows of {size} every {stride}; they must not overlap")
        spikes = bool(self.stages) and isinstance(self.stages[-1], Neurons)
        if kind == "MaxPool2d" and not spikes:
            raise InputError(f"{where}: the largest of sums is not carried over, only of spikes")
        self._push(Pooled(self._name(), self._last, size, "or" if kind == "MaxPool2d" else "mean"))

    def _neurons(self, module: Any, kind: str, where: str) -> None:
        before = self.stages[-1] if self.stages else None
        if not isinstance(before, Weighted):
            raise InputError(f"{where}: neurons follow Conv2d or Linear")
        v_reset = module.v_reset
        if v_reset not in (None, 0, 0.0):
            raise InputError(f"{where}: v_reset is {v_reset:g}; 0 and None are carried over")
        keep, gain = 1.0, 1.0
        if kind != "IFNode":
            if kind == "LIFNode":
                share = 1 / float(module.tau)
            else:
                share = float(1 / (1 + np.exp(-float(_array(module.w, where)))))
            keep, gain = 1 - share, share if module.decay_input else 1.0
        theta = np.full(len(before.weight), float(module.v_threshold))
        reset: Any = "subtract" if v_reset is None else "zero"
        self._push(Neurons(self._name(), (before.name,), theta, keep=keep, gain=gain, reset=reset))

    def _sliding(self, module: Any, where: str) -> None:
        before = self.stages[-1] if self.stages else None
        if not isinstance(before, Weighted):
            raise InputError(f"{where}: neurons follow Conv2d or Linear")
        taps = _array(module.weight, where)[::-1].copy()
        bias = float(_array(module.bias, where))
        if before.bias.any() and len(taps) > 1:
            self.notes.append(
                f"{where}: the bias before it counts in full from the first step on, not only "
                f"after {len(taps) - 1} steps"
            )
        self.stages[-1] = replace(before, taps=taps, bias=before.bias * taps.sum())
        # V + bias >= 0 with a threshold above 0: both sides are raised alike.
        raised = max(0.0, bias) + 1 if bias >= 0 else 0.0
        theta = np.full(len(before.weight), raised - bias if bias < 0 else raised)
        current = bias + raised if bias >= 0 else 0.0
        self._push(
            Neurons(self._name(), (before.name,), theta, keep=0.0, current=current, reset="none")
        )


def _array(tensor: Any, where: str) -> Floats:
    found = np.asarray(tensor.detach().cpu().numpy(), np.float64)
    if not np.isfinite(found).all():
        raise InputError(f"{where}: holds values that are not finite")
    return found


def _both(value: Any, where: str) -> int:
    found = set(value) if isinstance(value, tuple | list) else {value}
    if len(found) != 1:
        raise InputError(f"{where}: {value} differs between height and width")
    return int(found.pop())
