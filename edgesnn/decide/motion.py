"""A field of motion over time becomes one motion of the whole view, and a decision in words.

The network tells for each place of a grid the motion g with its length compressed, the evidence c
for it, and how many events were seen there lately:

    v = slow sinh(|g|) g / |g|         cells per step;   the error of g to expect is exp(-c)

With a `reach` each place is told with those around, the surer ones more than the others
(`motion_field.smoothed`), and with `rounds` the events of the last steps make that exact, and tell
the error to expect (`refine.refined`). Where events were seen the field is fitted by one motion,
rigid but for size (iteratively reweighted least squares with weights exp(c) / (1 + (r / m)^2), r an
error and m the median one):

    u = a + z x - w y,    v = b + w x + z y         x, y from the middle of the view

a translation (a, b), a turn w (clockwise as it is seen: y points down) and a growth z. Which of
them moves most decides the word; the words' shares of the motion are its probabilities, smoothed
by 1 / 2**decay_shift each step. A word is told when its share reaches `enter` and held until it
falls below `leave`, or nothing moves.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgesnn.decide.decision import NOTHING, Decision, Turn
from edgesnn.decide.exit_rule import NEVER, ExitRule
from edgesnn.decide.motion_field import (
    Floats,
    Motion,
    MotionField,
    expanded,
    fitted_motion,
    smoothed,
)
from edgesnn.decide.recent import Recent
from edgesnn.decide.refine import is_compiled, refined
from edgesnn.events import Events

DIRECTIONS = ("right", "down right", "down", "down left", "left", "up left", "up", "up right")
TURNS = ("turning clockwise", "turning counter-clockwise", "coming closer", "going away")


@dataclass(frozen=True, slots=True)
class MotionSpec:
    """How a field of motion becomes words; see the module's head.

    labels: eight directions, clockwise from the right, two turns, growing and shrinking.
    unit: of y, value of one integer of g and c. slow: cells per step. still: motion of fewer cells
    per step is none. least_places: places of the grid with events from which there is motion.
    decay_shift, enter, leave: see the module's head. told_as: what one field is called in JSON.
    nothing: what it is called when nothing moves. channels: maps that the network gives. reach:
    places over which the field is smoothed, 0 for none. rounds: in which events make it exact.
    """

    labels: tuple[str, ...]
    unit: float
    slow: float
    still: float
    least_places: int
    decay_shift: int
    enter: float
    leave: float
    told_as: str = "motion"
    nothing: str = "still"
    channels: int = 4
    reach: float = 0.0
    rounds: int = 0

    def policy(self) -> str:
        """Say in one sentence how outputs become motion, for a graph that stands alone."""
        return (
            f"g = y[0:2] * {self.unit:.9g}; motion in cells per step = {self.slow:g} * sinh(|g|) * "
            f"g / |g|; c = y[2] * {self.unit:.9g}, error of g to expect exp(-c); y[3] events seen "
            "there lately: no motion is told where it is 0" + self._policy_of_reach()
        )

    def _policy_of_reach(self) -> str:
        if not self.reach:
            return self._policy_of_rounds()
        return (
            f"; told is the mean over a Gaussian of {self.reach:g} places of the motion of g cut "
            "to [-6, 6], weights exp(2 c) of c cut to [-2, 4], where y[3] is 0 a thousandth of it"
            + self._policy_of_rounds()
        )

    def _policy_of_rounds(self) -> str:
        if not self.rounds:
            return ""
        return (
            f"; edgesnn then makes it exact by the events themselves, in {self.rounds} rounds of "
            "registration (edgesnn.decide.refine), which needs more than this graph"
        )


@dataclass(frozen=True, slots=True)
class MotionState:
    """Everything the readout remembers."""

    shares: tuple[float, ...]
    held: Decision
    motion: Motion = Motion()
    seen: tuple[Floats, Floats, Floats] | None = field(default=None, compare=False)
    recent: Recent = field(default=Recent(), compare=False)


class MotionReadout:
    """Decides for one stream.

    nothing, held, probabilities: as of every readout. motion: of the whole view, in the last step.
    """

    answers = False

    def __init__(self, spec: MotionSpec, *, rule: ExitRule = NEVER) -> None:
        """Start at rest."""
        self._spec = spec
        self.nothing = spec.nothing
        self.told_as = spec.told_as
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        classes = len(self._spec.labels)
        self.held = Decision(0, NOTHING, self.nothing, 0.0, None)
        self.probabilities = np.full(classes, 1 / classes)
        self.motion = Motion()
        self._shares: Floats = np.zeros(classes)
        self._seen: tuple[Floats, Floats, Floats] | None = None  # velocity, weight, evidence
        self._recent = Recent()

    def snapshot(self) -> MotionState:
        """Return everything that it remembers."""
        return MotionState(
            tuple(self._shares.tolist()), self.held, self.motion, self._seen, self._recent
        )

    def restore(self, state: MotionState) -> None:
        """Go on from a snapshot."""
        self.reset()
        self._shares, self.held = np.array(state.shares), state.held
        self.motion, self._seen, self._recent = state.motion, state.seen, state.recent
        self._tell_probabilities()

    def best(self) -> int:
        """Return the word ahead, sure or not; NOTHING where nothing has moved."""
        return int(self._shares.argmax()) if self._shares.any() else NOTHING

    def turn(self, events: int) -> Turn:
        """Every step is taken: what moved before is remembered."""
        return "step"

    def see(self, events: Events, t_us: int, cell: int, step_us: int) -> None:
        """See the events of the step that `update` takes next, which ends at t_us.

        cell: pixels along a cell of x. The events are copied. A step whose events were not seen is
        told as the network tells it.
        """
        if self._spec.rounds:
            self._recent = self._recent.and_then(events, t_us, cell, step_us)

    def update(self, y: NDArray[np.int32] | None, events: int, t_us: int) -> Decision | None:
        """Take a step's field (4, h, w); return a decision that is new."""
        if y is None:
            return None
        seen_now = self._recent.t_us == t_us
        self._seen = velocity, weight, _ = self._read(y, self._recent if seen_now else Recent())
        self.motion = fitted_motion(velocity, weight, self._spec.least_places)
        shares = self._now(y.shape)
        self._shares = self._shares + (shares - self._shares) / 2**self._spec.decay_shift
        self._tell_probabilities()
        return self._decide(t_us)

    def finish(self, t_us: int) -> Decision | None:
        """The input is over; nothing was held back, and what comes next is something else."""
        self._recent = Recent()
        return None

    def field(self, t_us: int, cell: int, step_us: int) -> MotionField | None:
        """Return the last step's field, px/s; None before the first.

        cell: pixels along a cell of x, of which a place of the field has two along each side.
        """
        if self._seen is None:
            return None
        velocity, weight, evidence = self._seen
        per_s = 1e6 / step_us
        return MotionField(
            t_us=t_us,
            velocity=(velocity * (cell * per_s)).astype(np.float32),
            confidence=_confidence(evidence).astype(np.float32),
            seen=weight > 0,
            place=2 * cell,
            motion=self.motion.scaled(cell * per_s, per_s),
            told_as=self._spec.told_as,
        )

    @property
    def slow(self) -> bool:
        """Whether events make the field exact in NumPy alone, which takes many times as long."""
        return self._spec.rounds > 0 and not is_compiled()

    def _read(self, y: NDArray[np.int32], recent: Recent) -> tuple[Floats, Floats, Floats]:
        """Return motion (2, h, w) in cells per step, weights (h, w), 0 where nothing is, and the
        evidence."""
        spec, seen = self._spec, y[3] > 0
        told = y[:3].astype(np.float32) * np.float32(spec.unit)
        g, evidence = told[:2], np.clip(told[2], -2, 4)
        if spec.reach:
            velocity = smoothed(g, evidence, seen, spec.slow, spec.reach)
        else:
            velocity = expanded(g, spec.slow)
        velocity, evidence = refined(velocity, evidence, recent, spec.rounds, spec.slow)
        evidence = np.clip(evidence, -2, 4)
        return velocity, np.where(seen, np.exp(evidence), 0.0), evidence

    def _now(self, shape: tuple[int, ...]) -> Floats:
        """Return how much of the motion of this step each word has; all 0 where nothing moves."""
        shares, motion = np.zeros(len(self._spec.labels)), self.motion
        # Places from the middle, root mean square; a place is two cells.
        reach = 2 * np.hypot(shape[1], shape[2]) / np.sqrt(12)
        parts = np.hypot(motion.u, motion.v), abs(motion.turn) * reach, abs(motion.grow) * reach
        if max(parts) < self._spec.still:
            return shares
        energy = np.square(parts) / np.square(parts).sum()
        octant = np.arctan2(motion.v, motion.u) / (np.pi / 4) % 8
        low = int(octant)
        shares[low % 8] += energy[0] * (1 - (octant - low))
        shares[(low + 1) % 8] += energy[0] * (octant - low)
        shares[8 if motion.turn > 0 else 9] = energy[1]
        shares[10 if motion.grow > 0 else 11] = energy[2]
        return shares * motion.confidence

    def _tell_probabilities(self) -> None:
        total, classes = float(self._shares.sum()), len(self._shares)
        rest = max(0.0, 1 - total) / classes
        told = self._shares + rest
        self.probabilities = told / told.sum()

    def _decide(self, t_us: int) -> Decision | None:
        best, held = self.best(), self.held.index
        index = held
        if best != NOTHING and self._shares[best] >= self._spec.enter:
            index = best
        elif held != NOTHING and self._shares[held] < self._spec.leave:
            index = NOTHING
        if index == held:
            return None
        label = self.nothing if index == NOTHING else self._spec.labels[index]
        ahead = float(self._shares.max())
        confidence = 1 - ahead if index == NOTHING else float(self._shares[index])
        self.held = Decision(t_us, index, label, min(1.0, max(0.0, confidence)), None)
        return self.held


def _confidence(evidence: Floats) -> Floats:
    """Return how sure each place is, 0 to 1: 1 / (1 + the error of g that it expects)."""
    sure: Floats = 1 / (1 + np.exp(-evidence))
    return sure
