"""Learned synaptic delays: one weight and one delay per synapse, rounded to whole steps at the end.

Hammouamri, Khalfaoui-Hassani and Masquelier, ICLR 2024, "Learning delays in spiking neural networks
using dilated convolutions with learnable spacings" (DCLS). Synapse (j, i) has weight w and delay
position p in [0, D - 1] steps; while training it is a bump of taps over the delays d

    K_ji[d] = w_ji G[d - p_ji],   G[x] = exp(-(x / (sigma + 0.27))^2 / 2) / (sum_d + 1e-7)
    H_j[t]  = sum_i sum_d K_ji[d] s_i[t - d]

whose width sigma shrinks from half the largest delay to 0.23, and then one tap at round(p):

    H_j[t]  = sum_i w_ji s_i[t - round(p_ji)]

Weights are the integers of `psn.QuantWeight`, so that the rounded layer is the integer layer.
The published package counts positions from the middle of its kernel: p = floor(D / 2) - P.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .leaky import Leaky, StockLeaky
from .psn import QuantWeight, Taps, Threshold, filter_time

NARROWEST = 0.23
"""Sigma at the end of its decay; with the constant 0.27 the bump is then half a step wide."""
Delays = Literal["learned", "fixed", "none"]
Neuron = Literal["psn", "leaky", "stock"]


class DelayedWeight(nn.Module):
    """int8 weights (out, in) with a delay each.

    span: D, number of possible delays, 0 to D - 1 steps. delays: "learned", "fixed" (random) or
    "none" (all 0). sigma: width of the bumps, set by the schedule; None: rounded positions.
    """

    def __init__(
        self, out: int, inputs: int, span: int, *, delays: Delays, per_channel: bool = True
    ) -> None:
        super().__init__()
        self.shared = QuantWeight(out, inputs, per_channel=per_channel)
        self.span = 1 if delays == "none" else span
        positions = torch.rand(out, inputs) * (self.span - 1)
        self.position = nn.Parameter(positions, requires_grad=delays == "learned")
        self.sigma: float | None = None

    def whole(self) -> Tensor:
        """The delays as whole steps, int64 (out, in); half to even."""
        return self.position.detach().round().long()

    def clamp(self) -> None:
        """Bring positions that left the kernel back; call after every update."""
        with torch.no_grad():
            self.position.clamp_(0, self.span - 1)

    def kernel(self) -> Tensor:
        """Return K, (out, in, D), newest tap (delay 0) first."""
        weight = self.shared.integers()
        if self.sigma is None:
            taps = F.one_hot(self.whole(), self.span).to(weight.dtype)
        else:
            taps = bumps(self.position, self.span, self.sigma)
        return weight[:, :, None] * taps

    def forward(self, s: Tensor) -> Tensor:
        """Return H of spikes s (T, B, in): (T, B, out), inputs before t = 0 are 0."""
        oldest_first = self.kernel().flip(2)
        lines = F.pad(s.permute(1, 2, 0), (self.span - 1, 0))
        return F.conv1d(lines, oldest_first).permute(2, 0, 1)


def bumps(position: Tensor, span: int, sigma: float) -> Tensor:
    """Return G, (*position.shape, span): a Gaussian bump of mass 1 at each position."""
    at = torch.arange(span, dtype=position.dtype)
    x = (at - position[..., None]) / (abs(sigma) + 0.27)
    g = torch.exp(-0.5 * x * x)
    return g / (g.sum(dim=-1, keepdim=True) + 1e-7)


class DelayLayer(nn.Module):
    """Delays, then neurons: spikes (T, B, in) to spikes (T, B, out).

    order: of the sliding PSN (1: no taps); a leaky neuron has no taps. Stock neurons have one
    threshold, and therefore their weights one scale.
    """

    def __init__(
        self, out: int, inputs: int, span: int, *, delays: Delays, order: int, neuron: Neuron
    ) -> None:
        super().__init__()
        each = neuron != "stock"
        self.synapses = DelayedWeight(out, inputs, span, delays=delays, per_channel=each)
        self.taps = Taps(order) if order > 1 and neuron == "psn" else None
        kinds: dict[Neuron, type[Threshold | Leaky]] = {
            "psn": Threshold,
            "leaky": Leaky,
            "stock": StockLeaky,
        }
        self.neuron = kinds[neuron](out)
        self.rate = torch.zeros(())

    def forward(self, s: Tensor) -> Tensor:
        """Take spikes or counts (T, B, in); return spikes (T, B, out)."""
        h = self.synapses(s)
        if self.taps is not None:
            h = filter_time(h, self.taps.integers())
        fired: Tensor = self.neuron(h)
        self.rate = fired.mean()
        return fired


def width(progress: float, span: int, shrink: float = 0.25) -> float:
    """Return sigma after a share of the training: exponential decay, done after `shrink`."""
    start = max(span // 2, NARROWEST)
    return float(start * math.pow(NARROWEST / start, min(progress / shrink, 1.0)))
