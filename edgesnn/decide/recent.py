"""The events of the last steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgesnn.events import EVENT, Events, empty_events, joined_events

LAST = 12
"""Steps that are kept."""


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

    def thinned(self, most: int) -> Recent:
        """Return them as one contiguous array: of the newest step `most` at most, of the one before
        half as many, of the next a third, and so on; where there are more, every second or so."""
        parts = []
        for age, events in enumerate(reversed(self.steps), 1):
            every = max(1, -(-len(events) * age // most))
            parts.append(np.ascontiguousarray(events[::every], EVENT))
        return replace(self, steps=(joined_events(parts[::-1]),))

    @property
    def events(self) -> Events:
        """All of them, where they are one array."""
        return self.steps[0] if self.steps else empty_events()
