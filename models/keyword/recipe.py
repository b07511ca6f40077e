"""What decides how the keyword network is trained, besides the data; see `train.py`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from .augment import Changes


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the training, with an optimiser of its own whose rate falls along a cosine.

    extra: words of the extra set in an epoch. changes: how words are changed. delays: whether the
    delays are learned: bumps shrink during the first quarter and are rounded in the last; else they
    are rounded all along.
    """

    epochs: int
    rate: float = 3e-3
    dropout: float = 0.25
    sparsity: float = 0.05
    extra: int = 600
    changes: Changes = Changes()
    delays: bool = True


HARD = Stage(epochs=60)
"""Words as they seldom are: what teaches the network what a word has in common."""
MILD = Stage(
    epochs=8,
    rate=1.5e-3,
    dropout=0.1,
    sparsity=0.01,
    extra=300,
    changes=Changes(speed=0.1, noisy=0.3, snr_db=(10.0, 40.0), room=0.1, masks=0.2, foreign=0.03),
    delays=False,
)
"""Words as they mostly are: what the thresholds of the network that ships settle on."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the result, besides the data.

    longest: steps of a word that training sees. noises: stretches of noise labelled unknown in an
    epoch.
    """

    stages: tuple[Stage, ...] = (HARD, MILD)
    batch: int = 64
    position_rate: float = 0.1
    weight_decay: float = 1e-5
    smoothing: float = 0.02
    longest: int = 100
    noises: int = 250
    seed: int = 0
    shape: dict[str, Any] = field(default_factory=lambda: {"hidden": 192})

    @property
    def epochs(self) -> int:
        """Of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def lasting(self, epochs: int) -> Recipe:
        """Return this recipe with so many epochs, shared out over the stages (one at least)."""
        shares = [max(1, round(epochs * s.epochs / self.epochs)) for s in self.stages[1:]]
        shares = [max(1, epochs - sum(shares)), *shares]
        stages = zip(self.stages, shares, strict=True)
        return replace(self, stages=tuple(replace(s, epochs=n) for s, n in stages))
