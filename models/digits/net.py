"""The digit networks: convolutions of time-to-first-spike neurons, a population for each class.

x        (2, H, W)       spikes: ON (bright, or brighter), OFF (dark, or darker)
near     5 x 5 stride 2  -> (near, H/2, W/2)
far      3 x 3           -> (far, H/2, W/2), then 2 x 2 sums
deep     3 x 3 valid     -> (deep, H/4-2, W/4-2)
classes  linear          -> (classes * population,), whose first spikes are weighed by their time
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..layers.ttfs import TtfsLayer, decode, sum_pool, weighed


@dataclass(frozen=True, slots=True)
class DigitShape:
    """Sizes of a network. size: (width and height) of x; padding: of the first layer (its
    output must be even); steps: of a trial; last: weight of the last step (`temporal_weights`).
    """

    size: int = 28
    padding: int = 2
    steps: int = 8
    near: int = 32
    far: int = 64
    deep: int = 64
    population: int = 16
    last: int = 1
    classes: int = 10


class DigitNet(nn.Module):
    """See the module's head. Input: spikes (T, B, 2, H, W); output: scores (B, classes).

    features: of the last forward pass, first spikes of `deep` weighed by their time, (B, sites).
    """

    def __init__(
        self, shape: DigitShape = DigitShape(), dropout: float = 0.0, alpha: float = 2.0
    ) -> None:
        super().__init__()
        s = shape
        self.shape = s
        side = ((s.size + 2 * s.padding - 5) // 2 + 1) // 2 - 2
        self.near = TtfsLayer(s.near, 2, 5, 5, stride=2, padding=s.padding)
        self.far = TtfsLayer(s.far, s.near, 3, 3, padding=1)
        self.deep = TtfsLayer(s.deep, s.far, 3, 3)
        self.sites = s.deep * side * side
        self.out = TtfsLayer(s.classes * s.population, self.sites)
        self.features = torch.zeros(0)
        self.dropout = dropout
        for layer in (self.near, self.far, self.deep, self.out):
            layer.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        """Take spikes (T, B, 2, H, W); return integer scores (B, classes) in float32."""
        counts = x.cumsum(0)
        far = sum_pool(self.far(self.near(counts)))
        fired = self.deep(far).flatten(2)
        if self.training and self.dropout > 0:
            keep = fired.new_ones(fired.shape[1:]).bernoulli_(1 - self.dropout)
            fired = fired * keep / (1 - self.dropout)
        self.features = weighed(fired, self.shape.last)
        return decode(self.out(fired), self.shape.classes, self.shape.last)

    def fired(self) -> list[float]:
        """Share of each layer's neurons that fired at the last forward pass."""
        return [float(m.fired.detach()) for m in self.modules() if isinstance(m, TtfsLayer)]

    def logits(self, scores: Tensor, steps: int, sharpness: float) -> Tensor:
        """Scores as logits: a whole population that fires at once is worth `sharpness` nats."""
        most = (self.shape.last + steps - 1) * self.shape.population
        return scores * (sharpness / most)
