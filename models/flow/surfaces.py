"""Textured surfaces whose motion is known at every point and time, see `scenes.py`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .textures import SIDE, Image, Random, log_uniform

SENSOR = 128
STEP_US = 10_000
STEPS = 30
Array = NDArray[Any]


class Track:
    """A number or a point over time: q0 + v t + a sin(2 pi f t + phase)."""

    def __init__(self, rng: Random, start: Array, rate: Array, sway: float) -> None:
        self.start, self.rate = np.asarray(start, float), np.asarray(rate, float)
        n = len(self.start)
        self.hz = log_uniform(rng, 0.5, 8)
        self.phase = rng.uniform(0, 2 * np.pi, n)
        reach = sway * np.linalg.norm(self.rate) / math.sqrt(n) / (2 * np.pi * self.hz)
        self.reach = reach * rng.normal(0, 1, n)

    def __call__(self, t: Array) -> Array:
        """Values at the times t (seconds), shape (len(t), n)."""
        t = np.atleast_1d(t)[:, None]
        wave = np.sin(2 * np.pi * self.hz * t + self.phase)
        values: Array = self.start + self.rate * t + self.reach * wave
        return values


class Surface:
    """A texture and its motion. alpha: None for the plane behind everything.

    slides: it keeps its velocity, and neither turns nor grows.
    """

    def __init__(
        self,
        rng: Random,
        tone: Image,
        alpha: Image | None,
        velocity: Array,
        slides: bool = False,
    ) -> None:
        self.alpha = alpha
        side = SIDE if alpha is None else SIDE // 2
        contrast, level = log_uniform(rng, 0.08, 0.9), log_uniform(rng, 30, 200)
        light = np.clip(level * np.exp(contrast * tone[:side, :side]), 3, 255)
        self.light = light.astype(np.float32)
        self.centre = side / 2
        self.velocity = velocity
        duration = STEPS * STEP_US * 1e-6
        sway = rng.uniform(0, 0.9) if rng.random() < 0.6 and not slides else 0.0
        middle = rng.uniform(0, duration)  # when it is where it is wanted
        if alpha is None:
            self.size = log_uniform(rng, 0.5, 1.8)
            at = SENSOR / 2 + rng.uniform(-40, 40, 2)
        else:
            self.size = log_uniform(rng, 7, 60) / (side * 0.42)
            at = rng.uniform(5, SENSOR - 5, 2)
        still = slides or not velocity.any()
        turn = _signed(rng, 0.05, 8) * (rng.random() < 0.5) * (not still)
        grow = _signed(rng, 0.05, 4) * (rng.random() < 0.4) * (not still)
        tilt = rng.normal(0, 0.006, 2) * (alpha is None and rng.random() < 0.35) * (not still)
        slant = rng.normal(0, 0.0006, 2) * (alpha is None)
        self._place = Track(rng, at - velocity * middle, velocity, sway)
        self._angle = Track(rng, rng.uniform(0, 2 * np.pi, 1), np.array([turn]), sway)
        self._zoom = Track(rng, np.array([-grow * middle]), np.array([grow]), sway)
        self._tilt = Track(rng, slant - tilt * middle, tilt, sway)

    def maps(self, t: Array) -> Array:
        """M at the times t (seconds), shape (n, 3, 3)."""
        place, angle = self._place(t), self._angle(t)[:, 0]
        size = self.size * np.exp(np.clip(self._zoom(t)[:, 0], -0.7, 0.7))
        n = len(place)
        move, tilted = np.zeros((n, 3, 3)), np.tile(np.eye(3), (n, 1, 1))
        move[:, 0, 0] = move[:, 1, 1] = np.cos(angle) * size
        move[:, 1, 0] = np.sin(angle) * size
        move[:, 0, 1] = -move[:, 1, 0]
        move[:, :2, 2], move[:, 2, 2] = place, 1
        tilted[:, 2, :2] = np.clip(self._tilt(t), -0.0025, 0.0025)
        centred = np.array([[1, 0, -self.centre], [0, 1, -self.centre], [0, 0, 1.0]])
        maps: Array = move @ tilted @ centred
        return maps

    def flow(self, t: float, points: Array, d: float = 5e-4) -> Array:
        """Motion of the surface at sensor points (n, 2), px/s."""
        before, now, after = self.maps(np.array([t - d, t, t + d]))
        texture_points = np.linalg.inv(now) @ np.c_[points, np.ones(len(points))].T
        a, b = after @ texture_points, before @ texture_points
        flow: Array = ((a[:2] / a[2] - b[:2] / b[2]) / (2 * d)).T
        return flow

    def corners(self, map_: Array) -> Array:
        """Where the corners of the texture lie on the sensor, (4, 2)."""
        side = 2 * self.centre
        box = np.array([[0, 0, 1], [side, 0, 1], [0, side, 1], [side, side, 1.0]]).T
        placed = map_ @ box
        corners: Array = (placed[:2] / placed[2]).T
        return corners


def _signed(rng: Random, low: float, high: float) -> float:
    return float(rng.choice([-1, 1])) * log_uniform(rng, low, high)
