"""A change of mind of a readout, and what a readout asks of the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NOTHING = -1
"""Index of the decision that nothing is there."""

Turn = Literal["step", "reset", "skip"]
"""What the network does with the next input: take it, take it in the initial state, or rest."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A change of mind of the readout.

    t_us: event time of the end of the step that decided. index: class, or NOTHING.
    label: its name. confidence: 0 to 1. latency_us: host time from the arrival of the last event
    of the step to the decision leaving the readout; None where that means nothing: a recording as
    fast as it is read, and what is decided when the input ends. exit_step, window_steps: of a
    network that answers trial by trial, after how many steps it was sure, of how many; None
    elsewhere.
    """

    t_us: int
    index: int
    label: str
    confidence: float
    latency_us: float | None
    exit_step: int | None = None
    window_steps: int | None = None
