"""Unusual recordings: what is certain is mended, counted and said; what is not is only said.

- Events that are not in the order of time (sorted by x, reversed, shuffled, in blocks) are put in
  order. A few late events of a busy sensor are no such thing: the slicer counts them. Nor is a
  sensor whose clock began anew: each of its lives is put in order by itself.
- A few events at the beginning or the end, a minute or more away from all others, are left out, and
  single ones so far from both of their neighbours.
- Longer silences are played as they are, and said.
- Times whose rate no sensor has are said, with the option that tells their unit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError
from edgesnn.events import Events
from edgesnn.sources.found import counted
from edgesnn.sources.look import MOST_STRAYS, SILENCE_US, Look, Times
from edgesnn.sources.sorting import in_order
from edgesnn.sources.stored import Part, Spool, Stored, blocks_of, stored

UNITS_US = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
"""Microseconds in a unit of --time-unit."""
_SLOW_HZ, _FAST_HZ = 100.0, 1e8
_SLOW_PIXEL_HZ, _FAST_PIXEL_HZ = 0.01, 1000.0
_ENOUGH = 1000
_COARSEST_US = 1000.0
"""Times that cannot tell a millisecond are none for events."""


def in_microseconds(times: NDArray[np.generic], unit: str | None, where: str) -> Times:
    """Return times of a unit as whole microseconds; raises InputError for what are no times."""
    if times.dtype.kind == "f" and not np.isfinite(times).all():
        raise InputError(f"{where}: a time is no number (NaN or infinite); the file is damaged")
    if times.dtype.kind == "f" and unit is None:
        raise InputError(
            f"{where}: the times are {times.dtype} and not whole microseconds; say their unit with "
            "--time-unit s, ms, us or ns"
        )
    if times.dtype.kind == "u" and len(times) and int(times.max()) >= 2**63:
        raise InputError(f"{where}: a time is {times.max()}, which no clock tells; it is damaged")
    factor = UNITS_US[unit or "us"]
    if factor == 1 and times.dtype.kind != "f":
        return times.astype(np.int64)
    scaled = times.astype(np.float64) * factor
    if times.dtype.kind == "f" and len(times):
        grain_us = float(np.spacing(np.abs(times).max())) * factor
        if grain_us > _COARSEST_US:
            raise InputError(
                f"{where}: the times are {times.dtype} and so large that they can only tell "
                f"{told_long(int(min(grain_us, 1e18)))} apart; write them as float64 or as whole "
                "microseconds"
            )
    if not np.isfinite(scaled).all() or (len(scaled) and float(np.abs(scaled).max()) >= 2**53):
        raise InputError(f"{where}: a time is none (not finite, or too large for --time-unit)")
    if unit == "ns" and times.dtype.kind != "f":
        exact: Times = times.astype(np.int64) // 1000
        return exact
    return np.rint(scaled).astype(np.int64)  # 0.123457 s is a little less than 123457 us


def mended(
    events: Events | Stored,
    size: tuple[int, int],
    look: Look | None = None,
    unit: str | None = None,
) -> tuple[Stored, Look, tuple[str, ...]]:
    """Return a recording's events as they are to be played, a look at them, and what to tell.

    look: at the events as they are, where there was one. unit: of the times, if the user told it.
    """
    kept = stored(events)
    look = look or Look.of(kept)
    if len(kept) < 2:
        return kept, look, ()
    notes: list[str] = []
    if 0 < len(look.strays) <= min(MOST_STRAYS, len(kept) // 100):
        alone = len(look.strays)
        notes.append(
            f"{counted(alone, 'event')} a minute or more away from the ones before and behind "
            f"{'was' if alone == 1 else 'were'} left out"
        )
        kept = _without(kept, np.array(look.strays))
        look = Look.of(kept)
    if look.disordered():
        ends = [0, *(look.jumps.tolist() if look.lives() else []), len(kept)]
        moved = look.back - (len(ends) - 2)
        kept = in_order(kept, ends)
        look = Look.of(kept)
        notes.append(
            f"the events were not in the order of time ({counted(moved, 'step')} back); they were "
            "put in order"
        )
    head, tail = look.far(SILENCE_US)
    if far := head + tail:
        kept = Part(kept, head, len(kept) - tail)
        look = Look.of(kept)
        notes.append(
            f"{counted(far, 'event')} a minute or more away from all others "
            f"{'was' if far == 1 else 'were'} left out"
        )
    if look.gap_us > SILENCE_US:
        at_s = look.gap_at_us / 1e6
        notes.append(
            f"nothing comes for {told_long(look.gap_us)}, {at_s:.1f} s after the first event"
        )
    if look.overruns:
        notes.append(f"the sensor's clock of 32 bits ran over ({counted(look.overruns, 'time')})")
    if unit is None:
        notes += _doubts(look, size)
    return kept, look, tuple(notes)


def _without(events: Stored, strays: Times) -> Stored:
    """Leave single events out."""
    spool = Spool()
    for first, block in blocks_of(events):
        keep = np.ones(len(block), bool)
        keep[strays[(strays >= first) & (strays < first + len(block))] - first] = False
        spool.write(block[keep])
    return spool


def _doubts(look: Look, size: tuple[int, int]) -> list[str]:
    """Say it where no sensor gives so many events a second, or so few."""
    n, lasts_us = look.count, look.flowing_us
    rate_hz = n * 1e6 / max(lasts_us, 1)
    pixel_hz = rate_hz / (size[0] * size[1])
    if n < _ENOUGH:
        return []
    seldom = rate_hz < _SLOW_HZ or (pixel_hz < _SLOW_PIXEL_HZ and look.whole_ms)
    if seldom and _SLOW_HZ < rate_hz * 1e3 < _FAST_HZ:
        return [
            f"{n:,} events in {told_long(lasts_us)} are few: if its times are nanoseconds, "
            "say --time-unit ns"
        ]
    if rate_hz > _FAST_HZ or pixel_hz > _FAST_PIXEL_HZ:
        return [
            f"{n:,} events in {told_long(lasts_us)} are more than any sensor gives: if its times "
            "are milliseconds or seconds, say --time-unit ms or s"
        ]
    return []


def told_long(us: int) -> str:
    """Say a duration with the unit that people use for it."""
    for name, size in (("years", 31_557_600e6), ("days", 86_400e6), ("hours", 3600e6)):
        if us >= 2 * size:
            return f"{us / size:.1f} {name}"
    return f"{us / 1e6:.1f} s" if us >= 100_000 else f"{us / 1e3:.3g} ms"
