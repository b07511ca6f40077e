"""Events of HDF5 files (.h5, .hdf5): DSEC's, MVSEC's and those of others who name what they keep.

Read is a folder that holds the four columns as data sets of their own, a table that has them as
fields, or `events`, (n, 4), as MVSEC and v2e have it. DSEC's `t_offset` is added.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgesnn.errors import EdgesnnError, InputError
from edgesnn.sources.columns import ORDERS, Array, Gathered, named, order_of
from edgesnn.sources.found import Found, check_unpacks
from edgesnn.sources.hdf5_file import hdf5, part_of
from edgesnn.sources.stored import BLOCK
from edgesnn.text import first_line, shown

Block = dict[str, Array]
_TABLES = (("x", "y", "t", "p"), *ORDERS)
"""Columns of tables: MVSEC's, and others'."""
MVSEC = (346, 260)
"""Its cameras' (width, height)."""
_EVENT_BYTES = 13
"""Of an event's four numbers, about."""


def events_from_hdf5(
    path: Path, size: tuple[int, int] | None = None, unit: str | None = None
) -> Found:
    """Read a file; raises InputError when no part of it holds events, MissingDependency."""
    with hdf5(path) as file:
        try:
            return _found(file, path, size, unit)
        except (EdgesnnError, MemoryError):
            raise
        except Exception as error:  # flipped bits make h5py raise anything
            raise InputError(f"{path} is a damaged HDF5 file: {first_line(error)}") from error


def _found(file: Any, path: Path, size: tuple[int, int] | None, unit: str | None) -> Found:
    places = _places(file)
    if not places:
        parts = ", ".join(sorted(file)[:6])
        raise InputError(
            f"{path} holds no events: no t, x, y, p together (it holds {shown(parts)})"
        )
    (name, count, read), *others = places
    check_unpacks(path, count * _EVENT_BYTES)
    gathered, offset = Gathered(path, unit), _offset(file, name)
    for first in range(0, count, BLOCK):
        block = read(first, min(first + BLOCK, count))
        gathered.add(block, offset_us=offset)
    notes = gathered.notes()
    if others:
        more = shown(", ".join(other for other, _, _ in others))
        notes = (*notes, f"events of {shown(name)} are played; it also holds those of {more}")
    return Found(gathered.spool, size or _size(file, name), notes)


def _places(file: Any) -> list[tuple[str, int, Callable[[int, int], Block]]]:
    """Return the name, the count and a reader of everything that holds events, left before right.

    The likeliest first: DSEC and MVSEC call theirs `events`.
    """
    found: list[tuple[str, int, Callable[[int, int], Block]]] = []

    def look(name: str, part: Any) -> None:
        if hasattr(part, "dtype"):
            fields = part.dtype.names or ()
            if len(names := named(fields)) == 4 and part.ndim == 1:
                found.append((name, len(part), lambda a, b: _fields(file, name, names, a, b)))
            elif name.rpartition("/")[2] == "events" and part.ndim == 2 and part.shape[1] == 4:
                order = order_of(part_of(file, name, slice(0, BLOCK)), _TABLES)
                if order is not None:
                    found.append((name, len(part), lambda a, b: _rows(file, name, order, a, b)))
        elif len(names := named(part)) == 4:
            parts = [part.get(theirs) for theirs in names.values()]  # None: a link to nowhere
            if all(getattr(one, "ndim", 0) == 1 for one in parts):
                count = len(parts[0])
                if all(len(one) == count for one in parts):
                    found.append((name, count, lambda a, b: _columns(file, name, names, a, b)))

    look("/", file)
    file.visititems(look)
    return sorted(found, key=lambda one: "event" not in one[0].lower())


def _columns(file: Any, folder: str, names: dict[str, str], first: int, stop: int) -> Block:
    where = slice(first, stop)
    return {ours: part_of(file, f"{folder}/{name}", where) for ours, name in names.items()}


def _fields(file: Any, name: str, names: dict[str, str], first: int, stop: int) -> Block:
    return {
        ours: part_of(file, name, (theirs, slice(first, stop))) for ours, theirs in names.items()
    }


def _rows(file: Any, name: str, order: dict[str, int], first: int, stop: int) -> Block:
    rows = part_of(file, name, slice(first, stop))
    return {ours: rows[:, at] for ours, at in order.items()}


def _offset(file: Any, name: str) -> int:
    """Return what is to be added to DSEC's times, us."""
    if "t_offset" not in file or not name.strip("/").startswith("events"):
        return 0
    offset = part_of(file, "t_offset")
    if offset.size != 1 or offset.dtype.kind not in "iu":
        raise InputError(f"t_offset of {file.filename} is no time; the file is damaged")
    return int(offset.reshape(-1)[0])


def _size(file: Any, name: str) -> tuple[int, int] | None:
    """Return (width, height) where the file, or what holds the events, tells it."""
    if name.startswith("davis/"):
        return MVSEC
    for part in (file[name], file):
        sides = [np.asarray(part.attrs.get(side, 0)).reshape(-1) for side in ("width", "height")]
        if all(len(side) == 1 and side.dtype.kind in "iu" and side[0] > 0 for side in sides):
            return int(sides[0][0]), int(sides[1][0])
    return None
