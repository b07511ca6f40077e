"""Recordings in .npz: our own, and those of others that hold the same in other words.

Ours: arrays t (int64 us), x, y (uint16), p (uint8), and width, height. Also read: one structured
array with these fields; the names ts, timestamp and time for t, pol and polarity for p; files that
do not say how large the sensor is, with --sensor.
"""

from __future__ import annotations

import secrets
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError
from edgesnn.events import Events, events_from_arrays
from edgesnn.sources.found import Found
from edgesnn.sources.mending import in_microseconds

_ARRAYS = ("t", "x", "y", "p")
_NAMES = {"t": ("t", "ts", "timestamp", "timestamps", "time"), "p": ("p", "pol", "polarity")}
_MOST_BYTES, _MOST_PACKED = 100_000_000, 100
"""Unpacked, and how many times the packed size: more than that no recording shrinks."""
Array = NDArray[Any]


def events_from_npz(
    path: Path, size: tuple[int, int] | None = None, unit: str | None = None
) -> Found:
    """Read a file; raises InputError that names what is missing or wrong."""
    arrays = _fields(_loaded(path), path)
    for name, array in arrays.items():
        wanted = "iubf" if name == "t" else "iub"
        if array.ndim != 1 or array.dtype.kind not in wanted:
            raise InputError(
                f"{path}: array {name!r} is {array.dtype} of shape {array.shape}; wanted integers "
                "of shape (n,)"
            )
        if len(array) != len(arrays["t"]):
            raise InputError(
                f"{path}: array {name!r} has {len(array)} entries, t has {len(arrays['t'])}"
            )
    sensor = size or _size(_sides(path), path)
    for name, limit in zip("xy", sensor, strict=True):
        if len(arrays[name]) and not (arrays[name].min() >= 0 and arrays[name].max() < limit):
            raise InputError(
                f"{path}: {name} leaves the sensor of {sensor[0]} x {sensor[1]} pixels"
            )
    t = in_microseconds(arrays["t"], unit, str(path))
    on, notes = _polarity(arrays["p"], path)
    events = events_from_arrays(t, arrays["x"], arrays["y"], on)
    return Found(events, sensor, notes, _until(path, unit))


def _loaded(path: Path) -> dict[str, Array]:
    """Return the arrays that may be events; none that its archive says is too large."""
    try:
        _check_sizes(path)
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            wanted = {*_ARRAYS, *_NAMES["t"], *_NAMES["p"]}
            names = [name for name in file.files if name in wanted]
            plain = {name: file[name] for name in names}
            if len(plain) < len(_ARRAYS):
                others = {name: file[name] for name in file.files if name not in plain}
                plain |= {n: a for n, a in others.items() if a.dtype.names}
            strange = [name for name, array in plain.items() if not isinstance(array, np.ndarray)]
            if strange:
                raise InputError(f"{path}: {strange[0]!r} is no array; the file is damaged")
            return plain
    except InputError:
        raise
    except Exception as error:  # flipped bits make NumPy, zipfile, zlib, tokenize raise anything
        said = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"{path} is not a readable .npz file: {said[0]}") from error


def _check_sizes(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    packed = max(1, path.stat().st_size)
    if unpacked > _MOST_BYTES and unpacked > _MOST_PACKED * packed:
        raise InputError(
            f"{path} says that its {packed:,} bytes unpack to {unpacked:,}: more than "
            f"{_MOST_PACKED} times as many, which no recording does; it is damaged"
        )


def _fields(arrays: dict[str, Array], path: Path) -> dict[str, Array]:
    """Return t, x, y, p, whatever they are called."""
    structured = [array for array in arrays.values() if array.dtype.names]
    known: dict[str, Array] = arrays
    if len(structured) == 1 and not {"x", "y"} <= set(arrays):
        (one,) = structured
        known = {name: one[name] for name in one.dtype.names or ()}
    found = {}
    for name in _ARRAYS:
        called = next((other for other in _NAMES.get(name, (name,)) if other in known), None)
        if called is None:
            raise InputError(
                f"{path} has no array {name!r}; an event .npz holds t, x, y, p, width and height"
            )
        found[name] = known[called]
    return found


def _sides(path: Path) -> list[Array]:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return [np.asarray(file[name]) for name in ("width", "height") if name in file.files]
    except Exception as error:  # see _loaded
        raise InputError(f"{path} is not a readable .npz file: {error}") from error


def _size(sides: list[Array], path: Path) -> tuple[int, int]:
    if len(sides) < 2:
        raise InputError(
            f"{path} has no array 'width' or 'height': say how large its sensor is with "
            "--sensor WxH"
        )
    if any(side.ndim or side.dtype.kind not in "iu" or not 0 < side <= 65536 for side in sides):
        raise InputError(f"{path}: width and height must be positive integers")
    width, height = (int(side) for side in sides)
    return width, height


def _until(path: Path, unit: str | None) -> int | None:
    """Return how long the silence after the last event lasted, where our own file tells it."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            if "until" not in file.files or unit is not None:
                return None
            until = np.asarray(file["until"])
    except Exception as error:  # see _loaded
        raise InputError(f"{path} is not a readable .npz file: {error}") from error
    if until.ndim or until.dtype.kind not in "iu" or abs(int(until)) >= 2**53:
        raise InputError(f"{path}: until is no time; the file is damaged")
    return int(until)


def _polarity(p: Array, path: Path) -> tuple[Array, tuple[str, ...]]:
    """Return which events are ON, and what was mended; raises InputError for other values."""
    values = np.unique(p)
    told = {int(value) for value in values[:9]}
    if len(values) < 3 and (told <= {0, 1} or told <= {-1, 1}):
        return p > 0, ()
    if p.dtype == np.uint8 and told == {1, 255}:
        return p == 1, ("polarities of 255 were taken as OFF: -1, kept in a byte",)
    shown = ", ".join(str(value) for value in sorted(told)[:5])
    raise InputError(
        f"{path}: p has the values {shown}{', ...' if len(values) > 5 else ''}; wanted 0 (OFF) "
        "and 1 (ON), or -1 and 1"
    )


def npz_from_events(
    path: Path, events: Events, size: tuple[int, int], until_us: int | None = None
) -> None:
    """Write a recording, compressed. The file appears under its name only when it is whole.

    until_us: up to when nothing came after the last event.
    """
    arrays = {name: np.ascontiguousarray(events[name]) for name in _ARRAYS}
    arrays |= {"width": np.array(size[0]), "height": np.array(size[1])}
    if until_us is not None:
        arrays["until"] = np.array(until_us)
    # A name of its own, so that no file of anybody is written over and no link is followed.
    part = path.with_name(f".{path.name[:80]}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as raw:
            _write_archive(raw, arrays)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _write_archive(raw: BinaryIO, arrays: dict[str, Array]) -> None:
    # np.savez_compressed cannot be told to hurry: level 6 takes several times as long for little.
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name, array in arrays.items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)
