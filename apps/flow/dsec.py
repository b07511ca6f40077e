"""DSEC-Flow's layout (Gehrig et al. 2021), as it is published or with both parts in one folder.

[train_events/]SEQ/events/left/events.h5          events/{t, x, y, p}, t_offset, us; ms_to_idx
[train_events/]SEQ/events/left/rectify_map.h5     rectify_map (H, W, 2): where a raw pixel lies
                                                  in the true flow
[train_optical_flow/]SEQ/flow/forward_timestamps.txt   from_us, to_us a line, # for comments
[train_optical_flow/]SEQ/flow/forward/NNNNNN.png  16 bits: (value - 2^15) / 128 pixels in that
                                                  time, from where they are at from_us; blue:
                                                  valid
"""

from __future__ import annotations

from collections.abc import Iterator
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np

from edgesnn.errors import InputError
from edgesnn.events import Events, events_from_arrays
from edgesnn.sources.hdf5_file import hdf5, part_of, shape_of

from .dense_truth import dense_window
from .fields import read_dsec_png
from .windows import BEFORE_US, Floats, Window

_EVENTS = Path("events", "left", "events.h5")
_STAMPS = "forward_timestamps.txt"


def dsec_windows(folder: Path) -> Iterator[Window | str]:
    """Yield the windows of every sequence in a folder, or why one is left out."""
    for sequence in sorted({path.parents[2] for path in folder.glob(f"**/{_EVENTS.as_posix()}")}):
        stamps = _stamps(folder, sequence)
        if stamps is None:
            yield f"{sequence.name}: no {_STAMPS}: a test sequence, without truth"
            continue
        times = _times(stamps)
        pictures = sorted((stamps.parent / "forward").glob("*.png"))
        if len(pictures) != len(times):
            raise InputError(f"{stamps} has {len(times)} lines for {len(pictures)} pictures")
        rectified = _rectify_map(sequence / "events" / "left" / "rectify_map.h5")
        with hdf5(sequence / _EVENTS) as file:
            events_of = _Recording(file, rectified)
            for ends, picture in zip(times, pictures, strict=True):
                flow, valid = _picture(picture, rectified)
                events = events_of(ends[0] - BEFORE_US, ends[1])
                where = f"{sequence.name}, {picture.name}"
                yield dense_window(sequence.name, where, events, ends, flow, valid)


def _stamps(folder: Path, sequence: Path) -> Path | None:
    """Return the file of a sequence's times: beside its events, or in the other download."""
    beside = sorted(sequence.glob(f"**/{_STAMPS}"))
    other = folder.glob(f"**/{escape(sequence.name)}/**/{_STAMPS}")
    return next(iter(beside or sorted(other)), None)


def _times(path: Path) -> list[tuple[int, int]]:
    try:
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        times = [[int(n) for n in line.split(",")] for line in lines if line.strip()]
    except ValueError as error:
        raise InputError(f"{path} holds a line that is not from_us, to_us") from error
    found = []
    for ends in times:
        if len(ends) != 2 or ends[0] >= ends[1]:
            told = ", ".join(map(str, ends))
            raise InputError(f"{path} holds {told}; wanted from_us, to_us, the first one earlier")
        found.append((ends[0], ends[1]))
    return found


def _picture(path: Path, rectified: Any) -> tuple[Floats, Any]:
    try:
        flow, valid = read_dsec_png(path.read_bytes())
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if rectified is not None and flow.shape[1:] != rectified.shape[:2]:
        raise InputError(
            f"{path} is of {flow.shape[2]} x {flow.shape[1]} pixels, rectify_map of "
            f"{rectified.shape[1]} x {rectified.shape[0]}"
        )
    return flow.astype(np.float64), valid


def _rectify_map(path: Path) -> Any:
    """Return where each raw pixel lies in the rectified picture, None where nothing says it."""
    if not path.is_file():
        return None
    with hdf5(path) as file:
        found = part_of(file, "rectify_map")
    if found.ndim != 3 or found.shape[2] != 2:
        raise InputError(f"rectify_map of {path} is of shape {found.shape}; wanted (H, W, 2)")
    return np.rint(found)


class _Recording:
    """The events of a sequence, read as they are asked for."""

    def __init__(self, file: Any, rectified: Any) -> None:
        self._file, self._rectified = file, rectified
        offset = part_of(file, "t_offset")
        self._index = part_of(file, "ms_to_idx")  # of each millisecond: its first event
        lengths = {shape_of(file, f"events/{name}") for name in "txyp"}
        if len(lengths) != 1 or len(next(iter(lengths))) != 1:
            raise InputError(f"{file.filename}: events/t, x, y and p are not of one length")
        (self._count,) = lengths.pop()
        if offset.size != 1 or self._index.ndim != 1 or not self._index.size:
            raise InputError(f"{file.filename}: t_offset is no number, or ms_to_idx is empty")
        self._offset = int(offset.reshape(()))

    def __call__(self, first_us: int, until_us: int) -> Events:
        """Return the events of a time, rectified, as far as they lie in the picture."""
        first = min(max(0, (first_us - self._offset) // 1000), len(self._index) - 1)
        last = max(0, -(-(until_us - self._offset) // 1000))
        stop = int(self._index[last]) if last < len(self._index) else self._count
        part = slice(int(self._index[first]), stop)
        t = part_of(self._file, "events/t", part).astype(np.int64) + self._offset
        x, y, p = (part_of(self._file, f"events/{name}", part) for name in "xyp")
        if (np.diff(t) < 0).any():
            raise InputError(f"{self._file.filename}: its events are not in order of time")
        inside = (t >= first_us) & (t < until_us)
        if self._rectified is not None:
            height, width = self._rectified.shape[:2]
            if len(x) and (x.max() >= width or y.max() >= height):
                raise InputError(
                    f"{self._file.filename}: events lie outside rectify_map's {width} x {height}"
                )
            x, y = self._rectified[y, x].T
            inside &= (x >= 0) & (y >= 0) & (x < width) & (y < height)
        return events_from_arrays(t[inside], x[inside], y[inside], p[inside])
