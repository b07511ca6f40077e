"""Fields of motion: their units, and the one motion that fits most of a field."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
FASTEST_G = 6.0
"""Largest g of either part that is smoothed: no single place may outshout all others."""
UNSEEN = 1e-3
"""What a place without events counts among those with."""
_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Motion:
    """The motion of the whole view: a translation (u right, v down) of its middle, a turn
    (clockwise as it is seen) and a growth.

    In cells, radians and shares per step, or, scaled, in pixels, radians and shares per second.
    confidence: 0 to 1, how much of what is seen it explains; 0 where nothing is.
    """

    u: float = 0.0
    v: float = 0.0
    turn: float = 0.0
    grow: float = 0.0
    confidence: float = 0.0

    @property
    def speed(self) -> float:
        """Of the middle of the view."""
        return float(np.hypot(self.u, self.v))

    def scaled(self, length: float, rate: float) -> Motion:
        """Return the same in other units."""
        return Motion(
            self.u * length, self.v * length, self.turn * rate, self.grow * rate, self.confidence
        )


@dataclass(frozen=True, slots=True, eq=False)
class MotionField:
    """Motion of every place of a grid at one time.

    t_us: event time, end of the step. velocity: float32 (2, h, w), px/s, u to the right and v
    down. confidence: float32 (h, w), 0 to 1. seen: bool (h, w), where events came lately; elsewhere
    velocity is a guess from around. place: pixels along a place's side. motion: of the whole view,
    px/s. told_as: what JSON calls it.
    """

    t_us: int
    velocity: NDArray[np.float32]
    confidence: NDArray[np.float32]
    seen: NDArray[np.bool_]
    place: int
    motion: Motion
    told_as: str

    def at_pixels(self, size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return velocity (2, height, width) and where it was seen on a sensor of (width, height).

        Bilinear between the middles of places, as they are at the edges.
        """
        axes = []
        for side, places in zip(size, self.seen.shape[::-1], strict=True):
            at = np.clip((np.arange(side) + 0.5) / self.place - 0.5, 0, places - 1)
            low = np.minimum(at.astype(np.intp), max(places - 2, 0))
            axes.append((low, np.minimum(low + 1, places - 1), (at - low).astype(np.float32)))
        (x0, x1, fx), (y0, y1, fy) = axes
        rows = self.velocity[:, y0] + fy[:, None] * (self.velocity[:, y1] - self.velocity[:, y0])
        field = rows[:, :, x0] + fx * (rows[:, :, x1] - rows[:, :, x0])
        near_y, near_x = (np.arange(side) // self.place for side in size[::-1])
        return field, self.seen[near_y][:, near_x]


def expanded(g: Floats, slow: float) -> Floats:
    """Return the motion (2, ...) of g, whose length is compressed: see `motion.py`."""
    length = np.maximum(np.sqrt(g[0] * g[0] + g[1] * g[1]), 1e-6)
    velocity: Floats = g * (slow * np.sinh(np.minimum(length, 12)) / length)
    return velocity


def smoothed(
    g: Floats, evidence: Floats, seen: NDArray[np.bool_], slow: float, reach: float
) -> Floats:
    """Return the motion (2, h, w) of g (2, h, w), each place told with those around.

    Normalised convolution (Knutsson and Westin 1993) with a Gaussian of `reach` places. A place
    counts as exp(2 evidence), the inverse of the square of the error that it expects, and hardly
    where nothing was seen: there motion is that of the nearest that were.
    """
    weight = np.exp(2 * evidence) * np.where(seen, 1.0, UNSEEN).astype(g.dtype)
    motion = expanded(np.clip(g, -FASTEST_G, FASTEST_G), slow)
    rows, columns = (_gaussian(side, reach) for side in weight.shape)
    total: Floats = rows @ np.concatenate([motion * weight, weight[None]]) @ columns
    velocity: Floats = total[:2] / total[2]
    return velocity


@lru_cache(maxsize=16)
def _gaussian(side: int, reach: float) -> Floats:
    at = np.arange(side)
    kernel: Floats = np.exp(-0.5 * np.square((at[:, None] - at) / reach)).astype(np.float32)
    return kernel


def fitted_motion(velocity: Floats, weight: Floats, least: int) -> Motion:
    """Return the motion that fits most of a field (2, h, w), weights (h, w) 0 where nothing is.

    least: places from which there is one. Holland and Welsch (1977): reweighting, here by Cauchy's
    function of the median error, so that a smaller thing that moves on its own does not pull.
    """
    rows, columns = np.nonzero(weight)
    if len(rows) < least:
        return Motion()
    h, w = weight.shape
    z = 2 * (columns - (w - 1) / 2) + 2j * (rows - (h - 1) / 2)  # cells; complex: right and down
    sure, found = (
        weight[rows, columns],
        velocity[0][rows, columns] + 1j * velocity[1][rows, columns],
    )
    parts = np.stack([np.ones_like(z), z, z * z.conj(), found, z.conj() * found])
    middle, spin = complex(_middle(found.real), _middle(found.imag)), 0j
    for _ in range(_ROUNDS):
        errors = _length(middle + spin * z - found)
        scale = max(_middle(errors), 1e-3)
        middle, spin = _solved(parts @ (sure / (1 + np.square(errors / scale))))
    errors, lengths = _length(middle + spin * z - found), _length(found)
    total = float((sure * (lengths + errors)).sum())
    explained = 1 - float((sure * errors).sum()) / max(total, 1e-9)
    return Motion(middle.real, middle.imag, spin.imag, spin.real, max(0.0, explained))


def _middle(values: Floats) -> float:
    """Return the median, of an even number the higher one: in a third of np.median's time."""
    half = len(values) // 2
    return float(np.partition(values, half)[half])


def _length(vectors: NDArray[np.complex128]) -> Floats:
    """Return how long vectors are: abs takes three times as long."""
    lengths: Floats = np.sqrt(np.square(vectors.real) + np.square(vectors.imag))
    return lengths


def _solved(sums: NDArray[np.complex128]) -> tuple[complex, complex]:
    """Return the motion of the middle, and growth + i turn, of the normal equations' sums."""
    w, z, square, found, around = (complex(value) for value in sums)
    # A little stiffness: few places in a row tell no turn.
    spread = square.real - abs(z) ** 2 / w.real + w.real
    spin = (around - z.conjugate() * found / w.real) / spread
    return (found - spin * z) / w.real, spin
