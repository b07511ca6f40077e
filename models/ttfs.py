"""Time-to-first-spike layers, trained in parallel over time, already on the integers they become.

A TTFS neuron integrates without leak and fires at most once in a trial (Che et al., arXiv
2410.23619, "Efficiently training time-to-first-spike spiking neural networks from scratch"):

    V[t] = V[t-1] + W s[t],   S[t] = Theta(V[t] - theta) (1 - F[t-1]),   F[t] = max(F[t-1], S[t])

There is no reset: F gates the output for the rest of the trial. Since V is linear in the inputs,

    V[t] = W c[t],   c[t] = sum_{u<=t} s[u]        F[t] = max_{u<=t} Theta(V[u] - theta)

so a layer that reads its inputs' cumulative counts c (for neurons below: F itself) needs no loop
over time. Everything here passes cumulative counts on, time first: (T, B, ...), float32.

Not published and chosen here: the size of the initial weights (see GAIN), weight standardisation
with an affine map as the normalisation, and the decoder's weights (see `decode`).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .psn import WEIGHT_LIMIT, round_through

GAIN = 2.3
"""Standard deviation of the weights times sqrt(fan-in), in thresholds.

With a fraction p of the inputs firing, V ends with variance g^2 p; by reflection a neuron fires in
the trial with probability 2 Q(1 / (g sqrt(p))). This has a fixed point above 0 only for g >= 1.74:
below (Kaiming: 1.41) firing dies out with depth. At 2.3 about a third of the neurons fire in every
layer, at times that still differ.
"""


INITIAL = 0.03
"""Size of the raw weights at the start. Normalisation makes the network blind to it; what it sets
is how much an update of the optimiser changes them."""


class _FireOnce(torch.autograd.Function):
    """F[t] = max_{u<=t} Theta(x[u]) over the first axis; x is an integer, one step of it is worth
    `step` thresholds.

    Backward: S[t] = F[t] - F[t-1] has the arctangent surrogate's slope at x[t] step while the
    neuron has not fired (the gate 1 - F[t-1] is a constant), and none afterwards. One time after
    the other and in place: these passes over memory, not the convolutions, decide the speed.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, alpha: float) -> Tensor:
        ctx.alpha = alpha
        fired = x >= 0
        for t in range(1, x.shape[0]):
            fired[t] |= fired[t - 1]
        ctx.save_for_backward(x, step, fired)
        return fired.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        x, step, fired = ctx.saved_tensors
        (given,) = gradients
        sharpness = step * (math.pi / 2 * ctx.alpha)
        height = step * (ctx.alpha / 2)
        result, later = torch.empty_like(x), torch.zeros_like(x[0])
        for t in range(x.shape[0] - 1, -1, -1):
            later += given[t]
            slope = torch.mul(x[t], sharpness, out=result[t])
            slope.mul_(slope).add_(1)
            torch.div(height, slope, out=slope).mul_(later)
            if t:
                slope.masked_fill_(fired[t - 1], 0)
        return result, None, None


def fire_once(x: Tensor, step: Tensor, alpha: float = 2.0) -> Tensor:
    """Return for each time whether x has reached 0 by then: 0 or 1, of the shape of x (T, ...).

    step: value of 1 in thresholds, broadcast against x[0]. alpha: sharpness of the surrogate. Both
    only shape the gradient.
    """
    return _FireOnce.apply(x, step, alpha)  # type: ignore[no-any-return,no-untyped-call]


