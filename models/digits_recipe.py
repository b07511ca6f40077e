"""What decides how the digit networks are trained, besides the data; see `train_digits`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the result, besides the data.

    phases: (steps of a trial, epochs), one after the other, while the rate rises to `rate` and
    falls to 0. encore: epochs of a second, lower rise and fall, to `encore_rate`, at the full
    number of steps. dark: whether dark pixels spike too.
    jitter: see `digits_data.jittered`. alpha: of the surrogate gradient; sharpness: see
    `DigitNet.logits`. hint: what a second readout weighs that only training has: a linear one, of
    the last hidden layer's first spikes. It brings the layers below a gradient that is free of the
    output neurons' surrogate. teacher: epochs of a conventional network that updates at the full
    number of steps learn from (0: none), taught: what its view weighs beside the labels.
    """

    phases: tuple[tuple[int, float], ...]
    jitter: dict[str, Any]
    dark: bool = False
    batch: int = 64
    rate: float = 2e-3
    encore: float = 0.0
    encore_rate: float = 2e-3
    weight_decay: float = 1e-3
    dropout: float = 0.1
    alpha: float = 2.0
    sharpness: float = 12.0
    hint: float = 0.0
    teacher: float = 0.0
    taught: float = 0.7
    seed: int = 0
    shape: dict[str, Any] = field(default_factory=dict)

    @property
    def epochs(self) -> float:
        """Of all phases and the encore."""
        return sum(share for _, share in self.phases) + self.encore


MNIST = Recipe(
    phases=((2, 6), (6, 6)),
    jitter={"degrees": 10, "scale": 0.1, "shear": 0.1, "shift": 2.5, "flip": False, "erase": 0.0},
    rate=4e-3,
    sharpness=8.0,
    shape={"steps": 6},
)
FASHION = Recipe(
    phases=((3, 2), (6, 10)),
    jitter={"degrees": 0, "scale": 0.0, "shear": 0.0, "shift": 0.0, "flip": True, "erase": 0.0},
    dark=True,
    rate=4e-3,
    dropout=0.0,
    sharpness=10.0,
    hint=1.0,
    shape={"steps": 6, "near": 40, "far": 80, "deep": 80, "population": 32},
)
NMNIST = Recipe(
    phases=((4, 60), (12, 40)),
    jitter={},
    batch=40,
    rate=4e-3,
    sharpness=8.0,
    dropout=0.3,
    shape={"size": 34, "padding": 1, "steps": 12},
)
RECIPES = {"mnist": MNIST, "fashion": FASHION, "nmnist": NMNIST}
