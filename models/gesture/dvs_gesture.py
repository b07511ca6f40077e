"""The official DVS128 Gesture data set (Amir et al., CVPR 2017), as it is distributed.

A folder holds `userNN_LIGHTING.aedat` (AEDAT 3.1), beside each `userNN_LIGHTING_labels.csv`
(class 1 to 11, start and end in us), and the lists `trials_to_train.txt`, `trials_to_test.txt`.

AEDAT 3.1: text lines that begin with '#', the last "#!END-HEADER", then packets. A packet has a
header of 28 bytes, little endian (type i2, source i2, event size i4, timestamp offset i4,
timestamp overflow i4, capacity i4, number i4, valid i4) and `number` events. A polarity event
(type 1) is a u4: bit 0 valid, bit 1 polarity, bits 2-16 y, bits 17-31 x; then a timestamp i4 in
us, to which overflow * 2**31 is added.
"""

from __future__ import annotations

import csv
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from edgesnn.errors import InputError
from edgesnn.events import Events, empty_events, events_from_arrays

from .data import LABELS, SENSOR, Clip, clip_from_events

_HEADER = struct.Struct("<hhiiiiii")
_POLARITY = 1


def events_from_aedat31(path: Path) -> Events:
    """Read all valid polarity events, in file order; raises InputError naming the byte offset."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if not data.startswith(b"#!AER-DAT3"):
        raise InputError(f"{path} is not an AEDAT 3 file: it does not begin with #!AER-DAT3")
    end = data.find(b"#!END-HEADER")
    if end < 0:
        raise InputError(f"{path} has no #!END-HEADER line; the file is truncated or damaged")
    at = data.index(b"\n", end) + 1
    parts = []
    while at < len(data):
        if at + _HEADER.size > len(data):
            raise InputError(f"{path} ends inside a packet header at byte {at}: truncated")
        kind, _, size, _, overflow, _, number, _ = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        if size <= 0 or number < 0 or at + size * number > len(data):
            raise InputError(f"{path} ends inside the packet at byte {at}: truncated or damaged")
        if kind == _POLARITY and size == 8:
            raw = np.frombuffer(data, "<u4", count=2 * number, offset=at).reshape(-1, 2)
            raw = raw[(raw[:, 0] & 1) == 1]
            word, t = raw[:, 0], raw[:, 1].astype(np.int64) + (overflow << 31)
            parts.append(events_from_arrays(t, word >> 17, (word >> 2) & 0x7FFF, (word >> 1) & 1))
        at += size * number
    return np.concatenate(parts) if parts else empty_events()


def trials(directory: Path, split: Literal["train", "test"]) -> list[Path]:
    """Return the recordings of a split; raises InputError when the list or a file is missing."""
    listing = directory / f"trials_to_{split}.txt"
    if not listing.exists():
        raise InputError(
            f"{listing} is missing; --data wants the folder of the official DVS128 Gesture set, "
            "with trials_to_train.txt, trials_to_test.txt and the .aedat files"
        )
    paths = [directory / line.strip() for line in listing.read_text().splitlines() if line.strip()]
    for path in paths:
        if not path.exists():
            raise InputError(f"{listing.name} names {path.name}, which is not in {directory}")
    return paths


def clips_of_trial(path: Path) -> Iterator[Clip]:
    """Yield one clip for each labelled span of a recording; classes count from 0."""
    events = events_from_aedat31(path)
    outside = (events["x"] >= SENSOR) | (events["y"] >= SENSOR)
    if outside.any():
        bad = events[outside][0]
        raise InputError(f"{path}: event at x {bad['x']}, y {bad['y']}, outside 128 x 128")
    table = path.with_name(f"{path.stem}_labels.csv")
    if not table.exists():
        raise InputError(f"{table.name} is missing beside {path}")
    with table.open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                label = int(row["class"]) - 1
                start, stop = int(row["startTime_usec"]), int(row["endTime_usec"])
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(
                    f"{table}, line {number}: wanted class,startTime_usec,endTime_usec"
                ) from error
            if not 0 <= label < len(LABELS):
                raise InputError(f"{table}, line {number}: class {label + 1} is not in 1 to 11")
            chosen = events[(events["t"] >= start) & (events["t"] < stop)]
            if len(chosen):
                yield clip_from_events(chosen, label)


def dvs_gesture(directory: Path, split: Literal["train", "test"]) -> list[Clip]:
    """Return every labelled clip of a split of the official data set."""
    return [clip for path in trials(directory, split) for clip in clips_of_trial(path)]
