"""The event record, the packet, and what a source of packets promises.

One record everywhere. Its layout is the one dv-processing exports (16 bytes, aligned), so that a
camera's batch becomes ours as a view, not a copy.

Clocks: `t` is event time, int64 microseconds on the sensor's clock. `arrival_ns` is host time,
`time.monotonic_ns()`. The two are never mixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError

EVENT = np.dtype(
    {
        "names": ["t", "x", "y", "p"],
        "formats": ["<i8", "<u2", "<u2", "u1"],
        "offsets": [0, 8, 10, 12],
        "itemsize": 16,
    }
)
"""One event: t (us), x (column, from the left), y (row, from the top), p (1 = ON, 0 = OFF)."""

Events = NDArray[Any]
"""Array of shape (n,) and dtype EVENT."""


def empty_events() -> Events:
    """Return an event array of length 0; same dtype as any other."""
    return np.empty(0, EVENT)


def events_from_arrays(
    t: NDArray[Any], x: NDArray[Any], y: NDArray[Any], p: NDArray[Any]
) -> Events:
    """Pack four arrays of shape (n,) into one event array; any non-zero p is ON."""
    events = np.empty(len(t), EVENT)
    events["t"] = t
    events["x"] = x
    events["y"] = y
    events["p"] = np.asarray(p) > 0
    return events


def joined_events(parts: Sequence[Events]) -> Events:
    """Return the events of all parts in order; one part is returned as it is, not copied.

    Use it instead of `np.concatenate`, which packs the records to 13 bytes and copies them field
    by field, about 30 times slower.
    """
    if len(parts) < 2:
        return parts[0] if parts else empty_events()
    return np.concatenate([part.view(np.uint64) for part in parts]).view(EVENT)


def check_inside(events: Events, size: tuple[int, int], where: str, first: int = 0) -> None:
    """Raise InputError when an event lies outside a sensor of size (width, height).

    One cheap pass; done once, where events enter: everything behind it may rely on it. first: the
    number of the first of these events, for the sentence.
    """
    if not len(events):
        return
    x: NDArray[Any] = events["x"]
    y: NDArray[Any] = events["y"]
    if int(x.max()) < size[0] and int(y.max()) < size[1]:
        return
    at = int(((x >= size[0]) | (y >= size[1])).argmax())
    raise InputError(
        f"{where}: event {first + at} at t={events['t'][at]} us lies at x={x[at]}, y={y[at]}, "
        f"outside the {size[0]} x {size[1]} sensor; the file is damaged or its sensor size is wrong"
    )


@dataclass(frozen=True, slots=True)
class Packet:
    """Events that arrived together.

    events: shape (n,), dtype EVENT, n may be 0; never written to after it is sent.
    watermark_us: event time up to which the source has told everything it will tell: a later
        packet of the same source holds no event before it, unless the sensor's clock jumped back.
        It goes on growing while the scene is silent.
    arrival_ns: host monotonic time at which the packet entered the program.
    begins: whether a recording begins here that is not the one before: a lap of a loop.
    """

    events: Events
    watermark_us: int
    arrival_ns: int
    begins: bool = False


class Source(Protocol):
    """Where packets come from. A source never blocks for long and ends exactly once.

    name: what is read, for people and for the summary ("file:wave.bs2", "camera:DXA00093").
    size: (width, height) of the sensor in pixels; every event lies inside it.
    can_wait: True when the source loses nothing by being read late (a recording at any speed);
        False for live sensors. It decides whether a full ring holds the reader up or drops.
    """

    @property
    def name(self) -> str:
        """What is read."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        ...

    @property
    def can_wait(self) -> bool:
        """Whether reading late loses nothing."""
        ...

    def read(self) -> Packet | None:
        """Return what has arrived since the last call: a packet, perhaps with no events in it.

        Returns None when the source has ended, and None for ever after. Returns within a few
        milliseconds; a source with nothing to tell sleeps about 1 ms itself (no busy polling).
        Raises RunError when the device fails.
        """
        ...

    def close(self) -> None:
        """Release the device or file. Safe to call twice, and from another thread."""
        ...
