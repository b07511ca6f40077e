"""The gesture network: synaptic delays on the input, then sliding PSN stages with shared kernels.

x        (2, 32, 32)   event-count levels
motion   5x5 stride 2, four delays         -> (24, 16, 16)   sees local motion
near1,2  3x3, one kernel for both          -> (24, 16, 16)   sliding PSN
down     3x3 stride 2                      -> (48, 8, 8)     sliding PSN
far1,2   3x3, one kernel for both          -> (48, 8, 8)     sliding PSN
pool     2x2 sums of spikes                -> (48, 4, 4)
scores   linear                            -> (11,) integer sums per step
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..layers.psn import QuantWeight, SpikingConv


@dataclass(frozen=True, slots=True)
class GestureShape:
    """Sizes of the network. order: of the sliding PSNs, steps; delays: of the input, steps."""

    near: int = 24
    far: int = 48
    blocks: int = 2
    order: int = 6
    delays: int = 4
    classes: int = 11


class GestureNet(nn.Module):
    """See the module's head. Input (T, B, 2, 32, 32), output scores (T, B, classes), integers."""

    def __init__(self, shape: GestureShape = GestureShape(), dropout: float = 0.1) -> None:
        super().__init__()
        s = shape
        self.shape = s
        near, far = QuantWeight(s.near, s.near, 3, 3), QuantWeight(s.far, s.far, 3, 3)
        first = QuantWeight(s.near, 2 * s.delays, 5, 5)
        down = QuantWeight(s.far, s.near, 3, 3)
        self.layers = nn.ModuleDict({"motion": SpikingConv(first, delays=s.delays, stride=2)})
        for i in range(1, s.blocks + 1):
            self.layers[f"near{i}"] = SpikingConv(near, order=s.order)
        self.layers["down"] = SpikingConv(down, order=s.order, stride=2)
        for i in range(1, s.blocks + 1):
            self.layers[f"far{i}"] = SpikingConv(far, order=s.order)
        self.scores = QuantWeight(s.classes, s.far * 16, per_channel=False)
        with torch.no_grad():
            # Evidence adds up over some thirty steps: small scores begin with soft decisions.
            self.scores.weight.mul_(0.1)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Take levels (T, B, 2, 32, 32); return integer scores (T, B, classes)."""
        for layer in self.layers.values():
            x = layer(x)
        return self.head(x)

    def head(self, x: Tensor) -> Tensor:
        """Pool spikes (T, B, far, 8, 8) and weigh them: (T, B, classes)."""
        steps, batch = x.shape[:2]
        pooled = F.avg_pool2d(x.flatten(0, 1), 2) * 4
        flat = pooled.contiguous().flatten(1)
        if self.training and self.dropout > 0:
            # One mask per clip: dropping a feature for the whole clip, not flickering it.
            keep = (flat.new_ones(batch, flat.shape[1]).bernoulli_(1 - self.dropout)).repeat(
                steps, 1
            )
            flat = flat * keep / (1 - self.dropout)
        return F.linear(flat, self.scores.integers()).view(steps, batch, -1)

    def rates(self) -> list[Tensor]:
        """Spikes per neuron and step of each layer at the last forward pass."""
        return [layer.rate for layer in self.layers.values() if isinstance(layer, SpikingConv)]

    def unit(self) -> Tensor:
        """Value of one integer of score: multiply scores by it to get logits."""
        return self.scores.scale()
