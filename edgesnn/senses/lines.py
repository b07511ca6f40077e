"""Rows and columns of a sensor that fire by themselves, as a defect of their readout makes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ONCE, OFTEN = 0.75, 2.2
"""Events of a noisy line's pixels in a span, and in two spans running, in the mean."""
LEAST = 64
"""Pixels of a line: on smaller sensors an edge is as long as a line."""
TIMES = 4
"""How much busier it is than the three quietest of its four neighbours together: the fourth may be
noisy as well, and the border of a busy part of the picture has two busy ones."""
SHARE = 0.75
"""Of a line's pixels, from which on people are told of the line instead of its pixels."""
_Counts = NDArray[np.int32]


def noisy_lines(counts: _Counts, mean: float) -> NDArray[np.bool_]:
    """Return the pixels, (height, width), of lines of which most pixels fired, beside quiet ones.

    counts: events of each pixel in a span of time, (height, width). mean: how many those of a
    noisy line have; no pixel counts for much more than twice as many. An edge that moves is not in
    one line for long: what calls this wants the same line in two spans running.
    """
    found = np.zeros(counts.shape, bool)
    if int(counts.sum()) < mean * LEAST:
        return found
    capped = np.minimum(counts, int(2 * mean) + 1)
    found[_busy(capped.sum(axis=1), mean, counts.shape[1])] = True
    found[:, _busy(capped.sum(axis=0), mean, counts.shape[0])] = True
    return found


def _busy(sums: NDArray[np.int64], mean: float, pixels: int) -> NDArray[np.bool_]:
    """Return which lines of so many pixels are noisy."""
    if pixels < LEAST or len(sums) < 3:
        return np.zeros(len(sums), bool)
    framed = np.pad(sums, 2, mode="reflect")  # beyond the first line lie the second and the third
    around = np.sort(np.stack([framed[i : i + len(sums)] for i in (0, 1, 3, 4)]), axis=0)
    busy: NDArray[np.bool_] = (sums >= mean * pixels) & (sums > TIMES * around[:3].sum(axis=0))
    return busy


def lines_of(pixels: list[tuple[int, int]], size: tuple[int, int]) -> tuple[list[int], list[int]]:
    """Return the rows and the columns of which most pixels are among these (x, y)."""
    width, height = size
    columns = np.bincount([x for x, _ in pixels], minlength=width)
    rows = np.bincount([y for _, y in pixels], minlength=height)
    return (
        np.flatnonzero(rows >= SHARE * width).tolist(),
        np.flatnonzero(columns >= SHARE * height).tolist(),
    )
