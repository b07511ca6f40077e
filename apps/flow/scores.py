"""How good flow is: against a truth at events, and how sharp it makes them.

aee        mean length of the error, px/s
relative   mean of the error over the true speed
angle_deg  mean angle between flow and truth
fwl        flow warp loss (Stoffregen et al. 2020): variance of the picture of the events warped
           along the flow to the middle of their time, over that of the events as they are; above 1
           is sharper
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgesnn.events import Events

FWL_US = 30_000
Floats = NDArray[np.floating]


def scores_of(found: Floats, truth: Floats) -> dict[str, float]:
    """Return aee, relative and angle_deg of flows (n, 2) against true ones, px/s."""
    speed = np.hypot(*truth.T)
    error = np.hypot(*(found - truth).T)
    cosine = (found * truth).sum(1) / (np.hypot(*found.T) * speed + 1e-9)
    return {
        "aee": float(error.mean()),
        "relative": float((error / speed).mean()),
        "angle_deg": float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean()),
    }


def fwl_of(events: Events, field: Floats, until_us: int, size: tuple[int, int]) -> float | None:
    """Return the FWL of a field (2, H, W), px/s, over the events of FWL_US before until_us.

    None where there are too few events to tell.
    """
    seen = events[(events["t"] >= until_us - FWL_US) & (events["t"] < until_us)]
    if len(seen) < 500:
        return None
    u, v = field[:, seen["y"], seen["x"]].astype(np.float64)
    left_s = (until_us - FWL_US / 2 - seen["t"]) * 1e-6
    sharp = _picture(seen["x"] + u * left_s, seen["y"] + v * left_s, size)
    plain = _picture(seen["x"].astype(np.float64), seen["y"].astype(np.float64), size)
    return float(sharp.var() / plain.var())


def _picture(x: Floats, y: Floats, size: tuple[int, int]) -> Floats:
    """Return the picture of points, each spread over the four pixels around it."""
    width, height = size
    inside = (x >= 0) & (y >= 0) & (x < width - 1) & (y < height - 1)
    x, y = x[inside], y[inside]
    column, row = x.astype(np.intp), y.astype(np.intp)
    a, b = x - column, y - row
    picture = np.zeros(width * height)
    for dx, dy, weight in (
        (0, 0, (1 - a) * (1 - b)),
        (1, 0, a * (1 - b)),
        (0, 1, (1 - a) * b),
        (1, 1, a * b),
    ):
        picture += np.bincount((row + dy) * width + column + dx, weight, width * height)
    return picture.reshape(height, width)
