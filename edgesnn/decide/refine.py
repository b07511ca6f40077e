"""Motion made exact by the events themselves: what was seen earlier and later is brought together.

A network tells roughly where each place moves. Events of a thing that moves with velocity v lie on
one picture when each is carried along v to one moment (motion compensation, Gallego and Scaramuzza
2017). With a v that is off by dv, the picture of the older half of the events and that of the newer
half lie d = dv T / 2 apart, T being how far back events are taken. So d is looked for as in the
registration of pictures (Lucas and Kanade 1981), around each place and in both polarities:

    M d = -b        M = sum g (grad I)(grad I)',   b = sum g (grad I)(N - O),   I = (O + N) / 2

O and N: pictures of the older and the newer half, blurred by 1 2 1; one that holds fewer events
around a place is raised to the other. g: a Gaussian over the places around, of those where there
are events. M is damped by the events there: where they tell nothing, or the halves are not alike in
the end, motion stays as it was told.
v becomes v + 2 d / T, and that is done in rounds: the first of several with a pixel to a cell, the
others with two.

T is as long as SPAN cells of motion take, between FIRST and LAST steps: fast motion is seen in the
newest events, slow motion in those of a longer time. Pictures of one length cannot do both.

Events are looked at as they are, on the sensor's pixels; only those of the last LAST steps matter,
and of these the newest MOST a cell. Nothing is remembered but events.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgesnn.events import EVENT, Events, empty_events, joined_events

SPAN = 2.5
"""Cells that things move in the time of the events that are looked at."""
FIRST, LAST = 2.0, 12
"""Steps of which events are looked at, at least and at most."""
MOST = 16
"""Events a cell, all in all, that are kept."""
COARSE, FINE = 2, 4
"""Pixels of the pictures along a place's side; a place has two cells along each."""
BORDER = 2
"""Empty pixels around each picture."""
NEAR = 2.0
"""Standard deviation of the Gaussian over which places are looked at together, in places."""
DAMPING = {COARSE: 0.05, FINE: 0.02}
FARTHEST = 0.75
"""Cells that a round moves the pictures at most."""
ALIKE = 0.3
"""How alike the halves are from where on motion is what fits them; below, in proportion."""
MOST_ROUNDS = 8
LEAST = 0.5
"""Events around a place from which on they tell something."""
FEW = 0.02
"""Events that are taken to be around each place besides, so that none is no number to divide by."""
REACH = 6
"""Places as far as the Gaussian goes."""
_FASTER = "edgesnn.hardware.refine"
"""A module with the same `moved` as `Plain`, and `is_here`."""
_SLOWEST = 1e-6
Floats = NDArray[np.float32]
Reals = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Recent:
    """The events of the last steps, each an array of EVENT, and the units of a motion.

    t_us: end of the newest step. cell: pixels along a cell's side.
    """

    steps: tuple[Events, ...] = ()
    t_us: int = 0
    cell: int = 1
    step_us: int = 1

    def and_then(self, events: Events, t_us: int, cell: int, step_us: int) -> Recent:
        """Return them with a copy of one more step's, which ends at t_us."""
        own = joined_events([np.ascontiguousarray(events, EVENT), empty_events()])
        return Recent((*self.steps, own)[-LAST:], t_us, cell, step_us)

    def newest(self, most: int) -> Recent:
        """Return the newest `most` events, as one contiguous array."""
        wanted, parts = most, []
        for events in reversed(self.steps):
            parts.append(np.ascontiguousarray(events[max(0, len(events) - wanted) :], EVENT))
            wanted -= len(parts[-1])
            if not wanted:
                break
        return replace(self, steps=(joined_events(parts[::-1]),))

    @property
    def events(self) -> Events:
        """All of them, where they are one array."""
        return self.steps[0] if self.steps else empty_events()


class Kernel(Protocol):
    """What takes the time."""

    def moved(
        self, recent: Recent, velocity: Floats, side: int, slow: float
    ) -> tuple[Floats, Floats, Floats]:
        """Do a round; return a new motion, how much it changed, and how alike the halves were.

        velocity: (2, h, w), cells per step. side: COARSE or FINE. The change is a share of the
        speed and `slow`. Halves are alike by the correlation of O and N over the places around, at
        most 1; about 0 where events are noise, however many. Both are (h, w); nan: no events there.
        """
        ...


