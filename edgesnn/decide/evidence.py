"""Outputs over time become decisions: leaky evidence, softmax, hysteresis, silence.

    e <- e - (e >> decay_shift) + y        integers, exact on every machine
    p  = softmax(e / scale)

A class is decided as soon as its p reaches `enter`, on any step; it is held until another one
reaches `enter`, its own p falls below `leave`, or the scene goes quiet: fewer than quiet_events in
the last quiet_us (so also until that many have been seen at the start). Quiet forgets the evidence:
what comes after a pause is judged afresh. Time is event time only: replay gives the same decisions.

With the exit rule margin:X a class is decided as soon as its p leads by X, whatever `enter` says.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesnn.decide.decision import NOTHING, Decision, Turn
from edgesnn.decide.exit_rule import NEVER, ExitRule, lead


@dataclass(frozen=True, slots=True)
class ReadoutSpec:
    """How outputs over time become decisions; see the module's head.

    labels: name of each class. scale: score units per nat (softmax temperature).
    decay_shift: evidence forgets 1 / 2**decay_shift of itself each step.
    enter, leave: confidence to change the decision, and to give it up (hysteresis).
    quiet_events: fewer events than this in a quiet_us window mean that nothing is there;
    nothing: what that is called.
    """

    labels: tuple[str, ...]
    scale: float
    decay_shift: int
    enter: float
    leave: float
    quiet_events: int
    quiet_us: int
    nothing: str = "nothing"

    def policy(self) -> str:
        """Say in one sentence how outputs become decisions, for a graph that stands alone."""
        return (
            f"evidence += y - (evidence >> {self.decay_shift}); "
            f"decide when softmax(evidence / {self.scale:g}) >= {self.enter:g}; "
            f"hold while it is >= {self.leave:g}; quiet below {self.quiet_events} events "
            f"in {self.quiet_us} us"
        )


@dataclass(frozen=True, slots=True)
class ReadoutState:
    """Everything a readout remembers; see `Readout.snapshot`."""

    evidence: tuple[int, ...]
    best: int
    held: Decision
    window: tuple[tuple[int, int], ...]


class Readout:
    """Decides for one stream.

    nothing: label of the decision that nothing is there. held: the decision that holds now.
    probabilities: float64 (classes,), after the last step.
    """

    answers = False
    held: Decision
    probabilities: NDArray[np.float64]

    def __init__(self, spec: ReadoutSpec, *, rule: ExitRule = NEVER) -> None:
        """Start in silence."""
        self._spec = spec
        self._rule = rule
        self.nothing = spec.nothing
        self.reset()

    def reset(self) -> None:
        """Forget everything, also the decision that holds."""
        count = len(self._spec.labels)
        held = Decision(0, NOTHING, self.nothing, 1.0, 0.0)
        self.restore(ReadoutState((0,) * count, NOTHING, held, ()))

    def snapshot(self) -> ReadoutState:
        """Return what `restore` needs to go on from here."""
        evidence = tuple(self._evidence.tolist())
        return ReadoutState(evidence, self._best, self.held, tuple(self._window))

    def restore(self, state: ReadoutState) -> None:
        """Go on from a snapshot of a readout of the same spec."""
        self._evidence = np.array(state.evidence, np.int64)
        self._best = state.best
        self.held = state.held
        self._window = deque(state.window)
        self._in_window = sum(events for _, events in state.window)
        self.probabilities = self._softmax()

    def best(self) -> int:
        """Return the class with most evidence, sure or not; before quiet, when it is quiet now.

        NOTHING when there has never been any evidence.
        """
        return self._best

    def turn(self, events: int) -> Turn:
        """Let the network take every step."""
        return "step"

    def finish(self, t_us: int) -> Decision | None:
        """Nothing is held back for the end."""
        return None

    def update(self, y: NDArray[np.int32] | None, events: int, t_us: int) -> Decision | None:
        """Take one step: y, int32 (classes,); events that the encoder used; t_us: the step's end.

        Returns the decision when it changes, else None. Its latency_us is 0: the readout knows no
        host time; whoever does fills it in.
        """
        assert y is not None, "the network takes every step"
        before = self.held
        if self._quiet(events, t_us):
            self._evidence[:] = 0
            self.probabilities = self._softmax()
            if before.index != NOTHING:
                self.held = Decision(t_us, NOTHING, self.nothing, 1.0, 0.0)
        else:
            self._evidence += y - (self._evidence >> self._spec.decay_shift)
            self.probabilities = self._softmax()
            self._weigh(t_us)
        return self.held if self.held.index != before.index else None

    def _weigh(self, t_us: int) -> None:
        ahead = int(self._evidence.argmax())
        if self._evidence[ahead] or self._evidence.any():
            self._best = ahead
        best = int(self.probabilities.argmax())
        confidence = float(self.probabilities[best])
        held = self.held.index
        if best != held and self._enough(confidence):
            self.held = Decision(t_us, best, self._spec.labels[best], confidence, 0.0)
        elif held != NOTHING and self.probabilities[held] < self._spec.leave:
            self.held = Decision(t_us, NOTHING, self.nothing, 1.0 - confidence, 0.0)

    def _enough(self, confidence: float) -> bool:
        if self._rule.kind != "margin":
            return confidence >= self._spec.enter
        return lead(self.probabilities) >= self._rule.margin

    def _quiet(self, events: int, t_us: int) -> bool:
        self._window.append((t_us, events))
        self._in_window += events
        while self._window[0][0] <= t_us - self._spec.quiet_us and len(self._window) > 1:
            self._in_window -= self._window.popleft()[1]
        return self._in_window < self._spec.quiet_events

    def _softmax(self) -> NDArray[np.float64]:
        # The ufuncs themselves: the methods of arrays are Python on the way to them.
        scores = (self._evidence - np.maximum.reduce(self._evidence)) / self._spec.scale
        weights = np.exp(scores)
        return np.asarray(weights / np.add.reduce(weights), np.float64)
