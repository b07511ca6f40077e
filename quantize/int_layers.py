"""Weights of a float network into layers of int8, two of them where 8 bits are too few."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError
from edgesnn.program import Add, Layer, Node, Tensor

from .float_stages import Floats, Joined, Weighted

WEIGHT_LIMIT = 127
WIDE = 100
"""What the coarse one of two layers counts: |w| up to 12,700 becomes 100 a + b with int8 both."""


class LayerWriter:
    """Adds layers to the nodes and tensors of a program. most: of whole weights."""

    def __init__(self, nodes: list[Node], tensors: dict[str, Tensor], most: int) -> None:
        self._nodes, self._tensors, self._most = nodes, tensors, most

    def summed(
        self, name: str, parts: list[Weighted], real: list[Floats], unit: Floats
    ) -> tuple[str, list[float]]:
        """Add weighted maps' layers; return the node of their sum, and the weights' errors."""
        names: list[str] = []
        errors = []
        for part, weight in zip(parts, real, strict=True):
            own, error = self._layer(part, weight, unit)
            names += own
            errors.append(error)
        if len(names) == 1:
            return names[0], errors
        self._nodes.append(Add(f"sum_{name}", tuple(names)))
        return f"sum_{name}", errors

    def joined(self, stage: Joined, shape: tuple[int, ...]) -> None:
        """Add a b: both weigh 1 and two are needed; (1 - a) b: a weighs -1 and one is needed."""
        channels, names, image = shape[0], [], len(shape) == 3
        for which, source in zip("ab", stage.inputs, strict=True):
            sign = -1 if stage.op == "iand" and which == "a" else 1
            ones = np.ones((channels, 1, 1, 1)) if image else np.eye(channels)
            name = f"{stage.name}_{which}"
            self._tensors[f"w_{name}"] = (sign * ones).astype(np.int8)
            op: Literal["conv", "linear"] = "conv" if image else "linear"
            groups = channels if image else 1
            self._nodes.append(Layer(name, source, f"w_{name}", op=op, groups=groups))
            names.append(name)
        theta = f"theta_{stage.name}"
        self._tensors[theta] = np.full(channels, 2 if stage.op == "and" else 1, np.int32)
        self._nodes.append(Add(stage.name, tuple(names), threshold=theta))

    def _layer(self, part: Weighted, weight: Floats, unit: Floats) -> tuple[list[str], float]:
        """Add the layer, or two of them for wide weights; return their names and the error."""
        by = unit.reshape(-1, *[1] * (weight.ndim - 1))
        whole = np.clip(np.rint(weight / by), -self._most, self._most).astype(np.int64)
        error = float(np.abs(whole * by - weight).mean() / max(np.abs(weight).mean(), 1e-12))
        if self._most == WEIGHT_LIMIT:
            return [self._one(part, part.name, whole, 1)], error
        coarse = np.rint(whole / WIDE).astype(np.int64)
        names = [self._one(part, f"{part.name}_coarse", coarse, WIDE)]
        names.append(self._one(part, part.name, whole - WIDE * coarse, 1))
        return names, error

    def _one(self, part: Weighted, name: str, whole: NDArray[np.int64], tap: int) -> str:
        self._tensors[f"w_{name}"] = whole.astype(np.int8)
        taps = delays = None
        late = part.delays if isinstance(part.delays, int) else 0
        if part.taps is not None:
            if tap != 1:
                raise InputError(f"{part.name}: weights of 14 bits are not for filtered inputs")
            taps = f"taps_{name}"
            whole_taps = np.rint(part.taps / unit_of(part.taps)).astype(np.int8)
            self._tensors[taps] = np.pad(whole_taps, (late, 0))[None]
        elif late or tap != 1:
            taps = f"taps_{name}"
            self._tensors[taps] = np.zeros((1, late + 1), np.int8)
            self._tensors[taps][0, late] = tap
        if not isinstance(part.delays, int):
            delays = f"delays_{name}"
            self._tensors[delays] = np.broadcast_to(part.delays, whole.shape).astype(np.int8)
        self._nodes.append(
            Layer(
                name,
                part.input,
                f"w_{name}",
                taps,
                op="conv" if whole.ndim == 4 else "linear",
                stride=part.stride,
                padding=part.padding,
                groups=part.groups,
                delays=delays,
            )
        )
        return name


def unit_of(taps: Floats) -> float:
    """Return the value of one integer of taps that become int8."""
    return float(np.abs(taps).max()) / WEIGHT_LIMIT or 1.0
