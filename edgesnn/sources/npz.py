"""Our own .npz recording: arrays t (int64 us), x, y (uint16), p (uint8), and width, height."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from edgesnn.errors import InputError
from edgesnn.events import Events, events_from_arrays

_ARRAYS = ("t", "x", "y", "p")


def events_from_npz(path: Path) -> tuple[Events, tuple[int, int]]:
    """Read a file; return its events and the sensor's (width, height).

    Raises InputError that names what is missing or wrong.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            missing = [name for name in (*_ARRAYS, "width", "height") if name not in file]
            if missing:
                raise InputError(
                    f"{path} has no array {missing[0]!r}; an event .npz holds t, x, y, p, width "
                    "and height"
                )
            arrays = {name: file[name] for name in _ARRAYS}
            sides = [file[name] for name in ("width", "height")]
    except InputError:
        raise
    except Exception as error:  # flipped bits make NumPy, zipfile, zlib, tokenize raise anything
        said = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"{path} is not a readable .npz file: {said[0]}") from error
    for name, array in arrays.items():
        if array.ndim != 1 or array.dtype.kind not in "iub":
            raise InputError(
                f"{path}: array {name!r} is {array.dtype} of shape {array.shape}; wanted integers "
                "of shape (n,)"
            )
        if len(array) != len(arrays["t"]):
            raise InputError(
                f"{path}: array {name!r} has {len(array)} entries, t has {len(arrays['t'])}"
            )
    if any(side.ndim or side.dtype.kind not in "iu" or not 0 < side <= 65536 for side in sides):
        raise InputError(f"{path}: width and height must be positive integers")
    width, height = (int(side) for side in sides)
    for name, limit in (("x", width), ("y", height)):
        if len(arrays[name]) and not (arrays[name].min() >= 0 and arrays[name].max() < limit):
            raise InputError(f"{path}: {name} leaves the sensor of {width} x {height} pixels")
    return events_from_arrays(*(arrays[name] for name in _ARRAYS)), (width, height)


def npz_from_events(path: Path, events: Events, size: tuple[int, int]) -> None:
    """Write a recording, compressed. The file appears under its name only when it is whole."""
    arrays = {name: np.ascontiguousarray(events[name]) for name in _ARRAYS}
    arrays |= {"width": np.array(size[0]), "height": np.array(size[1])}
    part = path.with_name(path.name + ".part")
    # np.savez_compressed cannot be told to hurry: level 6 takes several times as long for little.
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name, array in arrays.items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)
    part.replace(path)
