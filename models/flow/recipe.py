"""What decides the result of a training of the flow network: its stages and their recipes."""

from __future__ import annotations

from dataclasses import dataclass

from .net import AS_SHIPPED, MIDDLE, WIDE, FlowShape
from .scenes import CAMERA, SLIDE, WORLD, Mix


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the result.

    decay: share of the updates in which the rate falls. smooth: weight of the errors of the field
    as it is told. average: share of the updates, the last ones, whose networks' mean is what comes
    of them.
    """

    updates: int = 16_000
    batch: int = 16
    rate: float = 2e-3
    decay: float = 0.6
    weight_decay: float = 1e-3
    angle: float = 0.3
    relative: float = 0.0
    evidence: float = 0.05
    smooth: float = 0.0
    seed: int = 0
    check: int = 1_000
    average: float = 0.0
    mix: Mix = WORLD


FIRST = Recipe()
SECOND = Recipe(rate=1.2e-3, decay=0.85, relative=0.7, seed=1)
"""After the first: directions are known, and how far off speeds are in proportion counts."""
THIRD = Recipe(rate=1.2e-3, decay=0.85, relative=0.7, seed=2)
"""After the second: the windows are split."""
FOURTH = Recipe(updates=8_000, rate=1e-3, decay=0.9, relative=0.7, seed=3, mix=CAMERA)
"""After the third: what one camera sees moves as one more often."""
FIFTH = Recipe(updates=10_000, rate=1e-3, decay=0.9, relative=0.7, smooth=1.0, seed=5, mix=CAMERA)
"""After the fourth: what counts is the field as it is told, smoothed by the evidence."""
SIXTH = Recipe(updates=14_000, rate=1e-3, decay=0.9, relative=0.7, smooth=1.0, seed=6, mix=SLIDE)
"""After the fifth: the windows are split again, and cameras slide past several depths."""
SEVENTH = Recipe(
    updates=9_000,
    rate=5e-4,
    decay=0.0,
    relative=0.7,
    smooth=1.0,
    seed=7,
    mix=SLIDE,
    average=0.8,
)
"""After the sixth: the mean of the networks that a level rate goes through."""
STAGES = (
    ("first", FIRST, FlowShape(windows=WIDE)),
    ("second", SECOND, FlowShape(windows=WIDE)),
    ("third", THIRD, FlowShape(windows=MIDDLE)),
    ("fourth", FOURTH, FlowShape(windows=MIDDLE)),
    ("fifth", FIFTH, FlowShape(windows=MIDDLE)),
    ("sixth", SIXTH, AS_SHIPPED),
    ("seventh", SEVENTH, AS_SHIPPED),
)
"""Each begins with what the one before it ends with."""
MEAN_OF = ("fifth", "seventh")
"""Stages whose networks' mean ships: of the last three's means it errs least on held-out scenes."""
