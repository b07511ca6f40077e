"""Non-overlapping pooling: sums of small integers, or whether any spike is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgesnn.errors import BundleError
from edgesnn.program.node import Known, Node, State, Tensor, Value, Writer, at_least, image_of


@dataclass(frozen=True, slots=True)
class Pool(Node):
    """Non-overlapping size x size windows: "sum" of small integers, or "or" of spikes; uint8."""

    name: str
    input: str
    size: int
    op: Literal["sum", "or"] = "sum"
    kind: Literal["pool"] = "pool"

    @property
    def reads(self) -> tuple[str, ...]:
        """The one input."""
        return (self.input,)

    def value(self, tensors: Mapping[str, Tensor], given: list[Value]) -> Value:
        """See `Node.value`."""
        (pooled,) = given
        channels, height, width = image_of(self, pooled)
        at_least(self, "size", self.size, 1)
        if self.op not in ("sum", "or"):
            raise BundleError(f'{self.name}: pooling is "sum" or "or", not {self.op!r}')
        if height % self.size or width % self.size:
            raise BundleError(f"{self.name}: {height} x {width} is no multiple of {self.size}")
        if self.op == "or" and not pooled.spikes:
            raise BundleError(f"{self.name}: OR pooling needs spikes")
        high = 1 if self.op == "or" else pooled.high * self.size**2
        if pooled.dtype != "uint8" or high > 255:
            raise BundleError(f"{self.name}: sums up to {high} do not fit uint8")
        return Value((channels, height // self.size, width // self.size), 0, high, "uint8")

    def run(self, known: Known, given: list[Tensor], state: State) -> tuple[Tensor, State]:
        """See `Node.run`."""
        steps, channels, height, width = given[0].shape
        size = self.size
        windows = given[0].reshape(steps, channels, height // size, size, width // size, size)
        if self.op == "or":
            return windows.max(axis=(3, 5)), {}
        return windows.sum(axis=(3, 5), dtype=np.uint8), {}

    def write(self, graph: Writer, known: Known, sources: list[str], out: str) -> str:
        """See `Node.write`."""
        window = {"kernel_shape": [self.size] * 2, "strides": [self.size] * 2}
        if self.op == "or":
            return graph.add("MaxPool", sources, out, **window)
        channels = known.values[self.input].shape[0]
        ones = np.ones((channels, 1, self.size, self.size), np.int8)
        weight = graph.constant(f"ones_{channels}_{self.size}", ones)
        one, zero = graph.scalar(1, "float32"), graph.scalar(0, "uint8")
        inputs = [*sources, one, zero, weight, one, graph.scalar(0, "int8"), one, zero]
        return graph.add("QLinearConv", inputs, out, group=channels, **window)
