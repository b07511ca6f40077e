"""Neurons that fire at most once: time to first spike (Che et al., arXiv 2410.23619).

    H[t] = clip(V[t-1] + X[t], -2**30, 2**30),   V[t] = H[t]
    S[t] = H[t] >= theta and not F[t-1],         F[t] = F[t-1] or S[t]

For trials of limited length: there is no leak, and a neuron that has fired stays silent until the
stream is reset.
"""

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
    StatePort,
    Tensor,
    Value,
    Writer,
    compared_value,
    per_channel,
    sums_of,
    write_per_channel,
)

MEMBRANE_LIMIT = 2**30
"""Potentials stay within +- this: no sum can overflow, however long a trial lasts."""


@dataclass(frozen=True, slots=True)
class Fire(Node):
    """Neurons that integrate int32 sums (of a layer without threshold, or Add) and fire once.

    threshold: int32 tensor (channels,): output uint8 0/1.
    """

    name: str
    input: str
    threshold: str
    kind: Literal["fire"] = "fire"

    @property
    def reads(self) -> tuple[str, ...]:
        """The one input."""
        return (self.input,)

    def value(self, tensors: Mapping[str, Tensor], given: list[Value]) -> Value:
        """See `Node.value`."""
        sums = sums_of(self, given[0])
        if sums.largest >= MEMBRANE_LIMIT:
            raise BundleError(f"{self.name}: sums from {MEMBRANE_LIMIT} on are not integrated")
        return compared_value(self, self.threshold, tensors, (sums.shape, sums.low, sums.high))

    def ports(self, known: Known) -> dict[str, StatePort]:
        """membrane_<name>: potentials, int32; fired_<name>: uint8, 1 where a neuron has fired."""
        shape = known.values[self.name].shape
        return {
            f"membrane_{self.name}": StatePort(shape, "int32", MEMBRANE_LIMIT),
            f"fired_{self.name}": StatePort(shape),
        }

    def memory(self, known: Known) -> int | None:
        """Nothing is forgotten: such programs run in trials, each of which begins with a reset."""
        return None

    def run(self, known: Known, given: list[Tensor], state: State) -> tuple[Tensor, State]:
        """See `Node.run`."""
        membrane, fired = state[f"membrane_{self.name}"], state[f"fired_{self.name}"]
        theta = per_channel(known.tensors[self.threshold], membrane.ndim)
        spikes = np.zeros(given[0].shape, np.uint8)
        for t, x in enumerate(given[0]):
            membrane = np.clip(membrane + x, -MEMBRANE_LIMIT, MEMBRANE_LIMIT)
            spikes[t] = (membrane >= theta) & (fired == 0)
            fired = fired | spikes[t]
        return spikes, {f"membrane_{self.name}": membrane, f"fired_{self.name}": fired}

    def write(self, graph: Writer, known: Known, sources: list[str], out: str) -> str:
        """Integrate, compare, and let each neuron pass once; states have no batch axis."""
        name, shape = self.name, known.values[self.name].shape
        sums = graph.reshape(sources[0], shape, f"sums_of_{name}")
        total = graph.add("Add", [sums, f"membrane_{name}"], f"total_{name}")
        ends = [
            graph.constant(f"membrane_{end}", np.array(limit, np.int32))
            for end, limit in (("lowest", -MEMBRANE_LIMIT), ("highest", MEMBRANE_LIMIT))
        ]
        graph.add("Clip", [total, *ends], f"new_membrane_{name}")
        inputs = [f"new_membrane_{name}", write_per_channel(graph, known, self, self.threshold)]
        above = graph.add("GreaterOrEqual", inputs, f"above_{name}")
        fired = graph.cast(f"fired_{name}", "bool", f"before_{name}")
        silent = graph.add("Not", [fired], f"silent_{name}")
        first = graph.add("And", [above, silent], f"now_{name}")
        graph.cast(graph.add("Or", [above, fired], f"ever_{name}"), "uint8", f"new_fired_{name}")
        spikes = graph.cast(first, "uint8", f"spikes_{name}")
        return graph.reshape(spikes, (1, *shape), out)
