"""A round of `edgesnn.decide.refine`, compiled: `hardware/engine/refine.c`."""

from __future__ import annotations

import threading
from functools import lru_cache

import numpy as np

from edgesnn.decide import refine
from edgesnn.decide.halves import Floats, weights
from edgesnn.decide.recent import LAST, Recent
from edgesnn.decide.refine import Round
from edgesnn.errors import InputError
from edgesnn.events import EVENT
from edgesnn.hardware.events_library import library, pointer

_memory = threading.local()  # pages that are new each time would take a third of the time


def is_here() -> bool:
    """Whether the library was built, and has it."""
    try:
        library()
    except InputError:
        return False
    return True


def moved(
    recent: Recent, velocity: Floats, one: Round, slow: float
) -> tuple[Floats, Floats, Floats]:
    """See `edgesnn.decide.refine.Kernel`."""
    h, w = velocity.shape[1:]
    events = np.ascontiguousarray(recent.events, EVENT)
    found = np.array(velocity, np.float32, order="C")
    told = np.empty((2, h, w), np.float32)
    units = recent.t_us, recent.step_us, recent.cell
    numbers, memory = _numbers(one, slow), _kept(library().refine_needs(h, w, one.side))
    library().refine_round(
        *(pointer(events), len(events), *units, h, w, one.side, pointer(numbers)),
        *(pointer(memory), pointer(found), pointer(told)),
    )
    return found, told[0], told[1]


@lru_cache
def _numbers(one: Round, slow: float) -> Floats:
    """Return round_t of `hardware/engine/refine.h`."""
    limits = LAST, refine.FARTHEST, refine.FEW, refine.LEAST, refine.LEAST_ALIKE, refine.MISFIT
    numbers = one.span, one.first, one.damping, one.pull, *limits, slow
    return np.array([*numbers, *weights()], np.float32)


def _kept(count: int) -> Floats:
    """Return this thread's memory of so many floats."""
    if getattr(_memory, "floats", np.empty(0)).size < count:
        _memory.floats = np.empty(count, np.float32)
    kept: Floats = _memory.floats
    return kept
