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
