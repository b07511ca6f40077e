"""Recordings with a measured truth: windows of rigid motion, and the flow that follows from it.

A file is a plain .npz: t (us), x, y (raw pixels), p, K (3, 3) and D (k1 k2 p1 p2 k3), size (width,
height), model, and for each window win (t0, t1), theta, half_diff and speed (px/s; half_diff is how
far fits to two random halves of the events disagree). With (a, b) the undistorted, normalised
coordinates and a', b' their change per second:

    rotation     theta = (wx, wy, wz) rad/s, axes right, down, forward
                 a' = a b wx - (1 + a^2) wy + b wz,   b' = (1 + b^2) wx - a b wy - a wz
    homography   theta = h0..h7, z = h6 a + h7 b
                 a' = h0 a + h1 b + h2 - a z,         b' = h3 a + h4 b + h5 - b z
    translation  a' = tx,                             b' = ty
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError
from edgesnn.events import Events, events_from_arrays
from edgesnn.sources.found import check_plain
from edgesnn.sources.opencv import opencv

from .windows import LAST_US, LEAST_EVENTS, Window

LEAST_US = 10_000
UNSURE = 0.12
"""Share of the speed by which the halves may disagree."""
_DT = 1e-4
NEEDED = ("t", "x", "y", "p", "K", "D", "size", "model", "win", "theta", "half_diff", "speed")
_THETA = {"rotation": 3, "homography": 8, "translation": 2}
Floats = NDArray[np.float64]


def rigid_windows(path: Path) -> Iterator[Window | str]:
    """Yield the windows of a file, or why one is left out; raises InputError for damage."""
    data = _loaded(path)
    if not set(NEEDED) <= set(data) or str(data["model"]) not in _THETA:
        yield f"{path.name}: not a recording with a motion that is rotation, homography or shift"
        return
    model = str(data["model"])
    _check(path, data, _THETA[model])
    width, height = (int(side) for side in data["size"])
    inside = (data["x"] >= 0) & (data["x"] < width) & (data["y"] >= 0) & (data["y"] < height)
    if not inside.all():
        outside = np.count_nonzero(~inside)
        yield f"{path.name}: {outside:,} events outside its sensor of {width} x {height} pixels"
    events = events_from_arrays(*(data[n][inside] for n in ("t", "x", "y", "p")))
    theta = np.atleast_2d(data["theta"]).astype(np.float64)
    for i, (t0, t1) in enumerate(data["win"].astype(np.int64).tolist()):
        where = f"{path.name}, window {i} ({t0 / 1e3:.1f} to {t1 / 1e3:.1f} ms)"
        doubt = float(data["half_diff"][i]) / max(float(data["speed"][i]), 1e-9)
        scored = np.flatnonzero((events["t"] >= t1 - LAST_US) & (events["t"] < t1))
        if t1 - t0 < LEAST_US:
            yield f"{where}: shorter than {LEAST_US // 1000} ms"
        elif not doubt < UNSURE:
            yield f"{where}: its halves differ by {100 * doubt:.0f} %"
        elif len(scored) < LEAST_EVENTS:
            yield f"{where}: {len(scored)} events in its last {LAST_US // 1000} ms"
        else:
            truth = flow_at(
                events[scored], model, theta[i], data["K"].astype(float), data["D"].astype(float)
            )
            if not truth.any(1).all() or not np.isfinite(truth).all():
                raise InputError(f"{where}: its true motion is none, or without end")
            yield Window(path.stem, (width, height), events, t0, t1, scored, truth)


def _check(path: Path, data: dict[str, Any], parameters: int) -> None:
    """Raise InputError that names the first array which is of another shape or kind."""
    many, events = np.shape(data["win"])[:1], np.shape(data["t"])[:1]
    wanted: dict[str, tuple[int, ...]] = {name: events for name in ("t", "x", "y", "p")}
    wanted |= {"K": (3, 3), "D": (5,), "size": (2,), "win": (*many, 2)}
    wanted |= {"theta": (*many, parameters), "half_diff": many, "speed": many}
    for name, shape in wanted.items():
        found = np.atleast_2d(data[name]) if name == "theta" else data[name]
        if found.shape != shape or not shape:
            raise InputError(f"{path}: {name} is of shape {found.shape}; wanted {shape}")
        if found.dtype.kind not in "iufb" or not np.isfinite(found).all():
            raise InputError(f"{path}: {name} holds what is no number")
    if (np.diff(data["t"].astype(np.int64)) < 0).any():
        raise InputError(f"{path}: its events are not in order of time")


def flow_at(events: Events, model: str, theta: Floats, K: Floats, D: Floats) -> Floats:
    """Return the true flow of events, (n, 2) px/s on the raw pixels of a lens with K and D."""
    cv2 = opencv()
    raw = np.stack([events["x"], events["y"]], axis=1).astype(np.float64)
    a, b = cv2.undistortPoints(raw[:, None], K, D).reshape(-1, 2).T
    da, db = _rate(model, theta, a, b)

    def distorted(a: Floats, b: Floats) -> Floats:
        points = np.stack([a, b, np.ones_like(a)], axis=1)
        placed: Floats = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, D)[0]
        return placed.reshape(-1, 2)

    flow: Floats = (distorted(a + da * _DT, b + db * _DT) - distorted(a, b)) / _DT
    return flow


def _rate(model: str, theta: Floats, a: Floats, b: Floats) -> tuple[Floats, Floats]:
    if model == "rotation":
        wx, wy, wz = theta
        return a * b * wx - (1 + a * a) * wy + b * wz, (1 + b * b) * wx - a * b * wy - a * wz
    if model == "homography":
        h = theta
        z = h[6] * a + h[7] * b
        return h[0] * a + h[1] * b + h[2] - a * z, h[3] * a + h[4] * b + h[5] - b * z
    return np.full_like(a, theta[0]), np.full_like(a, theta[1])


def _loaded(path: Path) -> dict[str, Any]:
    check_plain(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files if name in NEEDED}
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds
        raise InputError(f"{path} is not a readable .npz file: {error}") from error
