"""The readout of spoken words: each word of a stream is told once, when it is over or sooner.

    voice     events of the last `window_us` reach `voice_events`: a word begins (with the steps of
              the last `lead_us`, which were too quiet to tell)
    E         evidence, the sum of the outputs since the word's beginning and up to `trail_us` after
              its last voice: what the delays still bring of it; p = softmax(E / scale)
    end       no voice for `hang_us`: the class with most evidence is told, or "unknown" where its
              p does not reach `enter` or the word did not last from `least_us` to `most_us`
    rest      then the network goes back to its initial state: each word is heard on its own

With the exit rule margin:X a word is told as soon as its p leads by X (and `least_us` have been
heard); what follows up to the end belongs to the same word. Nothing waits for silent steps: when
the voice ends is known `hang_us` later. Event time only: replay gives the same words.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesnn.decide.decision import NOTHING, Decision, Turn
from edgesnn.decide.exit_rule import NEVER, ExitRule, lead


@dataclass(frozen=True, slots=True)
class SpottingSpec:
    """See the module's head. labels: name of each class, the last one "unknown".

    hold_us: how long a told word is shown before it is silent again.
    """

    labels: tuple[str, ...]
    scale: float
    voice_events: int
    window_us: int
    lead_us: int
    hang_us: int
    trail_us: int
    least_us: int
    most_us: int
    hold_us: int
    enter: float

    def policy(self) -> str:
        """Say in one sentence how outputs become decisions, for a graph that stands alone."""
        return (
            f"evidence += y from the word's beginning ({self.voice_events} events in "
            f"{self.window_us} us) to its end (none for {self.hang_us} us); then argmax, "
            f"unknown when softmax(evidence / {self.scale:g}) < {self.enter:g}; reset"
        )


@dataclass(frozen=True, slots=True)
class SpottingState:
    """Everything a spotter remembers; see `Spotter.snapshot`. times are the ends of steps."""

    recent: tuple[tuple[int, int, tuple[int, ...]], ...]
    evidence: tuple[int, ...]
    trailing: tuple[int, ...]
    began_us: int | None
    voice_us: int
    told: bool
    fresh: bool
    best: int
    held: Decision


class Spotter:
    """Decides word by word for one stream; see `edgesnn.decide.readouts.AnyReadout`.

    held: the word told last, or that there is silence. probabilities: float64 (classes,).
    """

    answers = True

    def __init__(self, spec: SpottingSpec, *, rule: ExitRule = NEVER) -> None:
        """Start in silence."""
        self._spec = spec
        self._rule = rule
        self.nothing = "silence"
        self.reset()

    def reset(self) -> None:
        """Forget everything, also the word that is held."""
        zeros = (0,) * len(self._spec.labels)
        held = Decision(0, NOTHING, self.nothing, 1.0, 0.0)
        self.restore(SpottingState((), zeros, zeros, None, 0, False, True, NOTHING, held))

    def snapshot(self) -> SpottingState:
        """Return what `restore` needs to go on from here."""
        recent = tuple((t, n, tuple(y.tolist())) for t, n, y in self._recent)
        return SpottingState(
            recent,
            tuple(self._evidence.tolist()),
            tuple(self._trailing.tolist()),
            self._began_us,
            self._voice_us,
            self._told,
            self._fresh,
            self._best,
            self.held,
        )

    def restore(self, state: SpottingState) -> None:
        """Go on from a snapshot of a spotter of the same spec."""
        self._recent = deque((t, n, np.array(y, np.int64)) for t, n, y in state.recent)
        self._evidence = np.array(state.evidence, np.int64)
        self._trailing = np.array(state.trailing, np.int64)
        self._began_us, self._voice_us = state.began_us, state.voice_us
        self._told, self._fresh, self._best = state.told, state.fresh, state.best
        self.held = state.held
        self.probabilities = self._softmax()

    def best(self) -> int:
        """Return the class with most evidence in this word, or the last; NOTHING before any."""
        return self._best

    def turn(self, events: int) -> Turn:
        """Say what the network shall do with a step that holds so many events; call before it."""
        if self._fresh:
            self._fresh = False
            return "reset"
        # After an early answer nothing that is heard of this word counts; the next one begins anew.
        return "skip" if self._told else "step"

    def update(self, y: NDArray[np.int32] | None, events: int, t_us: int) -> Decision | None:
        """Take one step: y, int32 (classes,); events of the step; t_us: the step's end.

        y: None where the network rested. Returns the decision when it changes: a word, or silence
        after it (latency_us is 0).
        """
        if y is None:
            y = np.zeros(len(self._spec.labels), np.int32)
        self._remember(y, events, t_us)
        voice = self._in_window(t_us) >= self._spec.voice_events
        if voice:
            self._voice_us = t_us
        if self._began_us is None:
            if not voice:
                return self._silent(t_us)
            self._began_us = t_us
            self._evidence = np.sum([old for _, _, old in self._recent], axis=0)
            self._trailing = np.zeros_like(self._evidence)
        else:
            # What comes long after the voice counts only if the voice comes back.
            self._trailing = self._trailing + y
            if t_us - self._voice_us <= self._spec.trail_us:
                self._evidence = self._evidence + self._trailing
                self._trailing = np.zeros_like(self._trailing)
        self.probabilities = self._softmax()
        if self._evidence.any():
            self._best = int(self._evidence.argmax())
        if t_us - self._voice_us >= self._spec.hang_us:
            return self._end(t_us)
        return self._early(t_us)

    def finish(self, t_us: int) -> Decision | None:
        """End of the input: tell a word that was still going on."""
        return None if self._began_us is None else self._end(t_us)

    def _remember(self, y: NDArray[np.int32], events: int, t_us: int) -> None:
        self._recent.append((t_us, events, y.astype(np.int64)))
        oldest = t_us - max(self._spec.lead_us, self._spec.window_us)
        while self._recent[0][0] <= oldest:
            self._recent.popleft()

    def _in_window(self, t_us: int) -> int:
        return sum(n for t, n, _ in self._recent if t > t_us - self._spec.window_us)

    def _silent(self, t_us: int) -> Decision | None:
        if self.held.index == NOTHING or t_us - self.held.t_us < self._spec.hold_us:
            return None
        self.held = Decision(t_us, NOTHING, self.nothing, 1.0, 0.0)
        return self.held

    def _end(self, t_us: int) -> Decision | None:
        assert self._began_us is not None
        long = self._voice_us - self._began_us
        known = self._spec.least_us <= long <= self._spec.most_us
        told, self._told = self._told, False
        self._began_us, self._fresh = None, True
        self._recent.clear()
        return None if told else self._tell(t_us, known)

    def _early(self, t_us: int) -> Decision | None:
        assert self._began_us is not None
        heard = t_us - self._began_us
        if self._told or self._rule.kind != "margin" or heard < self._spec.least_us:
            return None
        if heard > self._spec.most_us or lead(self.probabilities) < self._rule.margin:
            return None
        self._told = True
        return self._tell(t_us, True)

    def _tell(self, t_us: int, known: bool) -> Decision:
        unknown = len(self._spec.labels) - 1
        best = int(self.probabilities.argmax())
        confidence = float(self.probabilities[best])
        index = best if known and confidence >= self._spec.enter else unknown
        self.held = Decision(t_us, index, self._spec.labels[index], confidence, 0.0)
        return self.held

    def _softmax(self) -> NDArray[np.float64]:
        weights = np.exp((self._evidence - self._evidence.max()) / self._spec.scale)
        return np.asarray(weights / weights.sum(), np.float64)
