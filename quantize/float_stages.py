"""What a trained spiking network in floats is made of, as other frameworks have it.

    weighted   X = W * s + b               convolution or linear map of spikes or counts
    pool       sums, means or OR of windows
    neurons    I = synapse I + sum of its X (I = X where there is no synapse)
               H = keep V + gain I + current,  S = H >= theta (or >),  V = reset(H): 0, or lower
               by drop, or H; with most > 1 S = clip(floor(H / theta), 0, most)
    potentials V = keep V + gain I + current, without spikes: the output
    before     the spikes of a later stage, one step late
    joined     two stages' spikes, both at once or one without the other
    enlarged   cells repeated

`float_net.py` runs them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Weighted:
    """weight: (out, in / groups, kh, kw), or (out, in) of the flattened input. bias: (out,).

    delays: steps by which its inputs come late: one number, or (in,) of a linear map. taps: (k,),
    newest first: X is that of sum_j taps[j] s[t - j], as a sliding PSN filters it; None: of s.
    """

    name: str
    input: str
    weight: Floats
    bias: Floats
    stride: int = 1
    padding: int = 0
    groups: int = 1
    delays: NDArray[np.int64] | int = 0
    taps: Floats | None = None


@dataclass(frozen=True, slots=True)
class Pooled:
    """Windows of size x size without overlap."""

    name: str
    input: str
    size: int
    op: Literal["sum", "mean", "or"] = "sum"


@dataclass(frozen=True, slots=True, eq=False)
class Neurons:
    """inputs: names of weighted maps, which are added. threshold: (channels,). keep, gain, synapse:
    see the module's head, numbers or (channels,). strict: whether a potential equal to the
    threshold is too low. drop: what a reset by subtraction takes off, in thresholds. most: spikes
    in a step.
    """

    name: str
    inputs: tuple[str, ...]
    threshold: Floats
    keep: float | Floats = 1.0
    gain: float | Floats = 1.0
    current: float | Floats = 0.0
    reset: Literal["zero", "subtract", "none"] = "zero"
    strict: bool = False
    synapse: float | Floats | None = None
    drop: float | Floats = 1.0
    most: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Potentials:
    """inputs, keep, gain, current, synapse: as of Neurons. Nothing reads them: they are the end."""

    name: str
    inputs: tuple[str, ...]
    keep: float | Floats = 1.0
    gain: float | Floats = 1.0
    current: float | Floats = 0.0
    synapse: float | Floats | None = None


@dataclass(frozen=True, slots=True)
class Before:
    """What the neurons `later` fired one step before, and their shape."""

    name: str
    later: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Joined:
    """Spikes of two stages (0 or 1) become spikes: "and": a b; "iand": (1 - a) b (Fang et al.,
    NeurIPS 2021, spike-element-wise residual blocks)."""

    name: str
    inputs: tuple[str, str]
    op: Literal["and", "iand"]


@dataclass(frozen=True, slots=True)
class Enlarged:
    """Each cell becomes factor x factor of them."""

    name: str
    input: str
    factor: int


Stage = Weighted | Pooled | Neurons | Potentials | Before | Joined | Enlarged