def refined(
    velocity: Reals, evidence: Reals, recent: Recent, rounds: int, slow: float
) -> tuple[Reals, Reals]:
    """Return a motion (2, h, w), cells per step, made exact by events; see the module's head.

    And the evidence for it, (h, w): the error to expect, as a share of the speed and `slow` (cells
    per step), is exp(-evidence). The more the last round still changed, the less the halves that it
    compared were alike, and the less evidence the network gave, the larger it is (fitted to
    simulated scenes: docs/flow.md). Where there are no events, both are as they were told.
    """
    h, w = velocity.shape[1:]
    recent = recent.newest(MOST * 4 * h * w if rounds else 0)
    if not len(recent.events):
        return velocity, evidence
    told = v = velocity.astype(np.float32)
    for number in range(rounds):
        side = COARSE if number == 0 and rounds > 1 else FINE
        v, changed, alike = _kernel().moved(recent, v, side, max(slow, _SLOWEST))
    known = np.isfinite(alike)
    alike = np.where(known, alike, np.float32(0))
    v = told + (v - told) * np.clip(alike / ALIKE, 0, 1)
    found = 1.5 * alike - 0.5 * np.log(changed + 0.02) + 0.4 * evidence - 0.6
    return v, np.where(known, found, evidence)


def is_compiled() -> bool:
    """Whether this is quick: it was built when edgesnn was installed."""
    return not isinstance(_kernel(), Plain)


@cache
def _kernel() -> Kernel:
    """Return the compiled one where it was built."""
    faster: Any = importlib.import_module(_FASTER)
    return faster if faster.is_here() else Plain()


class Plain:
    """A round in NumPy: what it means."""

    def moved(
        self, recent: Recent, velocity: Floats, side: int, slow: float
    ) -> tuple[Floats, Floats, Floats]:
        """See Kernel."""
        h, w = velocity.shape[1:]
        span = np.clip(SPAN / np.maximum(_length(velocity), 1e-6), FIRST, LAST).astype(np.float32)
        pictures = _pictures(recent, velocity, span, side)
        counts = _of_places(pictures[:, BORDER:-BORDER, BORDER:-BORDER], side)
        around = _around(counts)
        both = around.reshape(2, 2, h, w) + np.float32(FEW)
        raised = (np.sqrt(both[:, :1] * both[:, 1:]) / both).reshape(4, h, w)
        sums = _products(pictures, raised.astype(np.float32), side)
        sums[:, counts.sum(0) == 0] = 0
        xx, xy, yy, xt, yt, tt, ii = _around(sums)
        stiff = DAMPING[side] * around.sum(0) + np.float32(1e-6)
        xx, yy = xx + stiff, yy + stiff
        scale = -1 / np.maximum(xx * yy - xy * xy, stiff * stiff)
        d = np.stack([(yy * xt - xy * yt) * scale, (xx * yt - xy * xt) * scale])
        cell = side / 2  # pixels
        to_cells = np.minimum(1 / cell, FARTHEST / np.maximum(_length(d), 1e-6)) * 2 / span
        found: Floats = (velocity + d * to_cells).astype(np.float32)
        changed = _length(d) * to_cells / (_length(found) + np.float32(slow))
        # Pictures of noise have as much in common as their means.
        common = (both[:, 0] * both[:, 1]).sum(0) / (side * side * _reached(h, w))
        each = np.maximum(ii + tt / 4 - common, np.float32(1e-6))
        alike = np.clip((ii - tt / 4 - common) / each, -1, 1)
        return found, changed, np.where(around.sum(0) < LEAST, np.float32(np.nan), alike)


