"""The primitives of the integer program, one small dataclass each.

The one spiking primitive, `Layer`, is a finite temporal filter, a weighted sum and a comparison:

    u_m[t] = sum_{i<k} taps[m, i] * s[t - i]        filter m over the last k inputs, newest first
    H[t]   = W * concat_m u_m[t]                    convolution or linear map, int32
    S[t]   = H[t] >= theta                          one threshold per output channel

One filter (m = 1) is a sliding PSN of order k (Fang et al., NeurIPS 2023, "Parallel spiking
neurons"): by linearity its taps may stand before the weights. Several filters give every synapse
several delays (taps that are unit vectors are pure synaptic delays). With `delays` every synapse
has one delay of its own (learned delays; Hammouamri et al., ICLR 2024), behind the one filter:

    H_j[t] = sum_i w_ji u_i[t - d_ji]

Before the first step all inputs were 0. Nodes that name the same weight tensor share it (Azadbakht
et al. 2022).

Two more kinds of neurons integrate sums X and keep a potential. `Fire`, for trials of limited
length, has no leak and fires at most once (time to first spike; Che et al., arXiv 2410.23619):

    H[t] = clip(V[t-1] + X[t], -2**30, 2**30),   V[t] = H[t]
    S[t] = H[t] >= theta and not F[t-1],         F[t] = F[t-1] or S[t]

`Leaky` is the leaky integrate-and-fire neuron (LIF) with a hard reset to 0 and a constant current,
its leak a fraction of 256 rounded towards 0 as it is on Loihi (Davies et al., IEEE Micro 2018):

    H[t] = trunc(keep V[t-1] / 256) + X[t] + current
    S[t] = H[t] >= theta,                        V[t] = H[t] (1 - S[t])
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

Tensor = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Layer:
    """Temporal filter, weighted sum, comparison.

    name: C identifier, unique; names the output. input: "x" or an earlier node.
    weight: int8 tensor; op "conv": (out, m * in / groups, kh, kw), the filters' channels in
        filter-major order (filter 0's channels first); op "linear": (out, m * in * h * w), the
        filtered input flattened in the same order.
    taps: int8 tensor (m, k), newest input first; None is [[1]] (no memory).
    threshold: int32 tensor (out,); output uint8 0/1. None: output is the int32 sum itself.
    stride, padding: of the convolution, the same in both directions; groups: its groups.
    delays: int8 tensor of the weight's shape, steps from 0 on; op "linear", at most one filter.
        None: no delays.
    """

    name: str
    input: str
    weight: str
    taps: str | None = None
    threshold: str | None = None
    op: Literal["conv", "linear"] = "conv"
    stride: int = 1
    padding: int = 0
    groups: int = 1
    delays: str | None = None
    kind: Literal["layer"] = "layer"


@dataclass(frozen=True, slots=True)
class Pool:
    """Non-overlapping size x size windows: "sum" of small integers, or "or" of spikes; uint8."""

    name: str
    input: str
    size: int
    op: Literal["sum", "or"] = "sum"
    kind: Literal["pool"] = "pool"


@dataclass(frozen=True, slots=True)
class Upsample:
    """Nearest-neighbour upsampling by an integer factor."""

    name: str
    input: str
    factor: int
    kind: Literal["upsample"] = "upsample"


@dataclass(frozen=True, slots=True)
class Concat:
    """Concatenation along channels of uint8 outputs."""

    name: str
    inputs: tuple[str, ...]
    kind: Literal["concat"] = "concat"


@dataclass(frozen=True, slots=True)
class Add:
    """Integer sum of int32 outputs (of layers without threshold); int32, or compared to spikes.

    threshold: int32 tensor (channels,): output uint8 0/1. None: the int32 sum itself.
    """

    name: str
    inputs: tuple[str, ...]
    threshold: str | None = None
    kind: Literal["add"] = "add"


@dataclass(frozen=True, slots=True)
class Fire:
    """Neurons that integrate int32 sums (of a layer without threshold, or Add) and fire once.

    threshold: int32 tensor (channels,): output uint8 0/1.
    """

    name: str
    input: str
    threshold: str
    kind: Literal["fire"] = "fire"


@dataclass(frozen=True, slots=True)
class Leaky:
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


LEAK_UNIT = 256
"""What `Leaky.keep` is a share of."""
MEMBRANE_LIMIT = 2**30
"""Potentials of `Fire` stay within +- this: no sum can overflow, however long a trial lasts."""

Node = Layer | Pool | Upsample | Concat | Add | Fire | Leaky
KINDS: dict[str, Callable[..., Node]] = {
    "layer": Layer,
    "pool": Pool,
    "upsample": Upsample,
    "concat": Concat,
    "add": Add,
    "fire": Fire,
    "leaky": Leaky,
}


def inputs_of(node: Node) -> tuple[str, ...]:
    """Return the names that a node reads, in order."""
    return node.inputs if isinstance(node, (Concat, Add)) else (node.input,)


@dataclass(frozen=True, slots=True)
class Value:
    """What is known of a node's output before anything runs.

    shape: (channels, height, width), or (features,) after a linear layer.
    low, high: bounds that no input can exceed. spikes: True where values are only 0 or 1.
    dtype: "uint8" or "int32".
    """

    shape: tuple[int, ...]
    low: int
    high: int
    dtype: Literal["uint8", "int32"]

    @property
    def spikes(self) -> bool:
        """Whether the value can only be 0 or 1."""
        return self.dtype == "uint8" and self.high <= 1

    @property
    def largest(self) -> int:
        """Bound of the absolute value."""
        return max(self.high, -self.low)
