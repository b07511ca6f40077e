"""Leaky integrate-and-fire neurons, trained on the integers they become.

The neuron of Hammouamri et al. (ICLR 2024), as in SpikingJelly (Fang et al., Science Advances 2023)

    v[t] = v[t-1] (1 - 1/tau) + z[t],   S[t] = Theta(v[t] - 1),   reset to 0,   z = BN(H)

with batch normalisation of mean m, deviation s, gain g and bias b. All of it times s / g is

    V[t] = V[t-1] (1 - 1/tau) + H[t] + c,   S[t] = Theta(V[t] - theta),
    theta = s / g,   c = b s / g - m

Here theta and c are rounded to integers and the leak rounds towards 0, in the forward pass already
(straight-through gradients): what is trained is `edgesnn.program.Leaky`.

`StockLeaky` is the same neuron as Loihi has it (Davies et al., IEEE Micro 2018): potentials in
64ths, and s and g are those of the layer, so that all its neurons have one threshold.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgesnn.program import LEAK_UNIT
from edgesnn.quantize.straight_through import round_through, spike

MOST_CURRENT = 4095
"""Largest current of a stock neuron: Lava's bias has 13 bits with its sign."""


class _Truncate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.trunc()

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        return gradients[0]


class Leaky(nn.Module):
    """See the module's head. The reset has no gradient.

    channels: size of the last axis of H. keep: 256 (1 - 1/tau), what a step leaves of a potential.
    """

    mean: Tensor
    variance: Tensor
    parts = 1
    """What a potential is counted in: parts of the sums' unit."""
    above = 0
    """What a potential must exceed the threshold by."""

    def __init__(self, channels: int, keep: int = 128, momentum: float = 0.05) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(self._thresholds(channels)))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(self._thresholds(channels)))
        self.keep = keep
        self.momentum = momentum

    def _thresholds(self, channels: int) -> int:
        """Return how many thresholds the neurons have."""
        return channels

    def _spread(self, variance: Tensor) -> Tensor:
        """Return the variances that the thresholds are made of, from those of the channels."""
        return variance

    def _rounded(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        unit = (variance + 1e-3).sqrt() / (self.gain.abs() + 1e-3)
        theta = round_through(unit).clamp_min(1)
        # What alone stays below the threshold for ever: a neuron without input falls silent.
        most = ((theta.detach() * (LEAK_UNIT - self.keep) - 1) / LEAK_UNIT).floor()
        return theta, round_through(self.bias * unit - mean).minimum(most)

    def integers(self) -> tuple[Tensor, Tensor]:
        """Return (theta >= 1, c) in the sums' unit: integers in float32, (channels,) or (1,)."""
        return self._rounded(self.mean, self.variance)

    def forward(self, h: Tensor) -> Tensor:
        """Take H (T, B, channels), integers in float32; return spikes of that shape."""
        mean, variance = self.mean, self.variance
        if self.training:
            variance, mean = torch.var_mean(h, dim=(0, 1), correction=0)
            variance = self._spread(variance)
            with torch.no_grad():
                self.mean.lerp_(mean, self.momentum)
                self.variance.lerp_(variance, self.momentum)
        theta, current = self._rounded(mean, variance)
        theta = theta * self.parts
        v, found = torch.zeros_like(h[0]), []
        for x in ((h + current) * self.parts).unbind():
            v = _Truncate.apply(v * (self.keep / LEAK_UNIT)) + x  # type: ignore[no-untyped-call]
            fired = spike((v - theta - self.above) / theta)
            found.append(fired)
            v = v * (1 - fired.detach())
        return torch.stack(found)


class StockLeaky(Leaky):
    """Loihi's neuron: V in 64ths, S = V > 64 theta, one theta and a current of 13 bits each."""

    parts = 64
    above = 1

    def _thresholds(self, channels: int) -> int:
        return 1

    def _spread(self, variance: Tensor) -> Tensor:
        return variance.mean(0, keepdim=True)

    def _rounded(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        theta, current = super()._rounded(mean, variance)
        return theta, current.clamp(-MOST_CURRENT, MOST_CURRENT)