def _pictures(recent: Recent, velocity: Floats, span: Floats, side: int) -> Floats:
    """Return (4, side h + 2 BORDER, side w + 2 BORDER): OFF and ON, older half and newer one.

    An event is carried to the middle of its place's span and spread over four pixels; one that
    leaves the grid, or is older than the span, is left out.
    """
    h, w = span.shape
    events = recent.events
    cells, steps = (np.float32(1) / np.float32(one) for one in (recent.cell, recent.step_us))
    x, y = ((events[axis] + np.float32(0.5)) * cells for axis in "xy")
    age = (recent.t_us - events["t"]).astype(np.float32) * steps
    column, row = (x / 2).astype(np.int32), (y / 2).astype(np.int32)
    inside = (column < w) & (row < h)
    place = np.where(inside, row * w + column, 0)
    lasts = span.ravel()[place]
    late = age - lasts / 2
    cell, half = np.float32(side / 2), np.float32(0.5)
    x = cell * (x + velocity[0].ravel()[place] * late) - half
    y = cell * (y + velocity[1].ravel()[place] * late) - half
    inside &= (age >= 0) & (age <= lasts)
    inside &= (x >= 0) & (y >= 0) & (x < side * w - 1) & (y < side * h - 1)
    x, y, which = x[inside], y[inside], (2 * (events["p"] > 0) + (late <= 0))[inside]
    column, row = x.astype(np.int32), y.astype(np.int32)
    a, b = x - column, y - row
    wide, high = side * w + 2 * BORDER, side * h + 2 * BORDER
    first = (which * high + row + BORDER) * wide + column + BORDER
    to = np.concatenate([first, first + 1, first + wide, first + wide + 1])
    share = np.concatenate([(1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b])
    flat = np.bincount(to, share, 4 * high * wide)
    return flat.astype(np.float32).reshape(4, high, wide)


def _products(pictures: Floats, raised: Floats, side: int) -> Floats:
    """Return (7, h, w): sums over the pixels of each place.

    They are Ix Ix, Ix Iy, Iy Iy, Ix It, Iy It, It It and I I: I is the mean of the older half and
    the newer one, It their difference; polarities are added up. raised: (4, h, w), by what each
    blurred picture is multiplied there.
    """
    down = pictures[:, :-2] + 2 * pictures[:, 1:-1] + pictures[:, 2:]
    blurred = (down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]) / 16
    along = (blurred[:, 1:-1, 2:] - blurred[:, 1:-1, :-2]) / 2
    across = (blurred[:, 2:, 1:-1] - blurred[:, :-2, 1:-1]) / 2
    by = np.repeat(np.repeat(raised, side, 1), side, 2)
    x, y, at = (by * part for part in (along, across, blurred[:, 1:-1, 1:-1]))
    ix, iy, i = ((one[::2] + one[1::2]) / 2 for one in (x, y, at))
    it = at[1::2] - at[::2]
    pairs = (ix, ix), (ix, iy), (iy, iy), (ix, it), (iy, it), (it, it), (i, i)
    return np.stack([_of_places(a * b, side).sum(0) for a, b in pairs])


def _of_places(pixels: Floats, side: int) -> Floats:
    """Return sums (n, h, w) over the pixels of each place."""
    count, high, wide = pixels.shape
    # Slices are added several times as fast as an axis of two or four is summed.
    down = sum(pixels[:, k::side] for k in range(1, side)) + pixels[:, ::side]
    sums: Floats = sum(down[..., k::side] for k in range(1, side)) + down[..., ::side]
    return sums


def _around(of_place: Floats) -> Floats:
    """Return sums (n, h, w) over the places around each, weighted by the Gaussian."""
    h, w = of_place.shape[1:]
    down = np.matmul(_gaussian(h), of_place)
    sums: Floats = np.matmul(down.reshape(-1, w), _gaussian(w)).reshape(of_place.shape)
    return sums


@lru_cache(maxsize=16)
def _reached(h: int, w: int) -> Floats:
    """Return how much of the Gaussian around each place lies inside, (h, w)."""
    return np.outer(_gaussian(h).sum(0), _gaussian(w).sum(0))


def _length(vectors: Floats) -> Floats:
    """Return the lengths (h, w) of vectors (2, h, w)."""
    lengths: Floats = np.sqrt(vectors[0] * vectors[0] + vectors[1] * vectors[1])
    return lengths


def weights() -> Floats:
    """Return the Gaussian along one axis, from REACH places before to REACH behind."""
    return np.exp(-0.5 * np.square(np.arange(-REACH, REACH + 1) / NEAR)).astype(np.float32)


@lru_cache(maxsize=16)
def _gaussian(side: int) -> Floats:
    apart = np.arange(side)[:, None] - np.arange(side) + REACH
    inside = (apart >= 0) & (apart <= 2 * REACH)
    return np.where(inside, weights()[np.clip(apart, 0, 2 * REACH)], np.float32(0))
