"""Leaky integrators without spikes: synaptic currents, and readouts that are potentials.

    V[t] = clip(trunc(keep V[t-1] / 4096) + 2**bits X[t] + current, -limit, limit)

The output is V itself, int32. With keep = 4096 nothing leaks; with less, no input can bring |V|
above (2**bits |X| + |current|) 4096 / (4096 - keep), which is the limit where it is below 2**30.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgesnn.program.kinds.integrate import (
    KEEP_UNIT,
    LIMIT,
    charge_of,
    keep_of,
    kept,
    write_kept,
)
from edgesnn.program.node import (
    Known,
    Node,
    State,
    StatePort,
    Tensor,
    Value,
    Writer,
    per_channel,
    sums_of,
    write_per_channel,
)


@dataclass(frozen=True, slots=True)
class Integrator(Node):
    """Potentials of int32 sums (of a layer without threshold, or Add, or another one).

    current: int32 tensor (channels,), added in every step, in 2**-bits of the sums' unit. keep:
    what is left of a potential after a step, in 4096ths, 0 to 4096. leak: as of `Integrate`.
    """

    name: str
    input: str
    current: str
    keep: int = KEEP_UNIT
    bits: int = 0
    leak: str | None = None
    kind: Literal["integrator"] = "integrator"

    @property
    def reads(self) -> tuple[str, ...]:
        """The one input."""
        return (self.input,)

    def value(self, tensors: Mapping[str, Tensor], given: list[Value]) -> Value:
        """See `Node.value`."""
        sums = sums_of(self, given[0])
        most = charge_of(self, tensors, sums)
        limit, keep = LIMIT, int(np.max(keep_of(self, tensors, 1)))
        if keep < KEEP_UNIT:
            limit = min(LIMIT, -(-most * KEEP_UNIT // (KEEP_UNIT - keep)))
        return Value(sums.shape, -limit, limit, "int32")

    def ports(self, known: Known) -> dict[str, StatePort]:
        """potential_<name>: what is integrated, int32."""
        value = known.values[self.name]
        return {f"potential_{self.name}": StatePort(value.shape, "int32", value.high)}

    def memory(self, known: Known) -> int | None:
        """Without end."""
        return None

    def largest_sum(self, known: Known) -> int | None:
        """Return the limit."""
        return known.values[self.name].high

    def run(self, known: Known, given: list[Tensor], state: State) -> tuple[Tensor, State]:
        """See `Node.run`."""
        name, limit = f"potential_{self.name}", known.values[self.name].high
        potential = state[name]
        current = per_channel(known.tensors[self.current], potential.ndim)
        keep = keep_of(self, known.tensors, potential.ndim)
        found = np.zeros(given[0].shape, np.int32)
        for t, x in enumerate(given[0]):
            total = kept(potential, keep).astype(np.int64) + (x << self.bits) + current
            potential = np.clip(total, -limit, limit).astype(np.int32)
            found[t] = potential
        return found, {name: potential}

    def write(self, graph: Writer, known: Known, sources: list[str], out: str) -> str:
        """Leak, integrate, limit; states have no batch axis."""
        name, value = self.name, known.values[self.name]
        left = write_kept(graph, known, f"potential_{name}", self)
        sums = graph.reshape(sources[0], value.shape, f"sums_of_{name}")
        if self.bits:
            factor = graph.constant(f"unit_{self.bits}", np.array(1 << self.bits, np.int32))
            sums = graph.add("Mul", [sums, factor], f"fine_{name}")
        charged = graph.add("Add", [left, sums], f"charged_{name}")
        current = write_per_channel(graph, known, self, self.current)
        total = graph.add("Add", [charged, current], f"total_{name}")
        ends = [
            graph.constant(f"{end}_of_{name}", np.array(limit, np.int32))
            for end, limit in (("lowest", value.low), ("highest", value.high))
        ]
        held = graph.add("Clip", [total, *ends], f"new_potential_{name}")
        return graph.reshape(held, (1, *value.shape), out)
