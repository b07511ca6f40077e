"""Nearest-neighbour upsampling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgesnn.program.node import Known, Node, State, Tensor, Value, Writer, at_least, image_of


@dataclass(frozen=True, slots=True)
class Upsample(Node):
    """Nearest-neighbour upsampling by an integer factor."""

    name: str
    input: str
    factor: int
    kind: Literal["upsample"] = "upsample"

    @property
    def reads(self) -> tuple[str, ...]:
        """The one input."""
        return (self.input,)

    def value(self, tensors: Mapping[str, Tensor], given: list[Value]) -> Value:
        """See `Node.value`."""
        (small,) = given
        channels, height, width = image_of(self, small)
        at_least(self, "factor", self.factor, 1)
        shape = (channels, height * self.factor, width * self.factor)
        return Value(shape, small.low, small.high, small.dtype)

    def run(self, known: Known, given: list[Tensor], state: State) -> tuple[Tensor, State]:
        """See `Node.run`."""
        return given[0].repeat(self.factor, axis=2).repeat(self.factor, axis=3), {}

    def write(self, graph: Writer, known: Known, sources: list[str], out: str) -> str:
        """See `Node.write`."""
        factors = np.array([1, 1, self.factor, self.factor], np.float32)
        return graph.add(
            "Resize",
            [*sources, "", graph.constant(f"scales_{self.factor}", factors)],
            out,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
