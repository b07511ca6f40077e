"""Unusual recordings: what is certain is mended, counted and said; what is not is only said.

- Events that are not in the order of time (sorted by x, reversed, shuffled) are put in order. Late
  events of a busy sensor and a sensor that restarts are no such thing: the slicer counts them.
- A few events at the beginning or the end, an hour or more away from all others, are left out.
- Longer silences are played as they are, and said.
- Times whose rate no sensor has are said, with the option that tells their unit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError
from edgesnn.events import Events
from edgesnn.sources.found import counted

_Times = NDArray[np.int64]
UNITS_US = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
"""Microseconds in a unit of --time-unit."""
_BACK_US = 10_000
_FAR_US = 3_600_000_000
_SILENCE_US = 60_000_000
_FEW = 10
_SLOW_HZ, _FAST_HZ = 100.0, 1e8
_ENOUGH = 1000


def in_microseconds(times: NDArray[np.generic], unit: str | None, where: str) -> _Times:
    """Return times of a unit as whole microseconds; raises InputError for what are no times."""
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
    if not np.isfinite(scaled).all() or (len(scaled) and float(np.abs(scaled).max()) >= 2**53):
        raise InputError(f"{where}: a time is none (not finite, or too large for --time-unit)")
    if unit == "ns" and times.dtype.kind != "f":
        exact: _Times = times.astype(np.int64) // 1000
        return exact
    return np.floor(scaled).astype(np.int64)


def mended(events: Events, *, unit_told: bool = False) -> tuple[Events, tuple[str, ...]]:
    """Return a recording's events as they are to be played, and what a person should know."""
    if len(events) < 2:
        return events, ()
    notes: list[str] = []
    if _disordered(events["t"]):
        moved = int(np.count_nonzero(events["t"][1:] < events["t"][:-1]))
        events = events[np.argsort(events["t"], kind="stable")]
        notes.append(
            f"the events were not in the order of time ({counted(moved, 'step')} back); they were "
            "put in order"
        )
    events, far = _without_far(events)
    if far:
        notes.append(
            f"{counted(far, 'event')} an hour or more away from all others "
            f"{'was' if far == 1 else 'were'} left out"
        )
    gaps = np.diff(events["t"])
    longest = int(gaps.max()) if len(gaps) else 0
    if longest > _SILENCE_US:
        at_s = (int(events["t"][int(gaps.argmax())]) - int(events["t"][0])) / 1e6
        notes.append(f"nothing comes for {_long(longest)}, {at_s:.1f} s after the first event")
    if not unit_told:
        notes += _doubts(events["t"])
    return events, tuple(notes)


def _disordered(t: _Times) -> bool:
    """Whether a file is not in the order of time, and no sensor made it so."""
    back = t[1:] < t[:-1]
    far_back = int(np.count_nonzero(t[1:] < t[:-1] - _BACK_US))
    return far_back > max(20, len(t) // 2000) or (len(t) > _FEW and float(back.mean()) > 0.9)


def _without_far(events: Events) -> tuple[Events, int]:
    """Leave out a few events at either end that are very far from the rest."""
    t = events["t"]
    few = min(_FEW, len(t) // 100)
    if few < 1:
        return events, 0
    head = np.flatnonzero(np.abs(np.diff(t[: few + 1])) > _FAR_US)
    tail = np.flatnonzero(np.abs(np.diff(t[-few - 1 :])) > _FAR_US)
    first = int(head[-1]) + 1 if len(head) else 0
    last = len(t) - (few - int(tail[0])) if len(tail) else len(t)
    return events[first:last], len(t) - (last - first)


def _doubts(t: _Times) -> list[str]:
    lasts_us = int(t.max()) - int(t.min())
    rate_hz = len(t) * 1e6 / max(lasts_us, 1)
    if len(t) < _ENOUGH:
        return []
    if rate_hz < _SLOW_HZ and _SLOW_HZ < rate_hz * 1e3 < _FAST_HZ:
        return [
            f"{len(t):,} events in {_long(lasts_us)} are few: if its times are nanoseconds, "
            "say --time-unit ns"
        ]
    if rate_hz > _FAST_HZ:
        return [
            f"{len(t):,} events in {_long(lasts_us)} are more than any sensor gives: if its times "
            "are milliseconds or seconds, say --time-unit ms or s"
        ]
    return []


def _long(us: int) -> str:
    """Say a duration with the unit that people use for it."""
    for name, size in (("years", 31_557_600e6), ("days", 86_400e6), ("hours", 3600e6)):
        if us >= 2 * size:
            return f"{us / size:.1f} {name}"
    return f"{us / 1e6:.1f} s" if us >= 100_000 else f"{us / 1e3:.3g} ms"
