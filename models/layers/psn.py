"""Sliding PSN layers, trained in parallel over time, that already compute the integers they become.

Sliding PSN (Fang et al., NeurIPS 2023): no reset, finite memory, one filter for the whole layer,

    X[t] = W * s[t],   H[t] = sum_{i<k} tap_i X[t - i],   S[t] = Theta(z[t]),   z = BN(H),

inputs before t = 0 are zero. Here W and the taps are quantised in the forward pass (int8 weights
with a scale per output channel, small integer taps; straight-through gradients), so that H is an
integer times a known scale. Batch norm has a positive gain and is therefore a threshold on that
integer: nothing is lost when `models.gesture.convert` writes the integers down. A neuron also needs
H > 0, so that every integer threshold is at least 1 and a silent input stays silent.

All sequences are time first: (time, batch, channels, height, width), float32 holding integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesnn.quantize.straight_through import round_through, spike

TAP_LIMIT = 7
"""Largest absolute value of an integer tap: eight of them stay below the 8-bit kernels' limits."""
WEIGHT_LIMIT = 127


class QuantWeight(nn.Module):
    """An int8 weight tensor that several layers may share (Azadbakht et al. 2022).

    shape: (out, in, kh, kw) or (out, in). per_channel: one scale per output channel (its layer
    must end in a threshold), else one for all (sums that are compared with each other).
    """

    def __init__(self, *shape: int, per_channel: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(3.0))
        self.per_channel = per_channel

    def scale(self) -> Tensor:
        """Value of one integer step: (out,) or scalar."""
        w = self.weight.detach().abs()
        peak = w.flatten(1).amax(dim=1) if self.per_channel else w.amax()
        return peak.clamp_min(1e-8) / WEIGHT_LIMIT

    def integers(self) -> Tensor:
        """The weights as integers in [-127, 127], float32, with straight-through gradients."""
        scale = self.scale()
        scale = scale.view(-1, *([1] * (self.weight.ndim - 1))) if self.per_channel else scale
        return round_through(self.weight / scale)


class Taps(nn.Module):
    """The k integer taps of a sliding PSN, newest first; they start as 1, 1/2, 1/4, ..."""

    def __init__(self, order: int) -> None:
        super().__init__()
        self.taps = nn.Parameter(0.5 ** torch.arange(order, dtype=torch.float32))

    def integers(self) -> Tensor:
        """The taps as integers in [-7, 7], shape (k,), float32, straight-through gradients."""
        return round_through(self.taps * (TAP_LIMIT / self.taps.detach().abs().amax()))


def filter_time(x: Tensor, taps: Tensor) -> Tensor:
    """Return H[t] = sum_i taps[i] x[t - i] over the first axis, zeros before t = 0.

    One product with a banded T x T matrix: on a CPU far faster than k shifted sums.
    """
    steps, order = x.shape[0], min(taps.shape[0], x.shape[0])
    banded = torch.zeros(steps, steps, dtype=x.dtype)
    for i in range(order):
        banded = banded + torch.diag(taps[i].expand(steps - i), -i)
    return (banded @ x.reshape(steps, -1)).view(x.shape)


class Threshold(nn.Module):
    """Batch norm with positive gain, then Theta: one threshold per channel once trained.

    channels: the size of the last axis of its input (channels last).
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int, momentum: float = 0.05) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.full((channels,), -0.5))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.momentum = momentum
        self.activation: Callable[[Tensor], Tensor] = spike

    def positive_gain(self) -> Tensor:
        """The gain, kept away from zero: a negative one would turn the comparison round."""
        return self.gain.abs() + 1e-3

    def forward(self, h: Tensor) -> Tensor:
        """Take h, (..., channels), integers in float32; return spikes of the same shape."""
        flat = h.reshape(-1, h.shape[-1])
        z = F.batch_norm(
            flat,
            self.mean,
            self.variance,
            self.positive_gain(),
            self.bias,
            training=self.training,
            momentum=self.momentum,
            eps=1e-3,
        )
        return (self.activation(z) * (flat > 0)).view(h.shape)

    def integers(self) -> Tensor:
        """The int64 thresholds (channels,): S = H >= theta, theta >= 1.

        z >= 0 is H >= mean - bias * sqrt(variance + eps) / gain, and H is an integer.
        """
        spread = torch.sqrt(self.variance.double() + 1e-3)
        real = self.mean.double() - self.bias.double() * spread / self.positive_gain().double()
        return torch.ceil(real).clamp_min(1).long()


class SpikingConv(nn.Module):
    """Convolution, sliding PSN: spikes or counts in, spikes out.

    weight: may be shared with other layers; taps, thresholds and state are always its own.
    delays: with delays > 1 the kernel spans the newest `delays` inputs (one weight per synapse
        and delay) and there are no PSN taps; else a sliding PSN of order `order`.
    Shape: (T, B, in, H, W) to (T, B, out, H', W'), channels-last in memory.
    """

    def __init__(
        self, weight: QuantWeight, *, order: int = 1, delays: int = 1, stride: int = 1
    ) -> None:
        super().__init__()
        self.shared = weight
        self.stride = stride
        self.padding = weight.weight.shape[-1] // 2
        self.delays = delays
        self.taps = Taps(order) if order > 1 else None
        self.threshold = Threshold(weight.weight.shape[0])
        self.rate = torch.zeros(())

    def sums(self, x: Tensor) -> Tensor:
        """Return H as integers, channels last: (T, B, H', W', out)."""
        steps, batch = x.shape[:2]
        if self.delays > 1:
            x = delayed(x, self.delays)
        flat = x.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        h = F.conv2d(flat, self.shared.integers(), stride=self.stride, padding=self.padding)
        h = h.permute(0, 2, 3, 1)
        h = h.reshape(steps, batch, *h.shape[1:])
        return h if self.taps is None else filter_time(h, self.taps.integers())

    def forward(self, x: Tensor) -> Tensor:
        """Take (T, B, in, H, W); return spikes (T, B, out, H', W')."""
        s = self.threshold(self.sums(x))
        self.rate = s.mean()
        return s.permute(0, 1, 4, 2, 3)  # type: ignore[no-any-return]


def delayed(x: Tensor, delays: int) -> Tensor:
    """Stack x[t], x[t - 1], ... along the channels, newest first: (T, B, delays * C, H, W)."""
    past = [x]
    for _ in range(delays - 1):
        past.append(F.pad(past[-1][:-1], (0, 0) * (x.ndim - 1) + (1, 0)))
    return torch.cat(past, dim=2)
