"""Motion as networks and sensors tell it: outputs of a field, events of dots that move alike."""

from __future__ import annotations

import numpy as np

from edgesnn.decide.motion import DIRECTIONS, TURNS, MotionSpec
from edgesnn.decide.motion_field import Motion
from edgesnn.decide.recent import LAST, Recent
from edgesnn.events import Events, events_from_arrays

STEP_US = 10_000
SPEC = MotionSpec((*DIRECTIONS, *TURNS), 0.01, 0.05, 0.02, 6, 1, 0.5, 0.3, told_as="field")


def dots(
    velocity: tuple[float, float],
    size: tuple[int, int] = (96, 80),
    count: int = 150,
    steps: int = LAST,
    seed: int = 0,
    noise: int = 0,
) -> Events:
    """Return events of dots that move with `velocity`, px/s, in the time of so many steps.

    A dot gives an event, ON or OFF as it is, whenever it reaches another pixel. noise: events
    beside them, anywhere.
    """
    rng = np.random.default_rng(seed)
    width, height = size
    until_us = steps * STEP_US
    t = np.arange(0, until_us, 200)
    moved = np.outer(t * 1e-6, velocity)
    found = []
    for _ in range(count):
        x, y = (rng.uniform(0, side) + moved[:, k] for k, side in enumerate(size))
        at = np.stack([np.floor(x % width), np.floor(y % height)])
        new = np.r_[False, (np.diff(at) != 0).any(0)]
        found.append(np.stack([t[new], *at[:, new], np.full(new.sum(), rng.integers(2))]))
    found.append(np.stack([rng.integers(0, high, noise) for high in (until_us, width, height, 2)]))
    table = np.concatenate(found, axis=1).astype(np.int64)
    return events_from_arrays(*table[:, np.argsort(table[0], kind="stable")])


def seen_by(events: Events, cell: int = 2, steps: int = LAST) -> Recent:
    """Return what a readout remembers at the end of so many steps."""
    recent = Recent()
    for start in range(0, steps * STEP_US, STEP_US):
        inside = (events["t"] >= start) & (events["t"] < start + STEP_US)
        recent = recent.and_then(events[inside], start + STEP_US, cell, STEP_US)
    return recent


def field_of(motion: Motion, h: int = 12, w: int = 16) -> np.ndarray:
    """Return the motion of every place, cells per step."""
    y, x = np.mgrid[:h, :w]
    x, y = 2 * (x - (w - 1) / 2), 2 * (y - (h - 1) / 2)
    u = motion.u + motion.grow * x - motion.turn * y
    return np.stack([u, motion.v + motion.turn * x + motion.grow * y])


def output_of(motion: Motion) -> np.ndarray:
    """Return what a network that sees it says."""
    v = field_of(motion)
    length = np.maximum(np.hypot(*v), 1e-9)
    g = v * np.arcsinh(length / SPEC.slow) / length
    y = np.zeros((4, *v.shape[1:]), np.int32)
    y[:2] = np.rint(g / SPEC.unit)
    y[2], y[3] = 150, 1
    return y
