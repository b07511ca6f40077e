"""Writes recordings as other makers' cameras and tools do, word by word, to be read back."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgesnn.events import Events, events_from_arrays

Size = tuple[int, int]
SIZE = (128, 128)
EVT_HEAD = "% date 2026-01-01 00:00:00\n% evt {evt}\n% geometry {w}x{h}\n% end\n"


def write_evt2(path: Path, events: Events, size: Size) -> None:
    """EVT 2.0: a time word whenever its high part changes, and a trigger among the events."""
    words, high = [], None
    for t, x, y, p in events.tolist():
        if t >> 6 != high:
            high = t >> 6
            words += [8 << 28 | high & 0xFFFFFFF, 10 << 28]
        words.append(p << 28 | (t & 63) << 22 | x << 11 | y)
    _write_raw(path, "2.0", size, struct.pack(f"<{len(words)}I", *words))


def write_evt21(path: Path, events: Events, size: Size, swapped: bool = False) -> None:
    """EVT 2.1: neighbours of one time, row and polarity in one word, as the sensor groups them."""
    halves, high = [], None
    for t, x, y, p in events.tolist():
        if t >> 6 != high:
            high = t >> 6
            halves.append((8 << 28 | high & 0xFFFFFFF, 0))
        base = x // 32 * 32
        word = p << 28 | (t & 63) << 22 | base << 11 | y
        pixel = 1 << x % 32
        if halves[-1][0] == word and halves[-1][1] < pixel:
            halves[-1] = (word, halves[-1][1] | pixel)
        else:
            halves.append((word, pixel))
    data = b"".join(struct.pack("<II", *(one if swapped else one[::-1])) for one in halves)
    _write_raw(path, "2.1", size, data)


def write_evt3(path: Path, events: Events, size: Size) -> None:
    """EVT 3.0: times in two words, rows, single events and vectors of 12, 12 and 8 pixels."""
    words: list[int] = []
    high = low = row = None
    rows = events.tolist()
    at = 0
    while at < len(rows):
        t, x, y, p = rows[at]
        if t >> 12 != high:
            high = t >> 12
            words.append(0x8000 | high & 0xFFF)
            low = None
        if t & 0xFFF != low:
            low = t & 0xFFF
            words.append(0x6000 | low)
        if y != row:
            row = y
            words.append(y)
        together = [x]
        while at + len(together) < len(rows):
            other = rows[at + len(together)]
            if (other[0], other[2], other[3]) != (t, y, p) or not x < other[1] < x + 32:
                break
            if other[1] <= together[-1]:
                break
            together.append(other[1])
        if len(together) == 1:
            words.append(0x2000 | p << 11 | x)
        else:
            words.append(0x3000 | p << 11 | x)
            first = 0
            for kind, wide in ((4, 12), (4, 12), (5, 8)):
                bits = sum(
                    1 << one - x - first for one in together if first <= one - x < first + wide
                )
                words.append(kind << 12 | bits)
                first += wide
        at += len(together)
    _write_raw(path, "3.0", size, struct.pack(f"<{len(words)}H", *words))


def _write_raw(path: Path, evt: str, size: Size, data: bytes) -> None:
    path.write_bytes(EVT_HEAD.format(evt=evt, w=size[0], h=size[1]).encode() + data)


def write_dat(path: Path, events: Events, size: Size, version: int = 2) -> None:
    """Prophesee's .dat; version 1 has other fields."""
    head = f"% Data file containing CD events\n% Version {version}\n"
    head += f"% Width {size[0]}\n% Height {size[1]}\n"
    y_at, p_at = (14, 28) if version == 2 else (9, 17)
    rows = (struct.pack("<II", t, x | y << y_at | p << p_at) for t, x, y, p in events.tolist())
    path.write_bytes(head.encode() + bytes((12, 8)) + b"".join(rows))


def write_es(path: Path, events: Events, size: Size, atis: bool = False) -> None:
    """Event Stream 2.0, with a reset before every hundredth event; ATIS: with exposures between."""
    data, before = [], 0
    longest, reset, shift = (63, 0xFC, 2) if atis else (127, 0xFE, 1)
    for number, (t, x, y, p) in enumerate(events.tolist()):
        if number % 100 == 0:
            data.append(bytes([reset] * 5))
        more, step = divmod(t - before, longest)
        before = t
        while more:
            adds = min(more, 255 - reset)
            data.append(bytes([reset + adds]))
            more -= adds
        place = struct.pack("<HH", x, size[1] - 1 - y)
        data.append(bytes([step << shift | p << shift - 1]) + place)
        if atis and number % 3 == 0:
            data.append(bytes([p << 1 | 1]) + place)
    head = b"Event Stream" + bytes((2, 0, 0, 2 if atis else 1)) + struct.pack("<HH", *size)
    path.write_bytes(head + b"".join(data))


def write_aedat2(path: Path, events: Events, size: Size) -> None:
    """JAER's, of a DVS128 or a DAVIS: mirrored, from the bottom, samples of frames between."""
    chip = "ch.unizh.ini.jaer.chip.retina.DVS128"
    if size != (128, 128):
        chip = f"eu.seebetter.ini.chips.davis.Davis{size[0]}"
    head = f"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n# AEChip: {chip}\r\n"
    words = []
    for number, (t, x, y, p) in enumerate(events.tolist()):
        x, y = size[0] - 1 - x, size[1] - 1 - y
        if size == (128, 128):
            words += [y << 8 | x << 1 | 1 - p, t]
            special = 1 << 15
        else:
            words += [y << 22 | x << 12 | p << 11, t]
            special = 1 << 31
        if number % 7 == 0:
            words += [special | 5, t]
    path.write_bytes(head.encode() + struct.pack(f">{len(words)}I", *words))


