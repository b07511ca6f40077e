"""Leaky integrate-and-fire neurons (LIF) with a hard reset to 0 and a constant current.

    H[t] = trunc(keep V[t-1] / 256) + X[t] + current
    S[t] = H[t] >= theta,                        V[t] = H[t] (1 - S[t])

The leak is a fraction of 256 rounded towards 0, as it is on Loihi (Davies et al., IEEE Micro 2018).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgesnn.errors import BundleError
from edgesnn.program.kinds.leak import LEAK_UNIT, leaked, potential_bound, settling_steps
from edgesnn.program.node import (
    INT32,
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
    tensor_of,
    write_per_channel,
)


@dataclass(frozen=True, slots=True)
class Leaky(Node):
    """Leaky neurons on int32 sums (of a layer without threshold, or Add); hard reset to 0.

    threshold: int32 tensor (channels,), from 1 on: output uint8 0/1.
    current: int32 tensor (channels,), added in every step; too weak to make a neuron fire alone.
    keep: what is left of a potential after a step, in 256ths, 0 to 255: 128 is a time constant tau
        of 2 steps, keep = 256 (1 - 1 / tau).
    """

    name: str
    input: str
    threshold: str
    current: str
    keep: int = 128
    kind: Literal["leaky"] = "leaky"

    @property
    def reads(self) -> tuple[str, ...]:
        """The one input."""
        return (self.input,)

    def value(self, tensors: Mapping[str, Tensor], given: list[Value]) -> Value:
        """See `Node.value`."""
        sums = sums_of(self, given[0])
        if not 0 <= self.keep < LEAK_UNIT:
            raise BundleError(f"{self.name}: keep is {self.keep}, wanted 0 to {LEAK_UNIT - 1}")
        value = compared_value(self, self.threshold, tensors, (sums.shape, sums.low, sums.high))
        theta = tensors[self.threshold].astype(np.int64)
        current = tensor_of(tensors, self.name, self.current, "int32", 1).astype(np.int64)
        if current.shape != theta.shape:
            raise BundleError(f"{self.name}: {len(current)} currents for {len(theta)} channels")
        if theta.min() < 1 or (current * LEAK_UNIT >= theta * (LEAK_UNIT - self.keep)).any():
            raise BundleError(f"{self.name}: a neuron would fire without input, and never rest")
        largest = potential_bound(self.keep, current, sums.largest)
        if largest * max(1, self.keep) > INT32:
            raise BundleError(f"{self.name}: potentials up to {largest} do not fit int32")
        return value

    def ports(self, known: Known) -> dict[str, StatePort]:
        """membrane_<name>: potentials, int32."""
        shape = known.values[self.name].shape
        return {f"membrane_{self.name}": StatePort(shape, "int32", self.largest_sum(known))}

    def memory(self, known: Known) -> int | None:
        """Without end: a difference in the potentials can move later spikes."""
        return None

    def settling(self, known: Known) -> int | None:
        """Return after how many steps without sums no potential changes any more."""
        theta, current = known.tensors[self.threshold], known.tensors[self.current]
        return settling_steps(self.keep, theta, current, self.largest_sum(known))

    def largest_sum(self, known: Known) -> int:
        """Return what no |H| of these neurons can exceed."""
        current, given = known.tensors[self.current], known.values[self.input]
        return potential_bound(self.keep, current, given.largest)

    def largest_number(self, known: Known) -> int:
        """Return the largest product on the way to a leaked potential, in lowest terms."""
        share = self.keep // math.gcd(self.keep, LEAK_UNIT)
        return self.largest_sum(known) * max(1, share)

    def run(self, known: Known, given: list[Tensor], state: State) -> tuple[Tensor, State]:
        """See `Node.run`."""
        name = f"membrane_{self.name}"
        membrane = state[name]
        theta = per_channel(known.tensors[self.threshold], membrane.ndim)
        current = per_channel(known.tensors[self.current], membrane.ndim)
        spikes = np.zeros(given[0].shape, np.uint8)
        for t, x in enumerate(given[0]):
            membrane = leaked(membrane, self.keep) + x + current
            fired = membrane >= theta
            spikes[t] = fired
            membrane = np.where(fired, np.int32(0), membrane)
        return spikes, {name: membrane}

    def write(self, graph: Writer, known: Known, sources: list[str], out: str) -> str:
        """Leak, integrate, compare and reset; states have no batch axis.

        ONNX divides integers towards 0, as the leak does. 128 / 256 is written as 1 / 2.
        """
        name, shape = self.name, known.values[self.name].shape
        common = math.gcd(self.keep, LEAK_UNIT)
        left = f"membrane_{name}"
        if self.keep != common:
            share = self.keep // common
            kept = graph.constant(f"keep_{share}", np.array(share, np.int32))
            left = graph.add("Mul", [left, kept], f"kept_{name}")
        whole = LEAK_UNIT // common
        unit = graph.constant(f"keep_of_{whole}", np.array(whole, np.int32))
        left = graph.add("Div", [left, unit], f"left_{name}")
        sums = graph.reshape(sources[0], shape, f"sums_of_{name}")
        charged = graph.add("Add", [left, sums], f"charged_{name}")
        inputs = [charged, write_per_channel(graph, known, self, self.current)]
        total = graph.add("Add", inputs, f"total_{name}")
        inputs = [total, write_per_channel(graph, known, self, self.threshold)]
        fired = graph.add("GreaterOrEqual", inputs, f"above_{name}")
        zero = graph.scalar(0, "int32")
        graph.add("Where", [fired, zero, total], f"new_membrane_{name}")
        return graph.reshape(graph.cast(fired, "uint8", f"spikes_{name}"), (1, *shape), out)
