"""The kernels of `edgesnn.decide.refine`, compiled: `hardware/engine/refine.c`."""

from __future__ import annotations

import threading

import numpy as np

from edgesnn.decide.refine import BORDER, FINE, Floats, Recent
from edgesnn.errors import InputError
from edgesnn.events import EVENT
from edgesnn.hardware.events_library import library, pointer

_ROWS = 22
_memory = threading.local()  # pages that are new each time would take a third of the time


def is_here() -> bool:
    """Whether the library was built, and has them."""
    try:
        library()
    except InputError:
        return False
    return True


def pictures(recent: Recent, velocity: Floats, span: Floats) -> tuple[Floats, Floats]:
    """See `edgesnn.decide.refine.Kernels`."""
    h, w = span.shape
    velocity, span = (np.ascontiguousarray(part, np.float32) for part in (velocity, span))
    made = _kept((4, FINE * h + 2 * BORDER, FINE * w + 2 * BORDER))
    counts = np.empty((4, h, w), np.float32)
    events = np.ascontiguousarray(recent.events, EVENT)
    units = recent.t_us, recent.step_us, recent.cell
    library().refine_pictures(
        *(pointer(events), len(events), *units, h, w, pointer(velocity), pointer(span)),
        *(pointer(made), pointer(counts)),
    )
    return made, counts


def products(pictures: Floats, counts: Floats, raised: Floats) -> Floats:
    """See `edgesnn.decide.refine.Kernels`."""
    h, w = raised.shape[1:]
    pictures, counts, raised = (
        np.ascontiguousarray(part, np.float32) for part in (pictures, counts, raised)
    )
    scratch = np.empty((_ROWS, pictures.shape[2]), np.float32)
    made = np.empty((7, h, w), np.float32)
    library().refine_products(
        *(pointer(pictures), pointer(counts), pointer(raised), h, w, pointer(scratch)),
        pointer(made),
    )
    return made


def _kept(shape: tuple[int, ...]) -> Floats:
    """Return this thread's memory for pictures; its next call writes them anew."""
    if getattr(_memory, "pictures", np.empty(0)).shape != shape:
        _memory.pictures = np.empty(shape, np.float32)
    kept: Floats = _memory.pictures
    return kept
