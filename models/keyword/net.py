"""The keyword network: two hidden layers with learned synaptic delays, and delayed scores.

x        (2, 1, 40)   event counts per band and frame: OFF, ON
hear     80 -> hidden, delays up to 24 steps, leaky neurons (or sliding PSNs,
                               or the leaky neurons of Loihi)
relate   hidden -> hidden, the same
scores   hidden -> (11,) integer sums per step, delayed too: ten digits and "unknown"
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..layers.delays import DelayedWeight, DelayLayer, Delays, Neuron

UNKNOWN = 10
LABELS = (*"zero one two three four five six seven eight nine".split(), "unknown")


@dataclass(frozen=True, slots=True)
class KeywordShape:
    """Sizes. span: possible delays of a synapse, steps; order: of sliding PSNs, steps."""

    bands: int = 40
    hidden: int = 128
    span: int = 25
    order: int = 3
    classes: int = 11
    delays: Delays = "learned"
    neuron: Neuron = "leaky"


class KeywordNet(nn.Module):
    """See the module's head. Input (T, B, 2 * bands) counts, output scores (T, B, classes)."""

    def __init__(self, shape: KeywordShape = KeywordShape(), dropout: float = 0.25) -> None:
        super().__init__()
        s = shape
        self.shape = s
        self.dropout = dropout
        made = [
            DelayLayer(s.hidden, inputs, s.span, delays=s.delays, order=s.order, neuron=s.neuron)
            for inputs in (2 * s.bands, s.hidden)
        ]
        self.layers = nn.ModuleDict(dict(zip(("hear", "relate"), made, strict=True)))
        self.scores = DelayedWeight(s.classes, s.hidden, s.span, delays=s.delays, per_channel=False)
        with torch.no_grad():
            self.scores.shared.weight.mul_(0.1)

    def synapses(self) -> list[DelayedWeight]:
        """All sets of delayed synapses."""
        return [m for m in self.modules() if isinstance(m, DelayedWeight)]

    def set_width(self, sigma: float | None) -> None:
        """Set the width of all bumps; None rounds the delays (and freezes them)."""
        for synapses in self.synapses():
            synapses.sigma = sigma

    def forward(self, x: Tensor) -> Tensor:
        """Take counts (T, B, 2 * bands); return integer scores (T, B, classes) in float32."""
        for layer in self.layers.values():
            x = layer(x)
            if self.training and self.dropout > 0:
                # One mask per clip: a neuron is missing for the whole word.
                keep = x.new_ones(x.shape[1:]).bernoulli_(1 - self.dropout)
                x = x * keep / (1 - self.dropout)
        scores: Tensor = self.scores(x)
        return scores

    def unit(self) -> Tensor:
        """Value of one integer of score: multiply scores by it to get logits."""
        return self.scores.shared.scale()

    def rates(self) -> list[Tensor]:
        """Spikes per neuron and step of each layer at the last forward pass."""
        return [layer.rate for layer in self.layers.values() if isinstance(layer, DelayLayer)]
