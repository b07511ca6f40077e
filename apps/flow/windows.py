"""A window of a recording with the true flow at its last events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesnn.events import Events

LAST_US = 10_000
"""A window is scored at its events of so long before its end."""
LEAST_EVENTS = 50
BEFORE_US = 500_000
"""Of what came before a window: more than the network remembers."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A window to score.

    events: of the recording, in it and before. t0_us, t1_us: its ends. scored: which events are
    scored. truth: their true flow (n, 2), px/s on raw pixels.
    """

    file: str
    size: tuple[int, int]
    events: Events
    t0_us: int
    t1_us: int
    scored: NDArray[np.intp]
    truth: Floats
