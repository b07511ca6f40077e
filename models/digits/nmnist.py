"""N-MNIST recordings as trials: spikes per step, moved, turned and thinned for training.

Orchard et al., Frontiers in Neuroscience 2015, "Converting static image datasets to spiking
neuromorphic datasets using saccades": an ATIS (34 x 34) sees a digit during three saccades of
100 ms. A trial is 12 steps of 25 ms from the first event on.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edgesnn.apps.digits.sets import read_index
from edgesnn.errors import InputError
from edgesnn.events import Events
from edgesnn.sources.reading import read_events

SIZE, STEP_US, STEPS = 34, 25_000, 12
START_EVENTS = 20
"""A trial starts at the first step with so many events."""


def nmnist(where: Path) -> list[tuple[Events, int]]:
    """Return (events, label) of each recording of an index; raises InputError, also for none."""
    found = []
    for path, label in read_index(where, 10):
        events, size = read_events(path)
        if max(size) > SIZE:
            raise InputError(f"{path} comes from a {size[0]} x {size[1]} sensor, wanted 34 x 34")
        if not len(events):
            raise InputError(f"{path} holds no events")
        found.append((events, label))
    return found


def spikes_of(events: Events, steps: int) -> NDArray[np.uint8]:
    """Return whether a pixel fires in a step, uint8 (steps, 2, 34, 34), from the trial's start.

    steps: 12, or a divisor of it for fewer, longer steps.
    """
    t = events["t"] - events["t"][0]
    at = t // STEP_US
    busy = np.bincount(at) >= START_EVENTS
    at = (at - (int(busy.argmax()) if busy.any() else 0)) // (STEPS // steps)
    inside = (at >= 0) & (at < steps)
    frames = np.zeros((steps, 2, SIZE, SIZE), np.uint8)
    kept = events[inside]
    frames[at[inside], kept["p"], kept["y"], kept["x"]] = 1
    return frames


def changed(events: Events, rng: Generator) -> Events:
    """Return a changed copy: moved, turned, stretched, leaning, thinned, faster or slower."""
    kept = events[rng.random(len(events)) < rng.uniform(0.6, 1.0)]
    if not len(kept):
        return events
    angle, (wide, high) = np.deg2rad(rng.uniform(-12, 12)), rng.uniform(0.85, 1.15, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[wide, rng.uniform(-0.15, 0.15)], [0, high]])
    centre = (SIZE - 1) / 2
    points = np.stack([kept["x"], kept["y"]]).astype(np.float64) - centre
    points += rng.uniform(-0.5, 0.5, points.shape)
    x, y = np.rint(matrix @ points + centre + rng.uniform(-2.5, 2.5, (2, 1))).astype(np.int64)
    inside = (x >= 0) & (x < SIZE) & (y >= 0) & (y < SIZE)
    moved: Events = kept[inside].copy()
    if not len(moved):
        return events
    moved["x"], moved["y"] = x[inside], y[inside]
    moved["t"] = (moved["t"] * rng.uniform(0.93, 1.07)).astype(np.int64)
    return moved
