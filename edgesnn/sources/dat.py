"""Prophesee's .dat files: decoded events of eight bytes, as data sets such as N-Cars have them.

A head of lines that begin with "%", a byte for the kind of events and one for their size, then
uint32 us and uint32: x 14 bits, y 14 bits, polarity 4 bits (before version 2: 9, 8 and 1). Layout:
Prophesee, "DAT File Format".
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError
from edgesnn.events import events_from_arrays
from edgesnn.sources.found import Found, check_counts_us, counted
from edgesnn.sources.prophesee import head_of
from edgesnn.sources.stored import BLOCK, Spool

_ROW = np.dtype([("t", "<u4"), ("place", "<u4")])
_KINDS = (0, 12)
"""Events in general, and those of contrast; 14 are triggers."""


def events_from_dat(
    path: Path, size: tuple[int, int] | None = None, unit: str | None = None
) -> Found:
    """Read a file; raises InputError when it is no .dat of events."""
    check_counts_us(path, unit, "a .dat file")
    spool, rest = Spool(), 0
    with path.open("rb") as file:
        if file.read(1) != b"%":
            raise InputError(f'{path} is no .dat file of Prophesee: it does not begin with "%"')
        file.seek(0)
        head = head_of(file)
        kind = file.read(2)
        if len(kind) < 2 or kind[1] != _ROW.itemsize or kind[0] not in _KINDS:
            raise InputError(
                f"{path} holds no events of 8 bytes (its kind and size are "
                f"{', '.join(map(str, kind)) or 'missing'}); wanted contrast events, 0 or 12, and 8"
            )
        bits = (14, 14, 4) if head.get("version", "2") not in ("0", "1") else (9, 8, 1)
        while said := file.read(_ROW.itemsize * BLOCK):
            rest = len(said) % _ROW.itemsize
            rows = np.frombuffer(said[: len(said) - rest], _ROW)
            x, y, p = _parts(rows["place"], bits)
            spool.write(events_from_arrays(rows["t"], x, y, p))
    notes = (
        (f"its last {counted(rest, 'byte')} are no whole event: it was cut off",) if rest else ()
    )
    return Found(spool, size or _size(head), notes)


def _parts(place: NDArray[np.uint32], bits: tuple[int, ...]) -> list[NDArray[np.uint32]]:
    """Cut numbers into fields of so many bits each, the lowest first."""
    found, shift = [], 0
    for count in bits:
        found.append((place >> np.uint32(shift)) & np.uint32((1 << count) - 1))
        shift += count
    return found


def _size(head: dict[str, str]) -> tuple[int, int] | None:
    width, height = head.get("width", ""), head.get("height", "")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        return None
    return int(width), int(height)
