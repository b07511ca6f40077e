"""A window whose truth is a dense map of where each pixel moves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgesnn.events import Events

from .windows import LAST_US, LEAST_EVENTS, Floats, Window

Mask = NDArray[np.bool_]


def dense_window(
    name: str, where: str, events: Events, ends: tuple[int, int], flow: Floats, valid: Mask
) -> Window | str:
    """Return the window between two times, us, or why it is left out.

    flow (2, H, W): pixels that each moves between them, from where it is at the first. Scored are
    the events of the last LAST_US against what has come to their pixels by then.
    """
    height, width = flow.shape[1:]
    share = 1 - LAST_US / 2 / (ends[1] - ends[0])
    carried, known = carried_along(flow, valid, max(0.0, share))
    events = events[(events["x"] < width) & (events["y"] < height)]
    late = np.flatnonzero((events["t"] >= ends[1] - LAST_US) & (events["t"] < ends[1]))
    y, x = events["y"][late], events["x"][late]
    moving = known[y, x] & (carried[:, y, x] != 0).any(0)
    scored = late[moving]
    if len(scored) < LEAST_EVENTS:
        return f"{where}: {len(scored)} events with a truth in its last {LAST_US // 1000} ms"
    per_s = carried / ((ends[1] - ends[0]) * 1e-6)
    truth = per_s[:, events["y"][scored], events["x"][scored]].T.astype(np.float64)
    return Window(name, (width, height), events, *ends, scored, truth)


def carried_along(flow: Floats, valid: Mask, share: float) -> tuple[Floats, Mask]:
    """Return a map of motion after a share of its own time, and where it is known then.

    Each pixel takes its motion along; where two meet the faster one stays: it is nearer, mostly.
    """
    height, width = valid.shape
    rows, columns = np.nonzero(valid)
    u, v = flow[:, rows, columns]
    x, y = np.rint(columns + share * u).astype(int), np.rint(rows + share * v).astype(int)
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    order = np.flatnonzero(inside)[np.argsort(np.hypot(u, v)[inside], kind="stable")]
    carried, known = np.zeros_like(flow), np.zeros_like(valid)
    carried[:, y[order], x[order]] = flow[:, rows[order], columns[order]]
    known[y[order], x[order]] = True
    return carried, known
