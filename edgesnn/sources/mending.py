"""Unusual recordings: what is certain is mended, counted and said; what is not is only said.

- Events that are not in the order of time (sorted by x, reversed, shuffled, in blocks) are put in
  order. A few late events of a busy sensor are no such thing: the slicer counts them. Nor is a
  sensor whose clock began anew: each of its lives is put in order by itself.
- A few events at the beginning or the end, an hour or more away from all others, are left out.
- Longer silences are played as they are, and said.
- Times whose rate no sensor has are said, with the option that tells their unit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError
from edgesnn.events import Events, joined_events
from edgesnn.sources.found import counted
from edgesnn.stream.slicer import RESET_US

_Times = NDArray[np.int64]
UNITS_US = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
"""Microseconds in a unit of --time-unit."""
_BACK_US = 10_000
_LATE_SHARE = 1000
"""One event in so many may come more than 10 ms late: more are no busy sensor's."""
_FAR_US = 3_600_000_000
_SILENCE_US = 60_000_000
_FEW = 10
_SLOW_HZ, _FAST_HZ = 100.0, 1e8
_SLOW_PIXEL_HZ, _FAST_PIXEL_HZ = 0.01, 1000.0
_ENOUGH = 1000
_COARSEST_US = 1000.0
"""Times that cannot tell a millisecond are none for events."""


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
    if times.dtype.kind == "f" and len(times):
        grain_us = float(np.spacing(np.abs(times).max())) * factor
        if grain_us > _COARSEST_US:
            raise InputError(
                f"{where}: the times are {times.dtype} and so large that they can only tell "
                f"{_long(int(min(grain_us, 1e18)))} apart; write them as float64 or as whole "
                "microseconds"
            )
    if not np.isfinite(scaled).all() or (len(scaled) and float(np.abs(scaled).max()) >= 2**53):
        raise InputError(f"{where}: a time is none (not finite, or too large for --time-unit)")
    if unit == "ns" and times.dtype.kind != "f":
        exact: _Times = times.astype(np.int64) // 1000
        return exact
    return np.floor(scaled).astype(np.int64)


def mended(
    events: Events, size: tuple[int, int], *, unit_told: bool = False
) -> tuple[Events, tuple[str, ...]]:
    """Return a recording's events as they are to be played, and what a person should know."""
    if len(events) < 2:
        return events, ()
    notes: list[str] = []
    lives = _lives(events)
    if any(_disordered(events["t"][life]) for life in lives):
        moved = int(np.count_nonzero(events["t"][1:] < events["t"][:-1])) - (len(lives) - 1)
        parts = [events[life] for life in lives]
        events = joined_events([part[np.argsort(part["t"], kind="stable")] for part in parts])
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
        notes += _doubts(events["t"], size)
    return events, tuple(notes)


def _lives(events: Events) -> list[slice]:
    """Return the parts of a file between restarts of the sensor's clock.

    A clock that began anew goes on in order; what jumps forwards as it jumps back was never in
    order, and what lies in the order of x, y or polarity was sorted by it.
    """
    t, whole = events["t"], [slice(0, len(events))]
    steps = np.diff(t)
    jumps = np.flatnonzero(steps < -RESET_US) + 1
    if not len(jumps) or any(_sorted_by(events[field]) for field in ("x", "y", "p")):
        return whole
    forwards = int(np.count_nonzero(steps > RESET_US))
    if len(jumps) > 2 and (forwards > len(jumps) // 2 or len(jumps) * 4 > len(t)):
        return whole
    ends = [*jumps.tolist(), len(t)]
    return [slice(first, last) for first, last in zip([0, *ends[:-1]], ends, strict=True)]


def _sorted_by(values: NDArray[np.integer[Any]]) -> bool:
    """Whether a file lies in the order of these values, up or down, and they are not all alike."""
    if values[0] == values[-1]:
        return False
    return bool((values[1:] >= values[:-1]).all() or (values[1:] <= values[:-1]).all())


def _disordered(t: _Times) -> bool:
    """Whether a sensor's life is not in the order of time, and no busy sensor made it so."""
    if len(t) <= _FEW:
        return False
    late = int(np.count_nonzero(t < np.maximum.accumulate(t) - _BACK_US))
    back = int(np.count_nonzero(t[1:] < t[:-1]))
    return late > max(20, len(t) // _LATE_SHARE) or back > len(t) // 4


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


def _doubts(t: _Times, size: tuple[int, int]) -> list[str]:
    """Say it where no sensor gives so many events a second, or so few."""
    steps = np.diff(t)
    whole = (steps >= 0) & (steps < _SILENCE_US)  # without silences and restarts
    lasts_us = int(steps[whole].sum())
    rate_hz = len(t) * 1e6 / max(lasts_us, 1)
    pixel_hz = rate_hz / (size[0] * size[1])
    if len(t) < _ENOUGH:
        return []
    seldom = rate_hz < _SLOW_HZ or (
        pixel_hz < _SLOW_PIXEL_HZ and not (t % 1000 != t[0] % 1000).any()
    )
    if seldom and _SLOW_HZ < rate_hz * 1e3 < _FAST_HZ:
        return [
            f"{len(t):,} events in {_long(lasts_us)} are few: if its times are nanoseconds, "
            "say --time-unit ns"
        ]
    if rate_hz > _FAST_HZ or pixel_hz > _FAST_PIXEL_HZ:
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
