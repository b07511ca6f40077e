"""Motion made exact by the events themselves: what was seen earlier and later is brought together.

A network tells roughly where each place moves. Events of a thing that moves with velocity v lie on
one picture when each is carried along v to one moment (motion compensation, Gallego and Scaramuzza
2017). With a v that is off by dv, the picture of the older half of the events and that of the newer
half lie d = dv T / 2 apart, T being how far back events are taken. So d is looked for as in the
registration of pictures (Lucas and Kanade 1981), around each place and in both polarities:

    (M + m) d = -b      M = sum g (grad I)(grad I)',   b = sum g (grad I)(N - O),   I = (O + N) / 2

O and N: pictures of the older and the newer half, blurred by 1 2 1; one that holds fewer events
around a place is raised to the other. g: a Gaussian over the places around, of those where there
are events. m, the damping, goes with the events there: where they tell nothing, or the halves are
not alike in the end, motion stays as it was told. v becomes v + 2 d / T.

What is seen around one place may fit several motions: an edge tells only what is across it (the
aperture problem). So u is looked for too, the one motion that fits best what is seen twice as far
around, where every place counts as its halves are alike, squared. As for a smooth flow (Horn and
Schunck 1981) a place pays for |v - u|^2, but the less the worse u fits what is seen there (a robust
penalty, Black and Anandan 1996): what moves on its own beside others is let go.

This is done in rounds: the first of several is coarse, with a pixel to a cell, and looks at a
shorter time where things are fast; the others are fine. T is as long as a few cells of motion take,
between Round.first and LAST steps: fast motion is seen in the newest events, slow motion in those
of a longer time. Pictures of one length cannot do both. What is told is the motion in the middle of
that time: a longer one tells it more surely, and later.

Events are looked at as they are, on the sensor's pixels; only those of the last LAST steps matter,
and of very many every second or so (MOST). Nothing is remembered but events.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np

from edgesnn.decide import halves
from edgesnn.decide.halves import BORDER, Floats, Reals, around, length, of_places
from edgesnn.decide.recent import LAST, Recent

MOST = 8
"""Events a cell that are looked at of the newest step; of older ones fewer."""
FARTHEST = 0.75
"""Cells that a round moves the pictures at most."""
ALIKE = 0.3
"""How alike the halves are from where on motion is what fits them; below, in proportion."""
LEAST_ALIKE = 0.02
"""What places count as among others at least, where their halves are not alike."""
MISFIT = 0.005
"""A place pays half for leaving u if with u its halves would differ by this share of their energy
more than with its own answer, and they are wholly alike."""
MOST_ROUNDS = 8
LEAST = 0.5
"""Events around a place from which on they tell something."""
FEW = 0.02
"""Events that are taken to be around each place besides, so that none is no number to divide by."""
_FASTER = "edgesnn.hardware.refine"
"""A module with the same `moved` as `Plain`, and `is_here`."""
_SLOWEST = 1e-6
_TINY = np.float32(1e-6)


@dataclass(frozen=True, slots=True)
class Round:
    """What a round looks at.

    side: pixels of the pictures along a place's side; a place has two cells along each. span: cells
    that things move in the time of the events. first: steps that this is at least. damping, pull:
    of the events around a place, what is paid for leaving the motion told, and u.
    """

    side: int
    span: float
    first: float
    damping: float
    pull: float


COARSE = Round(side=2, span=3.0, first=1.0, damping=0.05, pull=1.0)
FINE = Round(side=4, span=2.0, first=2.0, damping=0.005, pull=0.2)


class Kernel(Protocol):
    """What takes the time."""

    def moved(
        self, recent: Recent, velocity: Floats, one: Round, slow: float
    ) -> tuple[Floats, Floats, Floats]:
        """Do a round; return a new motion, how much it changed, and how alike the halves were.

        velocity: (2, h, w), cells per step. The change is a share of the speed and `slow`. Halves
        are alike by the correlation of O and N over the places around, at most 1; about 0 where
        events are noise, however many. Both are (h, w); nan: no events there.
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
    recent = recent.thinned(MOST * 4 * h * w)
    if not rounds or not len(recent.events):
        return velocity, evidence
    told = v = velocity.astype(np.float32)
    for number in range(rounds):
        one = COARSE if number == 0 and rounds > 1 else FINE
        v, changed, alike = _kernel().moved(recent, v, one, max(slow, _SLOWEST))
    known = np.isfinite(alike)
    alike = np.where(known, alike, np.float32(0))
    v = told + (v - told) * np.clip(alike / ALIKE, 0, 1)
    found = 1.2 * alike - 0.46 * np.log(changed + 0.02) + 1.25 * evidence - 1.49
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
        self, recent: Recent, velocity: Floats, one: Round, slow: float
    ) -> tuple[Floats, Floats, Floats]:
        """See Kernel."""
        h, w = velocity.shape[1:]
        side, speed = one.side, np.maximum(length(velocity), _TINY)
        span: Floats = np.clip(one.span / speed, one.first, LAST).astype(np.float32)
        pictures = halves.pictures(recent, velocity, span, side)
        counts = of_places(pictures[:, BORDER:-BORDER, BORDER:-BORDER], side)
        near = around(counts)
        both = near.reshape(2, 2, h, w) + np.float32(FEW)
        raised = (np.sqrt(both[:, :1] * both[:, 1:]) / both).reshape(4, h, w)
        sums = halves.products(pictures, raised.astype(np.float32), side)
        sums[:, counts.sum(0) == 0] = 0
        xx, xy, yy, xt, yt, tt, ii = around(sums)
        # Pictures of noise have as much in common as their means.
        common = (both[:, 0] * both[:, 1]).sum(0) / (side * side * halves.reached(h, w))
        energy = np.maximum(ii + tt / 4 - common, _TINY)
        alike = np.clip((ii - tt / 4 - common) / energy, -1, 1)
        total = near.sum(0)
        stiff = one.damping * total + _TINY
        xx, yy, pixels = xx + stiff, yy + stiff, span * np.float32(side / 4)  # v to d
        own = velocity + _held(_solved(xx, xy, yy, -xt, -yt, stiff), side) / pixels
        u = _of_many(velocity, (xx, xy, yy, xt, yt), pixels, alike)
        x, y = (u - own) * pixels
        misfit = np.square(np.maximum(alike, 0)) * (xx * x * x + 2 * xy * x * y + yy * y * y)
        pull = one.pull * total / (1 + misfit / (MISFIT * energy))
        x, y = pull * pixels * (u - velocity)
        d = _held(_solved(xx + pull, xy, yy + pull, x - xt, y - yt, stiff), side)
        found: Floats = (velocity + d / pixels).astype(np.float32)
        changed = length(d) / pixels / (length(found) + np.float32(slow))
        return found, changed, np.where(total < LEAST, np.float32(np.nan), alike)