def write_aedat3(
    path: Path, events: Events, size: Size, camera: str = "DVS128", minor: int = 1
) -> None:
    """What cAER writes: packets of up to 500 events, every fifth one twice and once invalid."""
    head = f"#!AER-DAT3.{minor}\r\n#Format: RAW\r\n#Source 1: {camera}\r\n"
    if minor == 0:
        events = events.copy()
        events["y"] = size[1] - 1 - events["y"]
    data = [(head + "#Start-Time: 2026-01-01 00:00:00 (TZ+0000)\r\n#!END-HEADER\r\n").encode()]
    for first in range(0, len(events), 500):
        part = events[first : first + 500].tolist()
        turns = part[0][0] >> 31
        part = [one for one in part if one[0] >> 31 == turns]
        rows = []
        for number, (t, x, y, p) in enumerate(part):
            row = (x << 17 | y << 2 | p << 1, t & 0x7FFFFFFF)
            rows.append(struct.pack("<Ii", row[0] | 1, row[1]))
            if number % 5 == 0:
                rows.append(struct.pack("<Ii", *row))
        count = len(rows)
        data.append(struct.pack("<hh6i", 3, 1, 36, 4, 0, 1, 1, 1) + bytes(36))
        data.append(struct.pack("<hh6i", 1, 1, 8, 4, turns, count, count, len(part)))
        data += rows
    path.write_bytes(b"".join(data))


def write_text(path: Path, events: Events, size: Size) -> None:
    """A line of the size, then t x y p in seconds, as the Robotics and Perception Group has it."""
    lines = [f"{size[0]} {size[1]}"]
    lines += [f"{t / 1e6:.9f} {x} {y} {p}" for t, x, y, p in events.tolist()]
    path.write_text("\n".join(lines) + "\n")


def write_csv(path: Path, events: Events, size: Size) -> None:
    """Prophesee's metavision_file_to_csv: x,y,p,t without names."""
    path.write_text("".join(f"{x},{y},{p},{t}\n" for t, x, y, p in events.tolist()))


def write_hdf5(path: Path, events: Events, size: Size) -> None:
    """A folder with four columns, as DSEC has it, its times from an offset on."""
    import h5py

    with h5py.File(path, "w") as file:
        folder = file.create_group("events")
        folder.attrs["width"], folder.attrs["height"] = size
        first = int(events["t"].min())
        for name in "xyp":
            folder[name] = events[name]
        folder["t"] = (events["t"] - first).astype("u4")
        file["t_offset"] = first


def write_npy(path: Path, events: Events, size: Size) -> None:
    """Fields, packed, signed and in another order, as expelliarmus gives them."""
    packed = np.zeros(len(events), [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1")])
    for name in "txyp":
        packed[name] = events[name]
    np.save(path, packed)


def write_table(path: Path, events: Events, size: Size) -> None:
    """Four columns of float64: x, y, seconds, -1 or 1."""
    polarity = events["p"] * 2.0 - 1
    np.save(path, np.stack([events["x"], events["y"], events["t"] / 1e6, polarity], 1))


WRITERS: dict[str, Callable[[Path, Events, Size], None]] = {
    "evt2.raw": write_evt2,
    "evt21.raw": write_evt21,
    "evt21_swapped.raw": lambda path, events, size: write_evt21(path, events, size, True),
    "evt3.raw": write_evt3,
    "cd.dat": write_dat,
    "old.dat": lambda path, events, size: write_dat(path, events, size, 1),
    "dvs.es": write_es,
    "atis.es": lambda path, events, size: write_es(path, events, size, True),
    "jaer.aedat": write_aedat2,
    "caer.aedat": write_aedat3,
    "caer30.aedat": lambda path, events, size: write_aedat3(path, events, size, minor=0),
    "rpg.txt": write_text,
    "metavision.csv": write_csv,
    "dsec.h5": write_hdf5,
    "fields.npy": write_npy,
    "table.npy": write_table,
}
"""A file name for each kind, and what writes it for a sensor of 128 x 128."""


def written(name: str, folder: Path, events: Events, size: Size = SIZE) -> Path:
    """Write events as one of WRITERS does, where what it needs is here."""
    if name.endswith(".h5"):
        pytest.importorskip("h5py")
    WRITERS[name](folder / name, events, size)
    return folder / name


def some_events(
    n: int = 2000, span_us: int = 60_000, start_us: int = 100, size: Size = SIZE, seed: int = 0
) -> Events:
    """Bursts along rows, as sensors have them, in the order of time."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, span_us, n // 4)) + start_us
    t = np.repeat(t, 4)
    y, p = (np.repeat(rng.integers(0, limit, n // 4), 4) for limit in (size[1], 2))
    x = np.repeat(rng.integers(0, size[0] - 40, n // 4), 4)
    x = x + np.cumsum(rng.integers(1, 10, (n // 4, 4)), axis=1).reshape(-1)
    return events_from_arrays(t, x, y, p)


def assert_same(found: Events, wanted: Events) -> None:
    """Every event, to the bit."""
    assert len(found) == len(wanted)
    for name in "txyp":
        assert np.array_equal(found[name], wanted[name]), name
