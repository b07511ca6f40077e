"""A round of `edgesnn.decide.refine`, compiled: `hardware/engine/refine.c`."""

from __future__ import annotations

import threading
from functools import lru_cache

import numpy as np

from edgesnn.decide import refine
from edgesnn.decide.refine import Floats, Recent
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
    recent: Recent, velocity: Floats, side: int, slow: float
) -> tuple[Floats, Floats, Floats]:
    """See `edgesnn.decide.refine.Kernel`."""
    h, w = velocity.shape[1:]
    events = np.ascontiguousarray(recent.events, EVENT)
    found = np.array(velocity, np.float32, order="C")
    told = np.empty((2, h, w), np.float32)
    units = recent.t_us, recent.step_us, recent.cell
    numbers, memory = _numbers(side, slow), _kept(library().refine_needs(h, w, side))
    library().refine_round(
        *(pointer(events), len(events), *units, h, w, side, pointer(numbers)),
        *(pointer(memory), pointer(found), pointer(told)),
    )
    return found, told[0], told[1]


@lru_cache
def _numbers(side: int, slow: float) -> Floats:
    numbers = refine.SPAN, refine.FIRST, refine.LAST, refine.DAMPING[side], refine.FARTHEST
    return np.array([*numbers, refine.FEW, refine.LEAST, slow, *refine.weights()], np.float32)


def _kept(count: int) -> Floats:
    """Return this thread's memory of so many floats."""
    if getattr(_memory, "floats", np.empty(0)).size < count:
        _memory.floats = np.empty(count, np.float32)
    kept: Floats = _memory.floats
    return kept
