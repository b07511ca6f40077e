""".aedat recordings of jAER (AEDAT 1 and 2) and of cAER and DV (AEDAT 3).

AEDAT 4 has a reader of its own.

A head of lines that begin with "#", the first of which says the version.

AEDAT 1, 2   an address of 16 or 32 bits and uint32 us, big endian. What bits of the address mean
             depends on the chip, which newer heads name; rows and, on these chips, columns count
             from the other side.
AEDAT 3      packets of events of one kind, little endian, behind a head of 28 bytes; rows of 3.0
             count from the bottom.

Layouts: iniVation, "AEDAT File Formats"; the mirrored columns and DVS128's polarity as jAER reads
them (`DavisBaseCamera`, `DVS128`).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError
from edgesnn.events import events_from_arrays
from edgesnn.sources.found import Found, check_counts_us, counted
from edgesnn.sources.stored import BLOCK, Spool
from edgesnn.text import shown

_VERSION = re.compile(r"#!AER-DAT(\d)\.(\d)")
_MOST_HEAD_BYTES = 1 << 24  # jAER writes all its settings there
_SENSORS = {
    "DVS128": (128, 128),
    "DAVIS240": (240, 180),
    "SBRET10": (240, 180),
    "DAVIS208": (208, 192),
    "DAVIS346": (346, 260),
    "DAVIS640": (640, 480),
}
_PACKET = struct.Struct("<hh6i")
"""Kind, source, bytes of an event, where its time lies, turns of the clock, events: room for,
there, valid."""
_POLARITY = 1
_MOST_PACKET_BYTES = 1 << 28


def events_from_aedat(
    path: Path, size: tuple[int, int] | None = None, unit: str | None = None
) -> Found:
    """Read a file of any version; raises InputError for a chip that is not known, or damage."""
    check_counts_us(path, unit, "an .aedat file")
    with path.open("rb") as file:
        head = _head(file)
        told = _VERSION.match(head[0]) if head else None
        version = int(told[1]) if told else 1
        if version == 4:
            from edgesnn.sources.aedat4 import events_from_aedat4

            return events_from_aedat4(path, size, unit)
        if version == 3:
            return _packets(path, file, head, size, from_below=told is not None and told[2] == "0")
        if version not in (1, 2):
            raise InputError(f"{path} is of version {version} of AEDAT; edgesnn reads 1 to 4")
        return _addresses(path, file, head, size, version)


def _head(file: BinaryIO) -> list[str]:
    """Read the lines of a head; what begins with "#" and is no line of text is an event."""
    lines: list[str] = []
    while file.tell() < _MOST_HEAD_BYTES:
        begins = file.tell()
        line = file.readline(1 << 16)
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if not line.startswith(b"#") or not line.endswith(b"\n") or not text.isprintable():
            # A line may hold tabs; an event that begins with "#" holds worse.
            if not (text.startswith("#") and text.replace("\t", "").isprintable()):
                file.seek(begins)
                break
        lines.append(text)
        if text.startswith(("#!END-HEADER", "#End Of ASCII Header")):
            break
    return lines


def _sensor(said: str) -> tuple[str, tuple[int, int]] | None:
    """Return the chip that a line names, and the size of its sensor."""
    plain = said.upper()
    return next(((name, size) for name, size in _SENSORS.items() if name in plain), None)


@dataclass(frozen=True, slots=True)
class _Chip:
    """Places of the bits of an address: shift and mask of x, y, polarity; special: bits that only
    what is no event of a pixel has. on: the polarity that means brighter."""

    x: tuple[int, int]
    y: tuple[int, int]
    polarity: int
    special: int
    on: int


_DVS128 = _Chip(x=(1, 127), y=(8, 127), polarity=0, special=0xFFFF_8000, on=0)
_DAVIS = _Chip(x=(12, 1023), y=(22, 511), polarity=11, special=0x8000_0400, on=1)


def _addresses(
    path: Path, file: BinaryIO, head: list[str], size: tuple[int, int] | None, version: int
) -> Found:
    """Read AEDAT 1 and 2."""
    named = [line for line in head if re.search(r"AEChip:|HardwareInterface:", line)]
    known = next(filter(None, map(_sensor, named)), None)
    notes = []
    if known is None:
        chips = [line.partition(":")[2].strip() for line in named if "AEChip:" in line]
        if chips:
            raise InputError(
                f"{path} was recorded with {shown(chips[0])}, whose addresses edgesnn does not "
                f"know; it knows those of {', '.join(_SENSORS)}"
            )
        known = ("DVS128", _SENSORS["DVS128"])
        notes.append("its head names no camera: it was read as one of a DVS128")
    name, (width, height) = known
    chip = _DVS128 if name == "DVS128" else _DAVIS
    row = np.dtype([("place", ">u2" if version == 1 else ">u4"), ("t", ">u4")])
    spool, rest, others = Spool(), 0, 0
    while said := file.read(row.itemsize * BLOCK):
        rest = len(said) % row.itemsize
        rows = np.frombuffer(said[: len(said) - rest], row)
        place = rows["place"].astype(np.uint32)
        is_event = (place & chip.special) == 0
        others += int(np.count_nonzero(~is_event))
        place = place[is_event]
        x, y = ((place >> np.uint32(shift)) & np.uint32(mask) for shift, mask in (chip.x, chip.y))
        if len(place) and (int(x.max()) >= width or int(y.max()) >= height):
            raise InputError(
                f"{path} has events outside the {width} x {height} pixels of a {name}: it is "
                "damaged, or of another camera"
            )
        on = ((place >> np.uint32(chip.polarity)) & 1) == chip.on
        t = rows["t"][is_event]
        spool.write(events_from_arrays(t, width - 1 - x, height - 1 - y, on))
    if others > 4 * len(spool) and chip is _DVS128:
        raise InputError(
            f"{path}: {others:,} of its words are no events of a {name}; it is of another camera"
        )
    if rest:
        notes.append(f"its last {counted(rest, 'byte')} are no whole event: it was cut off")
    return Found(spool, size or (width, height), tuple(notes))


def _packets(
    path: Path, file: BinaryIO, head: list[str], size: tuple[int, int] | None, from_below: bool
) -> Found:
    """Read AEDAT 3. from_below: rows count from the bottom, as in 3.0."""
    kept = next((line.partition(":")[2].strip() for line in head if "#Format:" in line), "RAW")
    if kept.upper() != "RAW":
        raise InputError(f"{path} is packed as {shown(kept)}; edgesnn reads RAW packets of AEDAT 3")
    sources = [line for line in head if line.startswith("#Source")]
    known = next(filter(None, map(_sensor, sources)), None)
    sensor = size or (known[1] if known else None)
    if from_below and sensor is None:
        raise InputError(
            f"{path} is of AEDAT 3.0, whose rows count from the bottom, and does not say how large "
            "its sensor is; say it with --sensor WxH"
        )
    height = sensor[1] if from_below and sensor is not None else None
    spool, invalid = Spool(), 0
    left_out: set[int] = set()
    first: int | None = None
    cut_off: tuple[str, ...] = ()
    while said := file.read(_PACKET.size):
        if len(said) < _PACKET.size:
            cut_off = ("its last packet was cut off",)
            break
        kind, source, bytes_each, _, turns, _, count, _ = _PACKET.unpack(said)
        if bytes_each < 0 or count < 0 or turns < 0 or bytes_each * count > _MOST_PACKET_BYTES:
            raise InputError(
                f"{path}: the packet at byte {file.tell() - _PACKET.size:,} is none; the file is "
                "damaged"
            )
        data = file.read(bytes_each * count)
        if len(data) < bytes_each * count:
            whole = len(data) // bytes_each
            cut_off = (f"its last packet was cut off: {whole:,} of its {count:,} events are there",)
            data = data[: whole * bytes_each]
        if kind != _POLARITY or not data:
            continue
        first = source if first is None else first
        if source != first:
            left_out.add(source)
            continue
        if bytes_each != 8:
            raise InputError(f"{path} has events of {bytes_each} bytes, not 8; it is damaged")
        invalid += _polarities(np.frombuffer(data, "<u4").reshape(-1, 2), turns, spool, height)
    notes = []
    if invalid:
        notes.append(f"left out: {counted(invalid, 'event')} marked as invalid")
    if left_out:
        many = ", ".join(str(source) for source in sorted(left_out))
        notes.append(f"events of other sources in it were not read: {many}")
    return Found(spool, sensor, (*notes, *cut_off))


def _polarities(rows: NDArray[np.uint32], turns: int, spool: Spool, height: int | None) -> int:
    """Keep the valid events of a packet; return how many others there were.

    height: of a sensor whose rows count from the bottom.
    """
    place, t = rows[(rows[:, 0] & 1) == 1].T
    x, y = place >> np.uint32(17), (place >> np.uint32(2)) & np.uint32(0x7FFF)
    if height is not None:
        y = np.where(y < height, np.uint32(height - 1) - y, y)  # others are found outside later
    times = t.astype(np.int64) + (turns << 31)
    spool.write(events_from_arrays(times, x, y, (place >> np.uint32(1)) & 1))
    return len(rows) - len(place)
