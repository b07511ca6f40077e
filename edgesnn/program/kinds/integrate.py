"""Integrate-and-fire neurons as people train them: with or without leak, reset to 0, by subtraction
or none, and a constant current.

    H[t] = clip(trunc(keep V[t-1] / 4096) + 2**bits X[t] + current, -2**30, 2**30)
    S[t] = H[t] >= theta            or, up to `most` spikes, clip(H[t] div theta, 0, most)
    V[t] = H[t] (1 - S[t])            reset "zero"
         = H[t] - drop S[t]           reset "subtract"; drop is theta unless it is given
         = H[t]                       reset "none"

Potentials, thresholds and currents have `bits` bits below the unit of the sums. keep = 4096 is a
neuron without leak. With 6 bits, reset "zero" and keep = 4096 - dv it is Loihi's own neuron
(Davies et al., IEEE Micro 2018). A reset by subtraction that comes a step late, as snnTorch does
it, is one of drop = theta 4096 / keep at once: what the leak leaves of it is theta. Several spikes
in a step are how sinabs and Rockpool step neurons by default. A neuron may fire without input: then
the network never rests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

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
    tensor_of,
    write_per_channel,
)

KEEP_UNIT = 4096
"""What `Integrate.keep` is a share of."""
LIMIT = 2**30
MOST_BITS = 16
MOST_SPIKES = 255
RESETS = ("zero", "subtract", "none")


@dataclass(frozen=True, slots=True)
class Integrate(Node):
    """Neurons on int32 sums (of a layer without threshold, or Add).

    threshold: int32 tensor (channels,), from 1 on, in 2**-bits of the sums' unit: output uint8 0/1.
    current: int32 tensor (channels,), in the same unit, added in every step.
    keep: what is left of a potential after a step, in 4096ths, 0 to 4096. bits, reset: see above.
    drop: int32 tensor (channels,), 1 to 2**30, for reset "subtract"; None: the threshold.
    leak: int32 tensor (channels,) in the place of keep, which is 4096 then. most: spikes in a step,
    1 to 255; with more than one a reset by subtraction takes off the threshold.
    """

    name: str
    input: str
    threshold: str
    current: str
    keep: int = KEEP_UNIT
    bits: int = 0
    reset: Literal["zero", "subtract", "none"] = "zero"
    drop: str | None = None
    leak: str | None = None
    most: int = 1
    kind: Literal["integrate"] = "integrate"

    @property
    def reads(self) -> tuple[str, ...]:
        """The one input."""
        return (self.input,)

    def value(self, tensors: Mapping[str, Tensor], given: list[Value]) -> Value:
        """See `Node.value`."""
        sums = sums_of(self, given[0])
        charge_of(self, tensors, sums)
        if self.reset not in RESETS:
            raise BundleError(f"{self.name}: reset is {str(self.reset)[:20]!r}, wanted {RESETS}")
        value = compared_value(self, self.threshold, tensors, (sums.shape, sums.low, sums.high))
        theta = tensors[self.threshold].astype(np.int64)
        if theta.min() < 1 or theta.max() > LIMIT:
            raise BundleError(f"{self.name}: thresholds go from 1 to {LIMIT}")
        if not 1 <= self.most <= MOST_SPIKES or (self.most > 1 and self.drop is not None):
            raise BundleError(
                f"{self.name}: most is {self.most}, wanted 1 to {MOST_SPIKES}, and 1 beside a drop"
            )
        if self.drop is not None:
            drop = tensor_of(tensors, self.name, self.drop, "int32", 1)
            if self.reset != "subtract" or drop.shape != theta.shape:
                raise BundleError(f"{self.name}: drop is one a channel, for reset 'subtract'")
            if drop.min() < 1 or drop.max() > LIMIT:
                raise BundleError(f"{self.name}: drops go from 1 to {LIMIT}")
        return replace(value, high=self.most)

    def ports(self, known: Known) -> dict[str, StatePort]:
        """membrane_<name>: potentials, int32."""
        shape = known.values[self.name].shape
        return {f"membrane_{self.name}": StatePort(shape, "int32", LIMIT)}

    def memory(self, known: Known) -> int | None:
        """Without end: a difference in the potentials can move later spikes."""
        return None

    def settling(self, known: Known) -> int | None:
        """Return 0 where nothing changes without input; else it is not known."""
        keeps = np.min(keep_of(self, known.tensors, 1)) == KEEP_UNIT
        still = keeps and not known.tensors[self.current].any()
        return 0 if still and self.reset == "zero" else None

    def run(self, known: Known, given: list[Tensor], state: State) -> tuple[Tensor, State]:
        """See `Node.run`."""
        name = f"membrane_{self.name}"
        membrane = state[name]
        theta = per_channel(known.tensors[self.threshold], membrane.ndim)
        current = per_channel(known.tensors[self.current], membrane.ndim)
        drop = per_channel(known.tensors[self.drop or self.threshold], membrane.ndim)
        keep = keep_of(self, known.tensors, membrane.ndim)
        spikes = np.zeros(given[0].shape, np.uint8)
        for t, x in enumerate(given[0]):
            total = kept(membrane, keep) + (x << self.bits) + current
            membrane = np.clip(total, -LIMIT, LIMIT)
            if self.most > 1:
                fired = np.clip(membrane // theta, 0, self.most)
            else:
                fired = (membrane >= theta).astype(np.int32)
            spikes[t] = fired
            if self.reset == "zero":
                membrane = np.where(fired > 0, np.int32(0), membrane)
            elif self.reset == "subtract":
                membrane = membrane - fired * drop
        return spikes, {name: membrane.astype(np.int32)}

    def write(self, graph: Writer, known: Known, sources: list[str], out: str) -> str:
        """Leak, integrate, limit, compare and reset; states have no batch axis."""
        name, shape = self.name, known.values[self.name].shape
        left = write_kept(graph, known, f"membrane_{name}", self)
        sums = graph.reshape(sources[0], shape, f"sums_of_{name}")
        if self.bits:
            factor = graph.constant(f"unit_{self.bits}", np.array(1 << self.bits, np.int32))
            sums = graph.add("Mul", [sums, factor], f"fine_{name}")
        charged = graph.add("Add", [left, sums], f"charged_{name}")
        current = write_per_channel(graph, known, self, self.current)
        total = graph.add("Add", [charged, current], f"total_{name}")
        ends = [
            graph.constant(f"membrane_{end}", np.array(limit, np.int32))
            for end, limit in (("lowest", -LIMIT), ("highest", LIMIT))
        ]
        held = f"new_membrane_{name}" if self.reset == "none" else f"held_{name}"
        graph.add("Clip", [total, *ends], held)
        theta = write_per_channel(graph, known, self, self.threshold)
        fired = graph.add("GreaterOrEqual", [held, theta], f"above_{name}")
        if self.most > 1:
            return self._write_counts(graph, held, theta, fired, out, shape)
        if self.reset == "zero":
            zero = graph.scalar(0, "int32")
            graph.add("Where", [fired, zero, held], f"new_membrane_{name}")
        elif self.reset == "subtract":
            drop = write_per_channel(graph, known, self, self.drop or self.threshold)
            lower = graph.add("Sub", [held, drop], f"lower_{name}")
            graph.add("Where", [fired, lower, held], f"new_membrane_{name}")
        return graph.reshape(graph.cast(fired, "uint8", f"spikes_{name}"), (1, *shape), out)

    def _write_counts(
        self, graph: Writer, held: str, theta: str, fired: str, out: str, shape: tuple[int, ...]
    ) -> str:
        """Count and reset; Div rounds towards 0, and what is below 0 counts nothing."""
        name, ends = self.name, [graph.scalar(0, "int32"), graph.scalar(self.most, "int32")]
        counted = graph.add("Div", [held, theta], f"fits_{name}")
        count = graph.add("Clip", [counted, *ends], f"count_{name}")
        if self.reset == "zero":
            graph.add("Where", [fired, ends[0], held], f"new_membrane_{name}")
        elif self.reset == "subtract":
            taken = graph.add("Mul", [count, theta], f"taken_{name}")
            graph.add("Sub", [held, taken], f"new_membrane_{name}")
        return graph.reshape(graph.cast(count, "uint8", f"spikes_{name}"), (1, *shape), out)


class _Leaks(Protocol):
    """What both kinds that integrate have, see `Integrate`."""

    @property
    def name(self) -> str: ...
    @property
    def current(self) -> str: ...
    @property
    def keep(self) -> int: ...
    @property
    def leak(self) -> str | None: ...
    @property
    def bits(self) -> int: ...


def charge_of(node: _Leaks, tensors: Mapping[str, Tensor], sums: Value) -> int:
    """Return what no step can add to the potentials of a node; raises BundleError.

    Its keep, leak, bits and current are checked.
    """
    name, bits, channels = node.name, node.bits, sums.shape[0]
    if not 0 <= node.keep <= KEEP_UNIT:
        raise BundleError(f"{name}: keep is {node.keep}, wanted 0 to {KEEP_UNIT}")
    if node.leak is not None:
        leak = tensor_of(tensors, name, node.leak, "int32", 1)
        if leak.shape != (channels,) or node.keep != KEEP_UNIT:
            raise BundleError(f"{name}: leak is one a channel, and keep {KEEP_UNIT} beside it")
        if leak.min() < 0 or leak.max() > KEEP_UNIT:
            raise BundleError(f"{name}: leaks go from 0 to {KEEP_UNIT}")
    if not 0 <= bits <= MOST_BITS:
        raise BundleError(f"{name}: bits is {bits}, wanted 0 to {MOST_BITS}")
    current = tensor_of(tensors, name, node.current, "int32", 1).astype(np.int64)
    if current.shape != sums.shape[:1]:
        raise BundleError(f"{name}: {len(current)} currents for {sums.shape[0]} channels")
    most = (sums.largest << bits) + int(np.abs(current).max())
    if most >= LIMIT:
        raise BundleError(f"{name}: inputs up to {most} reach {LIMIT}; take fewer bits")
    return most


def keep_of(node: _Leaks, tensors: Mapping[str, Tensor], axes: int) -> int | Tensor:
    """Return what a step leaves in 4096ths: a number, or one a channel for potentials of `axes`."""
    return node.keep if node.leak is None else per_channel(tensors[node.leak], axes)


def kept(potential: Tensor, keep: int | Tensor) -> Tensor:
    """Return trunc(keep V / 4096) of int32 potentials, rounded towards 0; in 64 bits on the way."""
    if isinstance(keep, int) and keep == KEEP_UNIT:
        return potential
    scaled = potential.astype(np.int64) * keep
    left: Tensor = np.where(scaled < 0, -(-scaled // KEEP_UNIT), scaled // KEEP_UNIT)
    return left.astype(np.int32)


def write_kept(graph: Writer, known: Known, potential: str, node: _Leaks) -> str:
    """Write `kept` of a potential of the node; return its output's name."""
    name, keep = node.name, node.keep
    if node.leak is None and keep == KEEP_UNIT:
        return potential
    wide = graph.cast(potential, "int64", f"wide_{name}")
    if node.leak is None:
        share = graph.constant(f"keep_{keep}", np.array(keep, np.int64))
    else:
        leak = per_channel(known.tensors[node.leak], len(known.values[name].shape))
        share = graph.constant(f"leak_of_{name}", leak.astype(np.int64))
    unit = graph.constant(f"keep_of_{KEEP_UNIT}", np.array(KEEP_UNIT, np.int64))
    scaled = graph.add("Mul", [wide, share], f"scaled_{name}")
    divided = graph.add("Div", [scaled, unit], f"divided_{name}")
    return graph.cast(divided, "int32", f"left_{name}")