class TtfsLayer(nn.Module):
    """Convolution or linear map, then TTFS neurons; int8 weights and int32 thresholds.

    shape: of the weight, (out, in, kh, kw) or (out, in). spread: typical size of an input (sums
    over a 2 x 2 window: 2). Normalisation acts on the weights, not on activations:

        W = gain_j (w - mean(w)) / (std(w) sqrt(fan_in) spread),   theta_j = 1 - bias_j

    with mean and std over each output neuron's weights. bias_j is a head start of the potential,
    given once; a bias in every step would make a silent neuron fire. theta is at least one integer
    step: without input nothing fires. Shape: cumulative counts (T, B, in, H, W) or (T, B, in) to
    fired bits (T, B, out, ...).

    alpha: sharpness of the surrogate gradient; potentials spread over more than one threshold, so
    that a wide one (0.5) teaches faster.
    """

    def __init__(self, *shape: int, stride: int = 1, padding: int = 0, spread: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(INITIAL * torch.randn(shape))
        self.gain = nn.Parameter(torch.full((shape[0],), GAIN))
        self.bias = nn.Parameter(torch.zeros(shape[0]))
        self.stride = stride
        self.padding = padding
        self.alpha = 2.0
        self.fan = math.prod(shape[1:])
        self.spread = spread
        self.fired = torch.zeros(())

    def normalised(self) -> Tensor:
        """The weights as thresholds are measured: W of the class's head."""
        flat = self.weight.flatten(1)
        centred = flat - flat.mean(dim=1, keepdim=True)
        spread = centred.pow(2).mean(dim=1, keepdim=True).add(1e-8).sqrt()
        row = self.gain[:, None] * centred / (spread * math.sqrt(self.fan) * self.spread)
        return row.view_as(self.weight)

    def integers(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return (weights in [-127, 127], thresholds >= 1, value of one integer step).

        float32 with straight-through gradients; one step per output neuron (no gradient).
        """
        real = self.normalised()
        step = real.detach().flatten(1).abs().amax(dim=1).clamp_min(1e-8) / WEIGHT_LIMIT
        weight = round_through(real / step.view(-1, *([1] * (real.ndim - 1))))
        threshold = round_through((1 - self.bias) / step).clamp_min(1)
        return weight, threshold, step

    def forward(self, counts: Tensor) -> Tensor:
        """Take cumulative counts (T, B, ...); return fired bits of shape (T, B, out, ...)."""
        steps, batch = counts.shape[:2]
        weight, threshold, step = self.integers()
        flat = counts.flatten(0, 1)
        if weight.ndim == 2:
            x = F.linear(flat.flatten(1), weight, -threshold)
        else:
            flat = flat.contiguous(memory_format=torch.channels_last)
            x = F.conv2d(flat, weight, -threshold, stride=self.stride, padding=self.padding)
            step = step.view(-1, 1, 1)
        fired = fire_once(x.view(steps, batch, *x.shape[1:]), step, self.alpha)
        self.fired = fired[-1].mean()
        return fired


def sum_pool(counts: Tensor, size: int = 2) -> Tensor:
    """Sum size x size windows of (T, B, C, H, W).

    Sums (averages times size^2) are linear and keep the single-spike code; a maximum over a window
    would pass every first spike in it.
    """
    pooled = F.avg_pool2d(counts.flatten(0, 1), size, divisor_override=1)
    return pooled.view(*counts.shape[:2], *pooled.shape[1:])


def temporal_weights(steps: int, last: int = 1) -> Tensor:
    """The decoder's weights a[t] = last + T - 1 - t, shape (T,): strictly decreasing.

    last: weight of the last step, from 1 on; the larger, the less an early spike is preferred.
    """
    return torch.arange(last + steps - 1, last - 1, -1, dtype=torch.float32)


def decode(fired: Tensor, classes: int, last: int = 1) -> Tensor:
    """Temporal weighting decoding of fired bits (T, B, classes * P) to scores (B, classes).

    y_c = sum_t a[t] n_c[t], n_c[t]: how many of the P neurons of class c fire at t. This is the sum
    of the fired bits over time, and last - 1 times those at the end. Integers in float32.
    """
    steps, batch = fired.shape[:2]
    population = fired.shape[2] // classes
    count = fired.view(steps, batch, classes, population).sum(dim=3)
    return count.sum(dim=0) + (last - 1) * count[-1]