def _solved(xx: Floats, xy: Floats, yy: Floats, x: Floats, y: Floats, stiff: Floats) -> Floats:
    """Return d (2, h, w) of (xx, xy; xy, yy) d = (x, y), which holds `stiff` I and more."""
    scale = 1 / np.maximum(xx * yy - xy * xy, stiff * stiff)
    return np.stack([(yy * x - xy * y) * scale, (xx * y - xy * x) * scale])


def _held(d: Floats, side: int) -> Floats:
    """Return d, pixels of pictures, no longer than FARTHEST."""
    held: Floats = d * np.minimum(1, np.float32(FARTHEST * side / 2) / np.maximum(length(d), _TINY))
    return held


def _of_many(
    velocity: Floats, equations: tuple[Floats, ...], pixels: Floats, alike: Floats
) -> Floats:
    """Return u (2, h, w): the motion that fits what is seen farther around each place.

    equations: xx, xy, yy, xt, yt of a place's own (xx, xy; xy, yy) pixels (u - v) = -(xt, yt). They
    are added up in blocks of two by two places and over the blocks around, and u is told between
    their middles.
    """
    xx, xy, yy, xt, yt = equations
    h, w = velocity.shape[1:]
    counts = np.square(np.maximum(alike, np.float32(LEAST_ALIKE))) * pixels
    xx, xy, yy = (counts * pixels * one for one in (xx, xy, yy))
    x = xx * velocity[0] + xy * velocity[1] - counts * xt
    y = xy * velocity[0] + yy * velocity[1] - counts * yt
    odd = (0, 0), (0, h % 2), (0, w % 2)
    blocks = of_places(np.pad(np.stack([xx, xy, yy, x, y]), odd), 2)
    xx, xy, yy, x, y = around(blocks)
    scale = 1 / np.maximum(xx * yy - xy * xy, _TINY * xx * yy + np.float32(1e-30))
    u = np.stack([(yy * x - xy * y) * scale, (xx * y - xy * x) * scale])
    return halves.between(halves.between(u, h).swapaxes(1, 2), w).swapaxes(1, 2)
