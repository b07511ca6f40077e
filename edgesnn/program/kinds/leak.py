"""The arithmetic of leaky neurons (`leaky.py`): the leak, bounds, and when all is at rest."""

from __future__ import annotations

import numpy as np

from edgesnn.program.node import Tensor

LEAK_UNIT = 256
"""What `Leaky.keep` is a share of."""


def leaked(potential: Tensor, keep: int) -> Tensor:
    """Return what a step leaves of int32 potentials: trunc(keep V / 256), rounded towards 0."""
    scaled = potential * np.int32(keep)
    left: Tensor = np.where(scaled < 0, scaled + (LEAK_UNIT - 1), scaled) // LEAK_UNIT
    return left


def potential_bound(keep: int, current: Tensor, largest_sum: int) -> int:
    """Return what no |H| can exceed where no |X| exceeds `largest_sum`.

    |H[t]| <= keep |H[t-1]| / 256 + |X| + |current|: a geometric series.
    """
    most = largest_sum + int(np.abs(current.astype(np.int64)).max())
    return -(-most * LEAK_UNIT // (LEAK_UNIT - keep))


def settling_steps(keep: int, theta: Tensor, current: Tensor, bound: int) -> int:
    """Return how long potentials up to `bound` can go on changing when no sums arrive.

    V -> trunc(keep V / 256) + current is monotone, and what it leaves as it is are neighbours: no
    potential takes longer to settle than the lowest or the highest. None reaches the threshold on
    the way (`Leaky.value`).
    """
    v, steps = np.stack([np.full_like(theta, -bound), theta - 1]), 0
    while True:
        after = leaked(v, keep) + current
        if np.array_equal(after, v):
            return steps
        v, steps = after, steps + 1
