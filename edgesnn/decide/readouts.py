"""The kinds of readouts, one line each, and what all of them do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgesnn.decide.decision import Decision, Turn
from edgesnn.decide.evidence import Readout, ReadoutSpec
from edgesnn.decide.exit_rule import EXACT, NEVER, ExitRule
from edgesnn.decide.motion import MotionReadout, MotionSpec
from edgesnn.decide.spotting import Spotter, SpottingSpec
from edgesnn.decide.trial import TrialReadout, TrialSpec
from edgesnn.errors import InputError


class AnyReadoutSpec(Protocol):
    """What a bundle says of its readout: a frozen dataclass of plain values."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each class."""
        ...

    def policy(self) -> str:
        """Say in one sentence how outputs become decisions, for a graph that stands alone."""
        ...


class AnyReadout(Protocol):
    """Outputs over time in, decisions out. Event time only: replay decides the same.

    nothing: label of the decision that nothing is there. held: the decision that holds now.
    probabilities: float64 (classes,), after the last step; replaced, never written to.
    answers: whether each decision is an answer of its own (a word, a picture), to be counted, and
    not one that is held until the next.
    """

    answers: bool
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


@dataclass(frozen=True, slots=True)
class ReadoutKind:
    """spec: the description's class. open: makes the readout, from (spec, rule=...).

    rule: when it may stop early if nobody says otherwise. ends: whether what it waits for has an
    end, so that an answer can be final (--exit exact). answers: whether it tells one that could
    come earlier (--exit margin:X).
    """

    spec: type[Any]
    open: Callable[..., AnyReadout]
    rule: ExitRule = NEVER
    ends: bool = False
    answers: bool = True


READOUTS = {
    "evidence": ReadoutKind(ReadoutSpec, Readout),
    "spotting": ReadoutKind(SpottingSpec, Spotter),
    "motion": ReadoutKind(MotionSpec, MotionReadout, answers=False),
    "trial": ReadoutKind(TrialSpec, TrialReadout, EXACT, ends=True),
}
"""Kinds of readout, as a bundle names them."""


def open_readout(spec: AnyReadoutSpec, rule: ExitRule | None = None) -> AnyReadout:
    """Return the readout of a description; rule: when it may stop early, None for its own default.

    Raises InputError for the exact rule where there is no trial: an endless stream always has a
    future that changes its mind.
    """
    (kind,) = (kind for kind in READOUTS.values() if isinstance(spec, kind.spec))
    if rule is not None and rule.kind == "exact" and not kind.ends:
        raise InputError(
            "--exit exact needs a trial with an end: in an endless stream "
            "some future could always change the answer; use margin:X or never"
        )
    if rule is not None and rule.kind == "margin" and not kind.answers:
        raise InputError(
            f"--exit {rule} is for answers that may come early; motion is told in every step"
        )
    return kind.open(spec, rule=rule or kind.rule)
