"""The door to the readouts: which one a bundle's description asks for, and what all of them do."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgesnn.bundle import AnyReadoutSpec, ReadoutSpec
from edgesnn.decision import Decision
from edgesnn.errors import InputError
from edgesnn.exit_rule import EXACT, NEVER, ExitRule
from edgesnn.readout import Readout
from edgesnn.spotting import Spotter, SpottingSpec
from edgesnn.trial import TrialReadout, Turn


class AnyReadout(Protocol):
    """Outputs over time in, decisions out. Event time only: replay decides the same.

    nothing: label of the decision that nothing is there. held: the decision that holds now.
    probabilities: float64 (classes,), after the last step; replaced, never written to.
    """

    nothing: str
    held: Decision
    probabilities: NDArray[np.float64]

    def reset(self) -> None:
        """Forget everything."""
        ...

    def best(self) -> int:
        """Return the class ahead, sure or not; NOTHING before any evidence."""
        ...

    def turn(self, events: int) -> Turn:
        """Say what the network shall do with the step that comes next, which holds `events`."""
        ...

    def update(self, y: NDArray[np.int32] | None, events: int, t_us: int) -> Decision | None:
        """Take a step's output, None when the network rested; return a decision that is new."""
        ...

    def finish(self, t_us: int) -> Decision | None:
        """Hear that the input is over; return what was still to be said."""
        ...


def open_readout(spec: AnyReadoutSpec, rule: ExitRule | None = None) -> AnyReadout:
    """Return the readout of a description; rule: when it may stop early, None for its own default.

    Raises InputError for the exact rule where there is no trial: an endless stream always has a
    future that changes its mind.
    """
    if isinstance(spec, (ReadoutSpec, SpottingSpec)) and rule is not None and rule.kind == "exact":
        raise InputError(
            "--exit exact needs a trial with an end (edgesnn run digits): in an endless stream "
            "some future could always change the answer; use margin:X or never"
        )
    match spec:
        case ReadoutSpec():
            return Readout(spec, rule=rule or NEVER)
        case SpottingSpec():
            return Spotter(spec, rule=rule or NEVER)
        case _:
            return TrialReadout(spec, rule=rule or EXACT)
