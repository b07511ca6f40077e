"""Reading recordings: the file is opened by its format, looked at once, and mended.

The formats are those of `catalog.FORMATS`.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

from edgesnn.errors import InputError
from edgesnn.events import Events, check_inside
from edgesnn.sources.catalog import FORMATS, PICTURES, SOUNDS, VIDEOS
from edgesnn.sources.found import Found, check_plain
from edgesnn.sources.look import SILENCE_US, Look, Times
from edgesnn.sources.mending import mended, told_long
from edgesnn.sources.stored import blocks_of, stored

_NO_TIME_US = 2**53
_MOST_PIXELS = 1 << 24
"""Four thousand by four thousand: sixteen times the largest event sensor that is sold."""
_FARTHEST_US = 2**53
"""285 years either way: sensors and Unix clocks lie inside, and sums of it cannot overflow."""


def read_events(
    path: str | Path, size: tuple[int, int] | None = None
) -> tuple[Events, tuple[int, int]]:
    """Read a whole recording; return its events, mended where that is certain, and (width, height).

    See `read_recording`.
    """
    found = read_recording(path, size)
    assert found.size is not None
    return found.in_memory(), found.size


def read_recording(
    path: str | Path, size: tuple[int, int] | None = None, unit: str | None = None
) -> Found:
    """Read a whole recording into memory; return its events, and what was mended or is unusual.

    size: of the sensor, when the file does not know it or is wrong. unit: of its times, where they
    are not microseconds; see `mending.UNITS_US`. Raises InputError: no such file, a folder, an
    unknown format, a damaged file, no event, an event outside the sensor or 285 years away.
    """
    found, _ = find_recording(Path(path), size, unit)
    return replace(found, events=found.in_memory())


def find_recording(
    path: Path, size: tuple[int, int] | None, unit: str | None
) -> tuple[Found, Look]:
    """Return a recording and a look at it; see `read_recording`. Its events may lie in a file."""
    check_plain(path)
    door = FORMATS.get(path.suffix.lower())
    if door is None:
        known = ", ".join(sorted(FORMATS))
        raise InputError(
            f"{path.name}: edgesnn does not read {path.suffix or 'this'}; it reads {known}, "
            f"sound ({', '.join(SOUNDS)}), pictures ({', '.join(PICTURES)}, idx3-ubyte) and videos "
            f"({', '.join(VIDEOS)})"
        )
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes)")
    try:
        module, _, reader = door.partition(":")
        found: Found = getattr(importlib.import_module(module), reader)(path, size, unit)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    events, size = stored(found.events), size or found.size
    if not len(events):
        raise InputError(f"{path} holds no events")
    if size is None:
        raise InputError(f"{path} does not say how large its sensor is; say it with --sensor WxH")
    if size[0] * size[1] > _MOST_PIXELS:
        raise InputError(
            f"{path} says that its sensor has {size[0]:,} x {size[1]:,} pixels, and edgesnn takes "
            f"{_MOST_PIXELS:,}; say its size with --sensor WxH"
        )
    look = Look()
    for first, block in blocks_of(events):
        check_inside(block, size, str(path), first)
        _check_times(block["t"], path, first)
        look.add(block)
    try:
        events, look, notes = mended(events, size, look, unit)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except OSError as error:  # to sort or to leave events out takes room in temporary files
        raise InputError(f"{path} cannot be played: {error.strerror or error}") from error
    until_us = found.until_us
    if until_us is not None and abs(until_us) >= _NO_TIME_US:
        raise InputError(f"{path} says that it was silent until no time; it is damaged")
    if until_us is not None and until_us - look.last_us > SILENCE_US:
        notes = (*notes, f"nothing comes for {told_long(until_us - look.last_us)} at its end")
    return Found(events, size, (*found.notes, *notes), until_us), look


def _check_times(t: Times, path: Path, first: int) -> None:
    if int(t.min()) > -_FARTHEST_US and int(t.max()) < _FARTHEST_US:
        return
    at = int(((t <= -_FARTHEST_US) | (t >= _FARTHEST_US)).argmax())
    raise InputError(
        f"{path}: event {first + at} is at t={t[at]} us, which no clock tells; the file is damaged "
        "or its times are not microseconds: say their unit with --time-unit ns, ms or s"
    )
