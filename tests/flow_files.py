"""Recordings with a known motion, written as `edgesnn eval flow` reads them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from edgesnn.apps.flow.graded import windows_of
from edgesnn.apps.flow.windows import Window
from edgesnn.events import Events, events_from_arrays


def written(folder: Path, events: Events, size=(64, 48), speed=(200.0, 0.0), **changes) -> Path:
    """Write a recording with a true shift in the layout that is measured."""
    values = {
        "t": events["t"].astype(np.uint32),
        "x": events["x"],
        "y": events["y"],
        "p": events["p"],
        "K": np.array([[100.0, 0, size[0] / 2], [0, 100.0, size[1] / 2], [0, 0, 1]]),
        "D": np.zeros(5),
        "size": np.array(size),
        "model": "translation",
        "win": np.array([[0, 100_000]]),
        "theta": np.array([[speed[0] / 100, speed[1] / 100]]),
        "half_diff": np.array([1.0]),
        "speed": np.array([math.hypot(*speed)]),
        **changes,
    }
    np.savez(folder / "a.npz", **values)
    return folder / "a.npz"


def graded(folder: Path) -> tuple[list[Window], list[str]]:
    """Return a folder's windows, and why others are left out."""
    told = list(windows_of(folder))
    return [w for w in told if isinstance(w, Window)], [w for w in told if isinstance(w, str)]


def moving_dots(u: float, size=(64, 48), until_us: int = 100_000) -> Events:
    """Forty dots that move to the right: an event at each pixel that they enter."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(40):
        x0, y = rng.uniform(-20, size[0]), int(rng.integers(0, size[1]))
        for x in range(size[0]):
            t = (x - x0) / u * 1e6
            if 0 <= t < until_us:
                rows.append((int(t), x, y, 1))
    return events_from_arrays(*np.array(sorted(rows)).T)
