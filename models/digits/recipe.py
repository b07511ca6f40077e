"""What decides how the digit networks are trained, besides the data; see `train.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

STILL = {
    "degrees": 0.0,
    "scale": 0.0,
    "shear": 0.0,
    "shift": 0.0,
    "whole": False,
    "flip": False,
}
"""Images as they are; see `data.jittered`."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the training, with an optimiser of its own whose rate rises to `rate` and falls.

    phases: (steps of a trial, epochs), one after the other. jitter: how images are moved, see
    `data.jittered` (recordings have changes of their own).
    """

    phases: tuple[tuple[int, float], ...]
    rate: float = 4e-3
    dropout: float = 0.1
    jitter: dict[str, Any] = field(default_factory=lambda: dict(STILL))


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the result, besides the data.

    dark: whether dark pixels spike too. alpha: of the surrogate gradient; sharpness: see
    `DigitNet.logits`. hint: what a second readout weighs that only training has: a linear one, of
    the last hidden layer's first spikes. It brings the layers below a gradient that is free of the
    output neurons' surrogate. teacher: epochs of a conventional network, trained on the images of
    the first stage, that updates at the full number of steps learn from (0: none); taught: what
    its view weighs beside the labels.
    """

    stages: tuple[Stage, ...]
    dark: bool = False
    batch: int = 64
    weight_decay: float = 1e-3
    alpha: float = 2.0
    sharpness: float = 8.0
    hint: float = 0.0
    teacher: float = 0.0
    taught: float = 0.7
    seed: int = 0
    shape: dict[str, Any] = field(default_factory=dict)

    @property
    def epochs(self) -> float:
        """Of all phases of all stages."""
        return sum(share for stage in self.stages for _, share in stage.phases)


MNIST = Recipe(
    stages=(
        Stage(
            phases=((2, 6), (6, 6)),
            jitter={**STILL, "degrees": 10, "scale": 0.1, "shear": 0.1, "shift": 2.5},
        ),
    ),
    shape={"steps": 6},
)
FASHION = Recipe(
    stages=(
        Stage(
            phases=((3, 6), (6, 20)),
            dropout=0.25,
            jitter={**STILL, "shift": 1.5, "whole": True, "flip": True},
        ),
        # Images as they mostly are; two falls of the rate went further than one.
        Stage(phases=((6, 6),), rate=1.5e-3, dropout=0.0, jitter={**STILL, "flip": True}),
        Stage(phases=((6, 5),), rate=1.5e-3, dropout=0.0, jitter={**STILL, "flip": True}),
    ),
    dark=True,
    sharpness=10.0,
    hint=1.0,
    teacher=15.0,
    shape={"steps": 6, "near": 40, "far": 80, "deep": 80, "population": 32},
)
NMNIST = Recipe(
    stages=(Stage(phases=((4, 60), (12, 40)), dropout=0.3),),
    batch=40,
    shape={"size": 34, "padding": 1, "steps": 12},
)
RECIPES = {"mnist": MNIST, "fashion": FASHION, "nmnist": NMNIST}
