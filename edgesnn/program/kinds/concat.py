"""Concatenation along channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgesnn.errors import BundleError
from edgesnn.program.node import Known, Node, State, Tensor, Value, Writer


@dataclass(frozen=True, slots=True)
class Concat(Node):
    """Concatenation along channels of uint8 outputs."""

    name: str
    inputs: tuple[str, ...]
    kind: Literal["concat"] = "concat"

    @property
    def reads(self) -> tuple[str, ...]:
        """All inputs."""
        return self.inputs

    def value(self, tensors: Mapping[str, Tensor], given: list[Value]) -> Value:
        """See `Node.value`."""
        if any(v.dtype != "uint8" or v.shape[1:] != given[0].shape[1:] for v in given):
            raise BundleError(f"{self.name}: concatenates uint8 maps of one height and width")
        channels = sum(v.shape[0] for v in given)
        return Value((channels, *given[0].shape[1:]), 0, max(v.high for v in given), "uint8")

    def run(self, known: Known, given: list[Tensor], state: State) -> tuple[Tensor, State]:
        """See `Node.run`."""
        return np.concatenate(given, axis=1), {}

    def write(self, graph: Writer, known: Known, sources: list[str], out: str) -> str:
        """See `Node.write`."""
        return graph.add("Concat", sources, out, axis=1)
