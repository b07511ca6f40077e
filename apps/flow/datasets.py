"""DSEC-Flow's and MVSEC's own layouts: windows between two times, with a dense true flow.

DSEC-Flow (Gehrig et al. 2021), a folder for each sequence:
    events/left/events.h5            events/{t, x, y, p}, t_offset, us; ms_to_idx
    flow/forward_timestamps.txt      from_us, to_us a line, # for comments
    events/left/rectify_map.h5       rectify_map (H, W, 2): where a raw pixel lies in the true flow
    flow/forward/NNNNNN.png          16 bits: (value - 2^15) / 128 pixels in that time; blue: valid

MVSEC (Zhu et al. 2018), two files of one name in a folder:
    NAME_data.hdf5                   davis/left/events (n, 4): x, y, t in s, p -1 or 1
    NAME_gt_flow_dist.npz            timestamps (s), x_flow_dist, y_flow_dist (n, H, W), pixels

A window's flow is scored at the events of its last 10 ms where the truth is valid.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edgesnn.errors import InputError, MissingDependency
from edgesnn.events import Events, events_from_arrays

from .fields import read_dsec_png
from .windows import LAST_US, LEAST_EVENTS, Floats, Window

_BEFORE_US = 500_000
"""Of what came before a window: more than the network remembers."""


def dsec_windows(folder: Path) -> Iterator[Window | str]:
    """Yield the windows of every DSEC sequence in a folder, or why one is left out."""
    for sequence in sorted({path.parents[2] for path in folder.glob("**/events/left/events.h5")}):
        stamps = next(iter(sorted(sequence.glob("**/forward_timestamps.txt"))), None)
        if stamps is None:
            yield f"{sequence.name}: no forward_timestamps.txt: a test sequence, without truth"
            continue
        times = _times(stamps)
        pictures = sorted((stamps.parent / "forward").glob("*.png"))
        if len(pictures) != len(times):
            raise InputError(f"{stamps} has {len(times)} lines for {len(pictures)} pictures")
        rectified = _rectify_map(sequence / "events" / "left" / "rectify_map.h5")
        with _hdf5(sequence / "events" / "left" / "events.h5") as file:
            for (from_us, to_us), picture in zip(times, pictures, strict=True):
                flow, valid = read_dsec_png(picture.read_bytes())
                events = _dsec_events(file, from_us - _BEFORE_US, to_us, rectified)
                lasts_s = (to_us - from_us) * 1e-6
                where = f"{sequence.name}, {picture.name}"
                per_s = flow.astype(np.float64) / lasts_s
                yield _window(sequence.name, where, events, (from_us, to_us), per_s, valid)


def mvsec_windows(folder: Path) -> Iterator[Window | str]:
    """Yield the windows of every MVSEC sequence in a folder, or why one is left out."""
    for data in sorted(folder.glob("*_data.hdf5")):
        name = data.name.removesuffix("_data.hdf5")
        truth = data.with_name(f"{name}_gt_flow_dist.npz")
        if not truth.is_file():
            yield f"{data.name}: no {truth.name} beside it"
            continue
        try:
            with np.load(truth, allow_pickle=False) as file:
                stamps = file["timestamps"].astype(np.float64)
                flows = np.stack([file["x_flow_dist"], file["y_flow_dist"]], axis=1)
        except Exception as error:  # zipfile, zlib and NumPy raise many kinds
            raise InputError(f"{truth} is not a readable .npz file: {error}") from error
        with _hdf5(data) as file:
            rows = _part(file, "davis/left/events")
            t0 = float(rows[0, 2])
            t = np.rint((rows[:, 2] - t0) * 1e6).astype(np.int64)
            for i, (begin, end) in enumerate(zip(stamps, stamps[1:], strict=False)):
                ends = round((begin - t0) * 1e6), round((end - t0) * 1e6)
                first, last = np.searchsorted(t, [ends[0] - _BEFORE_US, ends[1]])
                part = np.asarray(rows[first:last])
                events = events_from_arrays(t[first:last], part[:, 0], part[:, 1], part[:, 3])
                flow = flows[i].astype(np.float64) / (end - begin)
                valid = np.isfinite(flow).all(0) & (flow != 0).any(0)
                yield _window(name, f"{name}, {i}", events, ends, np.nan_to_num(flow), valid)


def _window(
    name: str,
    where: str,
    events: Events,
    ends: tuple[int, int],
    flow: Floats,
    valid: Any,
) -> Window | str:
    height, width = flow.shape[1:]
    inside = (events["x"] < width) & (events["y"] < height)
    events = events[inside]
    late = np.flatnonzero((events["t"] >= ends[1] - LAST_US) & (events["t"] < ends[1]))
    y, x = events["y"][late], events["x"][late]
    moving = valid[y, x] & (flow[:, y, x] != 0).any(0)
    scored = late[moving]
    if len(scored) < LEAST_EVENTS:
        return f"{where}: {len(scored)} events with a truth in its last {LAST_US // 1000} ms"
    truth = flow[:, events["y"][scored], events["x"][scored]].T.astype(np.float64)
    return Window(name, (width, height), events, ends[0], ends[1], scored, truth)


def _rectify_map(path: Path) -> Any:
    """Return where each raw pixel lies in the rectified picture, None where nothing says it."""
    if not path.is_file():
        return None
    with _hdf5(path) as file:
        return np.rint(np.asarray(_part(file, "rectify_map")))


def _dsec_events(file: Any, first_us: int, until_us: int, rectified: Any) -> Events:
    offset = int(_part(file, "t_offset")[()])
    index = np.asarray(_part(file, "ms_to_idx"))  # of each millisecond: its first event
    first = min(max(0, (first_us - offset) // 1000), len(index) - 1)
    last = max(0, -(-(until_us - offset) // 1000))
    stop = int(index[last]) if last < len(index) else len(_part(file, "events/t"))
    part = slice(int(index[first]), stop)
    t = np.asarray(_part(file, "events/t")[part]).astype(np.int64) + offset
    x, y, p = (np.asarray(_part(file, f"events/{name}")[part]) for name in "xyp")
    inside = (t >= first_us) & (t < until_us)
    if rectified is not None:
        height, width = rectified.shape[:2]
        x, y = rectified[y, x].T
        inside &= (x >= 0) & (y >= 0) & (x < width) & (y < height)
    return events_from_arrays(t[inside], x[inside], y[inside], p[inside])


def _times(path: Path) -> list[tuple[int, int]]:
    try:
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        return [tuple(int(n) for n in line.split(",")) for line in lines if line.strip()]  # type: ignore[misc]
    except ValueError as error:
        raise InputError(f"{path} holds a line that is not from_us, to_us") from error


@contextmanager
def _hdf5(path: Path) -> Iterator[Any]:
    """Open a file; raises InputError when it, or what is read of it, is damaged."""
    try:
        import h5py  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingDependency('reading .h5 needs h5py: pip install ".[train]"') from error
    try:
        import hdf5plugin  # type: ignore[import-not-found]  # noqa: F401  DSEC's compression

        others = ""
    except ImportError:
        others = ", or compressed as DSEC's are, which needs hdf5plugin (pip install hdf5plugin)"
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, ValueError) as error:  # h5py raises many kinds
        raise InputError(
            f"{path} cannot be read as HDF5: it is another kind of file, cut off or damaged{others}"
        ) from error


def _part(file: Any, name: str) -> Any:
    """Return a data set of a file; raises InputError where there is none of that name."""
    found = file.get(name)
    if not hasattr(found, "dtype"):  # a folder has none
        raise InputError(f"{file.filename} holds no {name}: it is of another layout")
    return found
