"""Integer sums of layers, compared to spikes where there are thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgesnn.errors import BundleError
from edgesnn.program.node import (
    Known,
    Node,
    State,
    Tensor,
    Value,
    Writer,
    compared,
    compared_value,
    write_compared,
)


@dataclass(frozen=True, slots=True)
class Add(Node):
    """Integer sum of int32 outputs (of layers without threshold); int32, or compared to spikes.

    threshold: int32 tensor (channels,): output uint8 0/1. None: the int32 sum itself.
    """

    name: str
    inputs: tuple[str, ...]
    threshold: str | None = None
    kind: Literal["add"] = "add"

    @property
    def reads(self) -> tuple[str, ...]:
        """All inputs."""
        return self.inputs

    def value(self, tensors: Mapping[str, Tensor], given: list[Value]) -> Value:
        """See `Node.value`."""
        if any(v.dtype != "int32" or v.shape != given[0].shape for v in given):
            raise BundleError(f"{self.name}: adds int32 sums of one shape")
        low, high = sum(v.low for v in given), sum(v.high for v in given)
        return compared_value(self, self.threshold, tensors, (given[0].shape, low, high))

    def run(self, known: Known, given: list[Tensor], state: State) -> tuple[Tensor, State]:
        """See `Node.run`."""
        sums: Tensor = np.stack(given).sum(axis=0, dtype=np.int32)
        return compared(known, self.threshold, sums), {}

    def write(self, graph: Writer, known: Known, sources: list[str], out: str) -> str:
        """See `Node.write`."""
        sums = out if self.threshold is None else f"sums_{self.name}"
        total = sources[0]
        if len(sources) == 1:
            graph.add("Identity", [total], sums)
        for i, source in enumerate(sources[1:], start=2):
            total = graph.add(
                "Add", [total, source], sums if i == len(sources) else f"first{i}_{self.name}"
            )
        return write_compared(graph, known, (self.name, self.threshold), sums, out)
