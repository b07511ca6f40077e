"""The .bs2 format of SLAYER, which is also N-MNIST's .bin.

Five bytes an event, no header: x, y, then one bit of polarity (1 = ON) and 23 bits of time in us,
big endian. Nothing says how large the sensor is.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgesnn.errors import InputError
from edgesnn.events import Events, events_from_arrays

_BYTES = 5
_SENSORS = ((34, 34), (128, 128), (256, 256))
"""N-MNIST, DVS128, and all that a byte can say."""
LONGEST_US = 2**23 - 1


def events_from_bs2(path: Path) -> tuple[Events, tuple[int, int]]:
    """Read a file; return its events and the smallest known sensor (width, height) they fit.

    Raises InputError when the file is cut off inside an event.
    """
    data = np.frombuffer(path.read_bytes(), np.uint8)
    if data.size % _BYTES:
        raise InputError(
            f"{path} ends inside an event, at byte {data.size}: {data.size} bytes are no multiple "
            "of 5; the file is truncated or not a .bs2 file"
        )
    rows = data.reshape(-1, _BYTES)
    high, middle, low = (rows[:, i].astype(np.int64) for i in (2, 3, 4))
    t = ((high & 127) << 16) | (middle << 8) | low
    events = events_from_arrays(t, rows[:, 0], rows[:, 1], high >> 7)
    return events, smallest_sensor(events)


def smallest_sensor(events: Events) -> tuple[int, int]:
    """Return the smallest of the usual sensors that holds every event."""
    largest = max(int(events["x"].max()), int(events["y"].max())) if len(events) else 0
    return next(size for size in _SENSORS if largest < size[0])


def bs2_from_events(path: Path, events: Events) -> None:
    """Write events with x, y below 256 and t from 0 to 8.388607 s; raises InputError otherwise."""
    t = events["t"]
    if len(events) and (
        t.min() < 0 or t.max() > LONGEST_US or events["x"].max() > 255 or events["y"].max() > 255
    ):
        raise InputError(
            f"{path}: a .bs2 file holds x and y below 256 and times from 0 to {LONGEST_US} us"
        )
    rows = np.empty((len(events), _BYTES), np.uint8)
    rows[:, 0], rows[:, 1] = events["x"], events["y"]
    rows[:, 2] = (events["p"] << 7) | (t >> 16).astype(np.uint8)
    rows[:, 3], rows[:, 4] = (t >> 8) & 255, t & 255
    path.write_bytes(rows.tobytes())
