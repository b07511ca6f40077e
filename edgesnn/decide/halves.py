"""Pictures of the older and the newer half of events, and sums over places of their products.

A place has two cells along each side, and `side` pixels of a picture.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.decide.recent import Recent

BORDER = 2
"""Empty pixels around each picture."""
NEAR = 2.0
"""Standard deviation of the Gaussian over which places are looked at together, in places."""
REACH = 6
"""Places as far as the Gaussian goes."""
Floats = NDArray[np.float32]
Reals = NDArray[np.floating[Any]]


def pictures(recent: Recent, velocity: Floats, span: Floats, side: int) -> Floats:
    """Return (4, side h + 2 BORDER, side w + 2 BORDER): OFF and ON, older half and newer one.

    An event is carried to the middle of its place's span and spread over four pixels; one that
    leaves the grid, or is older than the span, is left out.
    """
    h, w = span.shape
    events = recent.events
    cells, steps = (np.float32(1) / np.float32(one) for one in (recent.cell, recent.step_us))
    x, y = ((events[axis] + np.float32(0.5)) * cells for axis in "xy")
    age = (recent.t_us - events["t"]).astype(np.float32) * steps
    column, row = (x / 2).astype(np.int32), (y / 2).astype(np.int32)
    inside = (column < w) & (row < h)
    place = np.where(inside, row * w + column, 0)
    lasts = span.ravel()[place]
    late = age - lasts / 2
    cell, half = np.float32(side / 2), np.float32(0.5)
    x = cell * (x + velocity[0].ravel()[place] * late) - half
    y = cell * (y + velocity[1].ravel()[place] * late) - half
    inside &= (age >= 0) & (age <= lasts)
    inside &= (x >= 0) & (y >= 0) & (x < side * w - 1) & (y < side * h - 1)
    x, y, which = x[inside], y[inside], (2 * (events["p"] > 0) + (late <= 0))[inside]
    column, row = x.astype(np.int32), y.astype(np.int32)
    a, b = x - column, y - row
    wide, high = side * w + 2 * BORDER, side * h + 2 * BORDER
    first = (which * high + row + BORDER) * wide + column + BORDER
    to = np.concatenate([first, first + 1, first + wide, first + wide + 1])
    share = np.concatenate([(1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b])
    flat = np.bincount(to, share, 4 * high * wide)
    return flat.astype(np.float32).reshape(4, high, wide)


def products(pictures: Floats, raised: Floats, side: int) -> Floats:
    """Return (7, h, w): sums over the pixels of each place.

    They are Ix Ix, Ix Iy, Iy Iy, Ix It, Iy It, It It and I I: I is the mean of the older half and
    the newer one, It their difference; polarities are added up. raised: (4, h, w), by what each
    blurred picture is multiplied there.
    """
    down = pictures[:, :-2] + 2 * pictures[:, 1:-1] + pictures[:, 2:]
    blurred = (down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]) / 16
    along = (blurred[:, 1:-1, 2:] - blurred[:, 1:-1, :-2]) / 2
    across = (blurred[:, 2:, 1:-1] - blurred[:, :-2, 1:-1]) / 2
    by = np.repeat(np.repeat(raised, side, 1), side, 2)
    x, y, at = (by * part for part in (along, across, blurred[:, 1:-1, 1:-1]))
    ix, iy, i = ((one[::2] + one[1::2]) / 2 for one in (x, y, at))
    it = at[1::2] - at[::2]
    pairs = (ix, ix), (ix, iy), (iy, iy), (ix, it), (iy, it), (it, it), (i, i)
    return np.stack([of_places(a * b, side).sum(0) for a, b in pairs])


def of_places(pixels: Floats, side: int) -> Floats:
    """Return sums (n, h, w) over the pixels of each place."""
    count, high, wide = pixels.shape
    # Slices are added several times as fast as an axis of two or four is summed.
    down = sum(pixels[:, k::side] for k in range(1, side)) + pixels[:, ::side]
    sums: Floats = sum(down[..., k::side] for k in range(1, side)) + down[..., ::side]
    return sums


def around(of_place: Floats) -> Floats:
    """Return sums (n, h, w) over the places around each, weighted by the Gaussian."""
    h, w = of_place.shape[1:]
    down = np.matmul(_gaussian(h), of_place)
    sums: Floats = np.matmul(down.reshape(-1, w), _gaussian(w)).reshape(of_place.shape)
    return sums


@lru_cache(maxsize=16)
def reached(h: int, w: int) -> Floats:
    """Return how much of the Gaussian around each place lies inside, (h, w)."""
    return np.outer(_gaussian(h).sum(0), _gaussian(w).sum(0))


def length(vectors: Floats) -> Floats:
    """Return the lengths (h, w) of vectors (2, h, w)."""
    lengths: Floats = np.sqrt(vectors[0] * vectors[0] + vectors[1] * vectors[1])
    return lengths


def weights() -> Floats:
    """Return the Gaussian along one axis, from REACH places before to REACH behind."""
    return np.exp(-0.5 * np.square(np.arange(-REACH, REACH + 1) / NEAR)).astype(np.float32)


@lru_cache(maxsize=16)
def _gaussian(side: int) -> Floats:
    apart = np.arange(side)[:, None] - np.arange(side) + REACH
    inside = (apart >= 0) & (apart <= 2 * REACH)
    return np.where(inside, weights()[np.clip(apart, 0, 2 * REACH)], np.float32(0))


def between(of_block: Floats, places: int) -> Floats:
    """Return maps (n, places, w) of maps (n, blocks, w), a block being two places along the first
    axis: linear between the middles of blocks, and beyond the last ones as there."""
    before = np.concatenate([of_block[:, :1], of_block[:, :-1]], 1)
    behind = np.concatenate([of_block[:, 1:], of_block[:, -1:]], 1)
    low, high = (np.float32(0.75) * of_block + np.float32(0.25) * one for one in (before, behind))
    both: Floats = np.stack([low, high], 2)
    return both.reshape(len(of_block), -1, of_block.shape[2])[:, :places]
