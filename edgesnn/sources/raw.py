"""Events as they lie in memory, behind a head of 32 bytes: `--record OUT.npz` while it runs.

A run that was killed leaves OUT.npz.raw; it is played as any recording, but for a last event that
was cut off. Head: 16 bytes of mark, width and height (uint32, little endian), 8 bytes of zeros.
"""

from __future__ import annotations

import struct
from pathlib import Path

from edgesnn.errors import InputError
from edgesnn.events import EVENT
from edgesnn.sources.found import Found, check_counts_us
from edgesnn.sources.prophesee import events_from_prophesee
from edgesnn.sources.stored import InFile, blocks_of

_MARK = b"edgesnn events 1"
HEAD_BYTES = 32


def raw_head(size: tuple[int, int]) -> bytes:
    """Return the head of a file of events from a sensor of (width, height)."""
    return _MARK + struct.pack("<II8x", *size)


def events_from_raw(
    path: Path, size: tuple[int, int] | None = None, unit: str | None = None
) -> Found:
    """Read a file, also one of Prophesee's (see `prophesee.py`); raises InputError for others."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(b"%"):
        return events_from_prophesee(path, size, unit)
    if len(head) < HEAD_BYTES or not head.startswith(_MARK):
        raise InputError(
            f'{path} is neither a recording of a Prophesee camera, which begins with "%", nor '
            "one of edgesnn (OUT.npz.raw)"
        )
    check_counts_us(path, unit, "a .raw file")
    width, height = struct.unpack("<II", head[len(_MARK) : len(_MARK) + 8])
    if not (0 < width <= 65536 and 0 < height <= 65536):
        raise InputError(f"{path} says that its sensor is {width} x {height}; it is damaged")
    count, rest = divmod(path.stat().st_size - HEAD_BYTES, EVENT.itemsize)
    events = InFile(path.open("rb"), HEAD_BYTES, count)
    if any(int(block["p"].max()) > 1 for _, block in blocks_of(events)):
        raise InputError(f"{path} has polarities that are not 0 or 1; it is damaged")
    notes = ("its last event was cut off: the run that wrote it was killed",) if rest else ()
    return Found(events, size or (width, height), notes)
