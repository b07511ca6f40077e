"""Time-to-first-spike layers, trained in parallel over time, already on the integers they become.

A TTFS neuron integrates without leak and fires at most once in a trial (Che et al., arXiv
2410.23619, "Efficiently training time-to-first-spike spiking neural networks from scratch"):

    V[t] = V[t-1] + W s[t],   S[t] = Theta(V[t] - theta) (1 - F[t-1]),   F[t] = max(F[t-1], S[t])

There is no reset: F gates the output for the rest of the trial. Since V is linear in the inputs,

    V[t] = W c[t],   c[t] = sum_{u<=t} s[u]        F[t] = max_{u<=t} Theta(V[u] - theta)

so a layer that reads its inputs' cumulative counts c (for neurons below: F itself) needs no loop
over time. Everything here is time first: (T, B, ...), float32.

Not published and chosen here: thresholds set by the statistics of the potentials, which is both the
normalisation and the initialisation (see START), and the decoder's weights (see `decode`).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesnn.quantize.straight_through import round_through

from .psn import WEIGHT_LIMIT

START = 0.5
"""Thresholds at the start, in standard deviations above the mean potential.

With weights of Kaiming's size and thresholds of 1 the share of neurons that fire dies out with
depth: with a share p of the inputs firing, V ends with variance g^2 p, by reflection a neuron fires
with probability 2 Q(1 / (g sqrt(p))), and that has a fixed point above 0 only for g >= 1.74. Where
the threshold follows the potentials no size of the weights does that: at 0.5, Q(0.5) = 31 % are
above it when the trial ends, and with those that were at some time 45 % fire, in every layer.
"""

MOMENTUM = 0.1
"""Share of the newest batch in the running statistics."""


class _FireOnce(torch.autograd.Function):
    """F[t] = max_{u<=t} Theta(x[u]) = Theta(m[t]), m[t] = max_{u<=t} x[u], over the first axis.

    x is an integer, one step of it is worth `step` thresholds. Backward: the arctangent surrogate's
    slope at m[t], given to the time whose potential is the maximum. One time after the other and in
    place: these passes over memory, not the convolutions, decide the speed.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, alpha: float) -> Tensor:
        ctx.alpha = alpha
        highest = x.clone()
        for t in range(1, x.shape[0]):
            torch.maximum(highest[t], highest[t - 1], out=highest[t])
        ctx.save_for_backward(highest, step, x < highest)
        return (highest >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        highest, step, below = ctx.saved_tensors
        (given,) = gradients
        sharpness = step * (math.pi / 2 * ctx.alpha)
        height = step * (ctx.alpha / 2)
        result, later = torch.empty_like(highest), None
        for t in range(highest.shape[0] - 1, -1, -1):
            slope = torch.mul(highest[t], sharpness, out=result[t])
            slope.mul_(slope).add_(1)
            torch.div(height, slope, out=slope).mul_(given[t])
            if later is not None:
                slope.add_(later)
            if t:
                later = slope * below[t]
                slope.sub_(later)
        return result, None, None


def fire_once(x: Tensor, step: Tensor, alpha: float = 2.0) -> Tensor:
    """Return for each time whether x has reached 0 by then: 0 or 1, of the shape of x (T, ...).

    step: value of 1 in thresholds, broadcast against x[0]. alpha: sharpness of the surrogate. Both
    only shape the gradient.
    """
    return _FireOnce.apply(x, step, alpha)  # type: ignore[no-any-return,no-untyped-call]


class TtfsLayer(nn.Module):
    """Convolution or linear map, then TTFS neurons; int8 weights and int32 thresholds.

    shape: of the weight, (out, in, kh, kw) or (out, in). Normalisation acts on thresholds: with the
    mean m_j and the standard deviation s_j of the potentials at the end of a trial, over the batch
    and all positions,

        theta_j = m_j + s_j b_j,   b_j learned

    Batch normalisation (Ioffe & Szegedy, ICML 2015) of potentials says the same of who fires, with
    nothing to add in each step, which would make a silent neuron fire; what remains is one number
    per neuron, a running mean at inference. theta is at least one integer step: without input
    nothing fires. Shape: what potentials are made of, (T, B, in, H, W) or (T, B, in), to fired bits
    (T, B, out, ...).

    alpha: sharpness of the surrogate gradient, in units of s_j.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, *shape: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape) / math.sqrt(math.prod(shape[1:])))
        self.bias = nn.Parameter(torch.full((shape[0],), START))
        self.register_buffer("mean", torch.zeros(shape[0]))
        self.register_buffer("deviation", torch.ones(shape[0]))
        self.stride = stride
        self.padding = padding
        self.alpha = 1.0
        self.fired = torch.zeros(())

    def _weights(self) -> tuple[Tensor, Tensor]:
        step = self.weight.detach().flatten(1).abs().amax(dim=1).clamp_min(1e-8) / WEIGHT_LIMIT
        return round_through(self.weight / step.view(-1, *[1] * (self.weight.ndim - 1))), step

    def integers(self) -> tuple[Tensor, Tensor]:
        """Return (weights in [-127, 127], thresholds >= 1): integers in float32."""
        weight, step = self._weights()
        return weight, _threshold(self.mean / step, self.deviation / step, self.bias)

    def forward(self, counts: Tensor) -> Tensor:
        """Take what potentials are made of (T, B, ...); return fired bits (T, B, out, ...)."""
        steps, batch = counts.shape[:2]
        weight, step = self._weights()
        flat = counts.flatten(0, 1)
        if weight.ndim == 2:
            x = F.linear(flat.flatten(1), weight)
        else:
            flat = flat.contiguous(memory_format=torch.channels_last)
            x = F.conv2d(flat, weight, stride=self.stride, padding=self.padding)
        x = x.view(steps, batch, *x.shape[1:])
        if self.training:
            over = [0, *range(2, x.ndim - 1)]
            deviation, mean = torch.std_mean(x[-1], dim=over, correction=0)
            deviation = deviation + 1.0
            with torch.no_grad():
                self.mean.lerp_(mean * step, MOMENTUM)
                self.deviation.lerp_(deviation * step, MOMENTUM)
        else:
            mean, deviation = self.mean / step, self.deviation / step
        threshold = _threshold(mean, deviation, self.bias)
        wide = (-1, *[1] * (x.ndim - 3))
        # Adding what is negative spares the backward pass a negated copy of all potentials.
        above = x + (-threshold).view(wide)
        fired = fire_once(above, 1 / deviation.detach().view(wide), self.alpha)
        self.fired = fired[-1].detach().mean()
        return fired


def _threshold(mean: Tensor, deviation: Tensor, bias: Tensor) -> Tensor:
    return round_through(mean + deviation * bias).clamp_min(1)


class _SumPool(torch.autograd.Function):
    """Sums of windows; backward, each input of a window gets the window's gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int) -> Tensor:
        ctx.size = size
        return F.avg_pool2d(x, size, divisor_override=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        size, g = ctx.size, gradients[0].permute(0, 2, 3, 1)  # channels last, as convolutions are
        many, height, width, channels = g.shape
        shape = (many, height, size, width, size, channels)
        spread = (
            g[:, :, None, :, None]
            .expand(shape)
            .reshape(many, height * size, width * size, channels)
        )
        return spread.permute(0, 3, 1, 2), None


def sum_pool(counts: Tensor, size: int = 2) -> Tensor:
    """Sum size x size windows of (T, B, C, H, W).

    Sums (averages times size^2) are linear and keep the single-spike code; a maximum over a window
    would pass every first spike in it.
    """
    flat = counts.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    pooled: Tensor = _SumPool.apply(flat, size)  # type: ignore[no-untyped-call]
    return pooled.view(*counts.shape[:2], *pooled.shape[1:])


def temporal_weights(steps: int, last: int = 1) -> Tensor:
    """The decoder's weights a[t] = last + T - 1 - t, shape (T,): strictly decreasing.

    last: weight of the last step, from 1 on; the larger, the less an early spike is preferred.
    """
    return torch.arange(last + steps - 1, last - 1, -1, dtype=torch.float32)


def weighed(fired: Tensor, last: int = 1) -> Tensor:
    """Sum a[t] over first spikes: fired bits (T, B, ...) to (B, ...), integers in float32.

    The sum of the fired bits over time, and last - 1 times those at the end.
    """
    return fired.sum(dim=0) + (last - 1) * fired[-1]


def decode(fired: Tensor, classes: int, last: int = 1) -> Tensor:
    """Temporal weighting decoding of fired bits (T, B, classes * P) to scores (B, classes).

    y_c = sum_t a[t] n_c[t], n_c[t]: how many of the P neurons of class c fire at t.
    """
    population = fired.shape[2] // classes
    return weighed(fired.view(*fired.shape[:2], classes, population).sum(dim=3), last)
