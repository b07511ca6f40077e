"""Two arms of a body over time: tracks of shoulders, elbows and hands, drawn at random.

Depth shows as foreshortening only: hands move in the image plane, an elbow bulges outward by what
the arm has left of its length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Track = NDArray[Any]
"""Positions (T, 2): x, y in pixels."""
RIGHT, LEFT = -1, 1
"""Side of the person's hand, as the sign of its place in the image."""


@dataclass(frozen=True, slots=True)
class Build:
    """A body: shoulder centre x, y; size factor; half the shoulder width; arm length (pixels)."""

    x: float
    y: float
    size: float
    half_width: float
    arm: float


@dataclass(frozen=True, slots=True)
class Motion:
    """Tracks by side: shoulders, elbows, hands."""

    shoulder: dict[int, Track]
    elbow: dict[int, Track]
    hand: dict[int, Track]


class Mover:
    """Makes tracks for one body at times t (seconds, (T,)), all randomness from one generator."""

    def __init__(self, rng: np.random.Generator, t: NDArray[Any], build: Build) -> None:
        self.rng, self.t, self.build = rng, t, build
        self.still = np.zeros_like(t)
        b = build
        self.shoulder = {s: self.track(b.x + s * b.half_width, b.y) for s in (RIGHT, LEFT)}
        self.elbow: dict[int, Track] = {}
        self.hand: dict[int, Track] = {}

    def track(self, x: Any, y: Any) -> Track:
        """Stack x and y, each (T,) or a number, into (T, 2)."""
        return np.stack([x + self.still, y + self.still], axis=1)

    def smooth(self, hz: float, amplitude: float) -> NDArray[Any]:
        """Return a smooth random signal (T,) around a frequency: three sines."""
        rng = self.rng
        total: NDArray[Any] = self.still.copy()
        for _ in range(3):
            size = amplitude * rng.normal() / np.sqrt(3)
            turn = 2 * np.pi * hz * rng.uniform(0.4, 1.6)
            total += size * np.sin(turn * self.t + rng.uniform(0, 2 * np.pi))
        return total

    def phase(self, hz: float) -> NDArray[Any]:
        """Return a phase (T,) that turns at hz from a random start, its tempo wavering a little."""
        start = self.rng.uniform(0, 2 * np.pi)
        turned: NDArray[Any] = 2 * np.pi * hz * self.t + start + self.smooth(0.7, 0.25)
        return turned

    def bent(self, side: int, hand: Track, bend: float) -> Track:
        """Return the elbow between shoulder and hand, out and down by the slack of the arm."""
        reach = hand - self.shoulder[side]
        distance = np.linalg.norm(reach, axis=1, keepdims=True) + 1e-6
        half = self.build.arm / 2
        slack = np.sqrt(np.maximum(half**2 - np.minimum(distance / 2, half) ** 2, 0))
        normal = np.stack([-reach[:, 1], reach[:, 0]], axis=1) / distance
        sign = np.where(normal @ np.array([side * 0.6, 0.8]) >= 0, 1.0, -1.0)[:, None]
        elbow: Track = (self.shoulder[side] + hand) / 2 + normal * sign * slack * bend
        return elbow

    def set(self, side: int, hand: Track, elbow: Track | None = None) -> None:
        """Fix a side's hand; without an elbow the arm bends by itself."""
        self.hand[side] = hand
        bend = self.rng.uniform(0.6, 1.05)
        self.elbow[side] = self.bent(side, hand, bend) if elbow is None else elbow

    def rest(self, side: int) -> None:
        """Let an arm hang, lie on the hip or before the belly, almost still."""
        b, rng = self.build, self.rng
        places = (
            (side * (b.half_width + rng.uniform(2, 8) * b.size), 0.95 * b.arm),
            (side * b.half_width * 0.6, 0.75 * b.arm),
            (side * (b.half_width + 4), 0.85 * b.arm),
            (side * b.half_width * 0.2, 0.55 * b.arm),
        )
        dx, dy = places[rng.integers(len(places))]
        self.set(
            side, self.track(b.x + dx + self.smooth(0.7, 1.0), b.y + dy + self.smooth(0.7, 1.0))
        )
