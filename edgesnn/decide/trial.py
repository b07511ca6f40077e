"""The readout of networks whose neurons fire once: one trial, one answer, as early as it is sure.

A trial is `steps` steps long and starts at the first step with enough events; the network is reset
before it. The output counts how many of the P neurons of each class fire in step t; an early spike
weighs more (temporal weighting decoding; Che et al., arXiv 2410.23619, with weights of our own):

    y_c[t] = y_c[t-1] + a[t] n_c[t]    a[t] = last + T - 1 - t; the largest y_c at the end is the
    N_c[t] = N_c[t-1] + n_c[t]         answer, of equal ones that of the first class

Exact exit. Every neuron fires at most once and a decreases, so after step t class c can gain from 0
to a[t+1] (P - N_c[t]), and every value at these two ends is reached by some future in which the
other classes do as they like. So the answer b is final if and only if, for every other class c,

    y_c + a[t+1] (P - N_c) < y_b,   or equal and b comes before c.

After the exit the network is not stepped until the trial's time is over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesnn.decide.decision import NOTHING, Decision, Turn
from edgesnn.decide.exit_rule import EXACT, ExitRule, lead


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """labels: name of each class. steps: T. population: P, neurons per class. last: weight of the
    last step, from 1 on.

    scale: score units per nat (for the confidence shown, not for the answer). start_events: of a
    step that begins a trial. rest_steps: after a trial, in which none begins: what is left of a
    recording that is a little longer than a trial is no second one.
    """

    labels: tuple[str, ...]
    steps: int
    population: int
    scale: float
    start_events: int = 1
    last: int = 1
    rest_steps: int = 0

    def policy(self) -> str:
        """Say in one sentence how outputs become decisions, for a graph that stands alone."""
        return (
            f"reset; score += ({self.last + self.steps - 1} - t) * y for t = 0 to "
            f"{self.steps - 1}; "
            f"argmax; final once no class can catch up, each gaining at most (next weight) * "
            f"({self.population} - its sum of y); none begins in the {self.rest_steps} "
            "steps after"
        )


@dataclass(frozen=True, slots=True)
class TrialState:
    """Everything a trial readout remembers; see `TrialReadout.snapshot`."""

    scores: tuple[int, ...]
    fired: tuple[int, ...]
    at: int
    answered: bool
    best: int
    held: Decision
    resting: int = 0


def is_final(
    scores: NDArray[np.int64], fired: NDArray[np.int64], *, next_weight: int, population: int
) -> bool:
    """Whether no future of a trial changes its answer; see the module's head.

    scores, fired: y and N, (classes,). next_weight: a of the next step, 0 after the last.
    """
    best = int(scores.argmax())
    reach = scores + next_weight * (population - fired)
    rivals = np.arange(len(scores)) != best
    later = np.arange(len(scores)) > best
    return bool((~rivals | (reach < scores[best]) | (later & (reach == scores[best]))).all())


class TrialReadout:
    """Decides trial by trial for one stream; see `edgesnn.decide.readouts.AnyReadout`.

    held: the last answer. probabilities: float64 (classes,). at: steps of the open trial so far
    (0 between trials).
    """

    answers = True

    def __init__(self, spec: TrialSpec, *, rule: ExitRule = EXACT) -> None:
        """Wait for the first trial."""
        self._spec = spec
        self._rule = rule
        self.nothing = "nothing seen"
        self.reset()

    def reset(self) -> None:
        """Forget everything, also the answer."""
        zeros = (0,) * len(self._spec.labels)
        held = Decision(0, NOTHING, self.nothing, 1.0, 0.0)
        self.restore(TrialState(zeros, zeros, 0, False, NOTHING, held))

    def snapshot(self) -> TrialState:
        """Return what `restore` needs to go on from here."""
        scores, fired = tuple(self._scores.tolist()), tuple(self._fired.tolist())
        return TrialState(
            scores, fired, self.at, self._answered, self._best, self.held, self._resting
        )

    def restore(self, state: TrialState) -> None:
        """Go on from a snapshot of a readout of the same spec."""
        self._scores = np.array(state.scores, np.int64)
        self._fired = np.array(state.fired, np.int64)
        self.at, self._answered, self._best = state.at, state.answered, state.best
        self.held, self._resting = state.held, state.resting
        self.probabilities = self._softmax()

    def best(self) -> int:
        """Return the class ahead in this trial, else the last answer; NOTHING before any spike."""
        return self._best

    def turn(self, events: int) -> Turn:
        """Say what the network shall do with a step that holds so many events; call before it."""
        if self.at == 0:
            begins = not self._resting and events >= self._spec.start_events
            return "reset" if begins else "skip"
        return "skip" if self._answered else "step"

    def update(self, y: NDArray[np.int32] | None, events: int, t_us: int) -> Decision | None:
        """Take one step: y, int32 (classes,), None when the network rested; t_us: the step's end.

        Returns the answer in the step that gives it, else None (latency_us is 0, see Readout).
        """
        if y is None and self.at == 0:
            self._resting = max(0, self._resting - 1)
            return None
        if self.at == 0:
            self._scores[:], self._fired[:], self._answered = 0, 0, False
        weight = self._spec.last + self._spec.steps - 1 - self.at
        self.at += 1
        answer = None
        if y is not None:
            self._scores += weight * y.astype(np.int64)
            self._fired += y
            if self._scores.any():
                self._best = int(self._scores.argmax())
            self.probabilities = self._softmax()
            over = self.at == self._spec.steps
            if over or self._sure(weight - 1):
                answer = self._answer(t_us)
        if self.at == self._spec.steps:
            self.at, self._resting = 0, self._spec.rest_steps
        return answer

    def finish(self, t_us: int) -> Decision | None:
        """End of the input: answer a trial that was cut short. Silence would change nothing."""
        answer = None if self.at == 0 or self._answered else self._answer(t_us)
        self.at = self._resting = 0
        return answer

    def _sure(self, next_weight: int) -> bool:
        if self._rule.kind == "never":
            return False
        if self._rule.kind == "exact":
            population = self._spec.population
            return is_final(
                self._scores, self._fired, next_weight=next_weight, population=population
            )
        whole = (self._spec.last + self._spec.steps - 1) * self._spec.population
        return bool(self._scores.max() > 0 and lead(self._scores) >= self._rule.margin * whole)

    def _answer(self, t_us: int) -> Decision:
        self._answered = True
        if self._scores.any():
            best = int(self._scores.argmax())
            label, confidence = self._spec.labels[best], float(self.probabilities[best])
        else:
            best, label, confidence = NOTHING, self.nothing, 1.0
        self.held = Decision(t_us, best, label, confidence, 0.0, self.at, self._spec.steps)
        return self.held

    def _softmax(self) -> NDArray[np.float64]:
        weights = np.exp((self._scores - self._scores.max()) / self._spec.scale)
        return np.asarray(weights / weights.sum(), np.float64)
