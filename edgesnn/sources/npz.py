"""Recordings in .npz: our own, and those of others that hold the same in other words.

Ours: arrays t (int64 us), x, y (uint16), p (uint8), and width, height. Also read: one structured
array with these fields; the names ts, timestamp and time for t, pol and polarity for p; files that
do not say how large the sensor is, with --sensor.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from edgesnn.errors import EdgesnnError, InputError
from edgesnn.events import events_from_arrays
from edgesnn.sources.columns import NAMES, Array, Polarity, named
from edgesnn.sources.found import Found, check_unpacks
from edgesnn.sources.mending import in_microseconds
from edgesnn.sources.stored import BLOCK, Spool
from edgesnn.text import first_line


def events_from_npz(
    path: Path, size: tuple[int, int] | None = None, unit: str | None = None
) -> Found:
    """Read a file, block by block; raises InputError that names what is missing or wrong."""
    try:
        with path.open("rb") as raw, zipfile.ZipFile(raw) as archive:
            _check_sizes(archive, path)
            return _found(archive, path, size, unit)
    except (EdgesnnError, MemoryError):
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        raise InputError(f"{path} is not a readable .npz file: {error}") from error
    except Exception as error:  # flipped bits make NumPy, zipfile, zlib, tokenize raise anything
        raise InputError(f"{path} is not a readable .npz file: {first_line(error)}") from error


def _found(
    archive: zipfile.ZipFile, path: Path, size: tuple[int, int] | None, unit: str | None
) -> Found:
    columns = _columns(archive, path)
    sensor = size or _size(archive, path)
    count, spool, told = columns["t"].count, Spool(), Polarity()
    for first in range(0, count, BLOCK):
        length = min(BLOCK, count - first)
        block = {name: column.next(length) for name, column in columns.items()}
        for name, limit in zip("xy", sensor, strict=True):
            if not (block[name].min() >= 0 and block[name].max() < limit):
                raise InputError(
                    f"{path}: {name} leaves the sensor of {sensor[0]} x {sensor[1]} pixels"
                )
        t = in_microseconds(block["t"], unit, str(path))
        spool.write(events_from_arrays(t, block["x"], block["y"], told.on(block["p"])))
    for column in columns.values():
        column.end()
    return Found(spool, sensor, told.notes(path), _until(archive, path, unit))


class _Member:
    """An array of an archive, read from its beginning on."""

    def __init__(self, archive: zipfile.ZipFile, name: str, path: Path) -> None:
        self.name, self._path = name, path
        self._file = archive.open(f"{name}.npy")
        version = np.lib.format.read_magic(self._file)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        self.shape, turned, self.dtype = read(self._file)
        if self.dtype.hasobject or (turned and len(self.shape) > 1):
            raise ValueError(f"{name!r} is no plain array of numbers")

    def next(self, count: int) -> Array:
        """Return the next `count` entries; raises InputError when the file ends before them."""
        said = self._file.read(count * self.dtype.itemsize)
        if len(said) < count * self.dtype.itemsize:
            raise InputError(f"{self._path} ends inside the array {self.name!r}; it is truncated")
        return np.frombuffer(said, self.dtype)

    def end(self) -> None:
        """Read to the end, so that the archive's checksum is compared."""
        while self._file.read(1 << 16):
            pass


def _other(archive: zipfile.ZipFile, name: str, path: Path) -> _Member | None:
    """Return an array of a name that nobody asked for, None for what is no plain one."""
    try:
        return _Member(archive, name, path)
    except ValueError:
        return None


class _Column:
    """One of t, x, y, p: an array of its own, or a field of the one that holds all."""

    def __init__(self, member: _Member, field: str | None = None) -> None:
        self._member, self._field = member, field
        self.dtype = member.dtype if field is None else member.dtype[field]
        self.count = int(np.prod(member.shape, dtype=object))
        self._own: Array = np.empty(0)
        self.shared: list[_Column] = []

    def next(self, count: int) -> Array:
        """Return the next entries."""
        if self._field is None:
            return self._member.next(count)
        if self.shared:  # the first of the fields reads for all
            block = self._member.next(count)
            for column in self.shared:
                column._own = block[column._field]
        return self._own

    def end(self) -> None:
        """See `_Member.end`."""
        self._member.end()


def _columns(archive: zipfile.ZipFile, path: Path) -> dict[str, _Column]:
    """Return t, x, y, p, whatever they are called; checked as far as their heads tell."""
    names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    wanted = {name for likely in NAMES.values() for name in likely}
    plain = {name: _Member(archive, name, path) for name in names if name.lower() in wanted}
    known = {name: _Column(member) for name, member in plain.items() if not member.dtype.names}
    if not {"x", "y"} <= set(named(known)):
        members = [plain.get(name) or _other(archive, name, path) for name in names]
        structured = [member for member in members if member is not None and member.dtype.names]
        if len(structured) == 1:
            (one,) = structured
            known = {field: _Column(one, field) for field in one.dtype.names or ()}
    found, called = {}, named(known)
    for name in NAMES:
        if name not in called:
            raise InputError(
                f"{path} has no array {name!r}; an event .npz holds t, x, y, p, width and height"
            )
        found[name] = known[called[name]]
    fields = [column for column in found.values() if column._field is not None]
    if fields:
        fields[0].shared = fields
    for name, column in found.items():
        shape = column._member.shape
        if len(shape) != 1 or column.dtype.kind not in ("iubf" if name == "t" else "iub"):
            raise InputError(
                f"{path}: array {name!r} is {column.dtype} of shape {shape}; wanted integers of "
                "shape (n,)"
            )
        if column.count != found["t"].count:
            raise InputError(
                f"{path}: array {name!r} has {column.count} entries, t has {found['t'].count}"
            )
    return found


def _check_sizes(archive: zipfile.ZipFile, path: Path) -> None:
    unpacked = sum(entry.file_size for entry in archive.infolist())
    check_unpacks(path, unpacked)


def _number(archive: zipfile.ZipFile, name: str, path: Path) -> int | None:
    """Return an array that is one whole number; None: there is none of the name, or it is other."""
    if f"{name}.npy" not in archive.namelist():
        return None
    member = _Member(archive, name, path)
    if np.prod(member.shape, dtype=object) != 1 or member.dtype.kind not in "iuf":
        return None
    number = member.next(1)[0]
    member.end()
    return int(number) if np.isfinite(number) and number == int(number) else None


def _size(archive: zipfile.ZipFile, path: Path) -> tuple[int, int]:
    if not {"width.npy", "height.npy"} <= set(archive.namelist()):
        raise InputError(
            f"{path} has no array 'width' or 'height': say how large its sensor is with "
            "--sensor WxH"
        )
    width, height = (_number(archive, name, path) for name in ("width", "height"))
    if width is None or height is None or not (0 < width <= 65536 and 0 < height <= 65536):
        raise InputError(
            f"{path}: its width and height are no whole numbers from 1 to 65536; say the sensor's "
            "size with --sensor WxH"
        )
    return width, height


def _until(archive: zipfile.ZipFile, path: Path, unit: str | None) -> int | None:
    """Return how long the silence after the last event lasted, where our own file tells it."""
    if "until.npy" not in archive.namelist() or unit is not None:
        return None
    until = _number(archive, "until", path)
    if until is None or abs(until) >= 2**53:
        raise InputError(f"{path}: until is no time; the file is damaged")
    return until
