"""MVSEC's layout (Zhu et al. 2018): two files of one name in a folder.

NAME_data.hdf5          davis/left/events (n, 4): x, y, t in s, p -1 or 1
NAME_gt_flow_dist.npz   timestamps (s), x_flow_dist, y_flow_dist (n, H, W): pixels until the
                        next one
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgesnn.errors import InputError
from edgesnn.events import events_from_arrays
from edgesnn.sources.found import check_plain
from edgesnn.sources.hdf5_file import hdf5, part_of, shape_of

from .dense_truth import dense_window
from .windows import BEFORE_US, Floats, Window

_EVENTS = "davis/left/events"


def mvsec_windows(folder: Path) -> Iterator[Window | str]:
    """Yield the windows of every sequence in a folder, or why one is left out."""
    for data in sorted(folder.glob("*_data.hdf5")):
        name = data.name.removesuffix("_data.hdf5")
        truth = data.with_name(f"{name}_gt_flow_dist.npz")
        if not truth.is_file():
            yield f"{data.name}: no {truth.name} beside it"
            continue
        stamps, flows = _truth(truth)
        with hdf5(data) as file:
            shape = shape_of(file, _EVENTS)
            if len(shape) != 2 or shape[1] != 4 or not shape[0]:
                raise InputError(f"{_EVENTS} of {data} is of shape {shape}; wanted (n, 4)")
            seconds = part_of(file, _EVENTS, (slice(None), 2)).astype(np.float64)
            if not np.isfinite(seconds).all() or (np.diff(seconds) < 0).any():
                raise InputError(f"{data}: its events are not in order of time")
            t = np.rint((seconds - seconds[0]) * 1e6).astype(np.int64)
            for i, (begin, end) in enumerate(zip(stamps, stamps[1:], strict=False)):
                ends = round((begin - seconds[0]) * 1e6), round((end - seconds[0]) * 1e6)
                first, last = np.searchsorted(t, [ends[0] - BEFORE_US, ends[1]])
                rows = part_of(file, _EVENTS, slice(int(first), int(last)))
                if not np.isfinite(rows).all() or (rows[:, :2] < 0).any():
                    raise InputError(f"{data}: events lie nowhere")
                events = events_from_arrays(t[first:last], rows[:, 0], rows[:, 1], rows[:, 3])
                valid = np.isfinite(flows[i]).all(0) & (flows[i] != 0).any(0)
                where = f"{name}, {i}"
                yield dense_window(name, where, events, ends, np.nan_to_num(flows[i]), valid)


def _truth(path: Path) -> tuple[Floats, Any]:
    """Return the times, s, and the pixels moved until the next one, (n, 2, H, W)."""
    check_plain(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            stamps = file["timestamps"].astype(np.float64)
            x, y = (file[f"{axis}_flow_dist"] for axis in "xy")
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds
        raise InputError(f"{path} is not a readable .npz file: {error}") from error
    if x.ndim != 3 or x.shape != y.shape or stamps.ndim != 1 or len(x) < len(stamps) - 1:
        raise InputError(
            f"{path}: timestamps {stamps.shape}, x_flow_dist {x.shape} and y_flow_dist {y.shape}; "
            "wanted (n), (n, H, W) and (n, H, W)"
        )
    if not np.isfinite(stamps).all() or (np.diff(stamps) <= 0).any():
        raise InputError(f"{path}: its timestamps do not go on")
    return stamps, np.stack([x, y], axis=1).astype(np.float64)
