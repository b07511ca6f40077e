"""What every readout must do; `decide/test_readouts_contract.py` runs it on each."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgesnn.decide.decision import NOTHING, Decision
from edgesnn.decide.evidence import ReadoutSpec
from edgesnn.decide.motion import DIRECTIONS, TURNS, MotionSpec
from edgesnn.decide.readouts import AnyReadout, open_readout
from edgesnn.decide.spotting import SpottingSpec
from edgesnn.decide.trial import TrialSpec

LABELS = ("a", "b", "c")
SPECS: dict[str, Any] = {
    "evidence": ReadoutSpec(LABELS, 3.0, 3, 0.7, 0.4, 5, 50_000),
    "spotting": SpottingSpec(
        LABELS, 20.0, 5, 30_000, 30_000, 40_000, 20_000, 10_000, 500_000, 100_000, 0.5
    ),
    "trial": TrialSpec(LABELS, steps=6, population=4, scale=3.0, rest_steps=1),
    "motion": MotionSpec((*DIRECTIONS, *TURNS), 0.02, 0.05, 0.02, 4, 2, 0.5, 0.3),
}
"""A spec of each kind, with the same labels where these are free."""
STEP_US = 10_000
Steps = list[tuple[np.ndarray, int]]


def steps(kind: str, count: int = 240, seed: int = 0) -> Steps:
    """Return (y, events) of a run: bursts in which one class leads, and silence between them."""
    rng = np.random.default_rng(seed)
    made: Steps = []
    while len(made) < count:
        leader = int(rng.integers(3))
        for _ in range(int(rng.integers(5, 20))):
            made.append((output(kind, leader, rng), int(rng.integers(8, 20))))
        made += [(silence(kind), 0)] * int(rng.integers(5, 25))
    return made[:count]


def output(kind: str, leader: int, rng: np.random.Generator) -> np.ndarray:
    """Return an output in which a class leads, more or less."""
    if kind == "motion":
        y = rng.integers(-20, 21, (4, 6, 8))
        y[:2] += (np.array([[50, 0], [0, 50], [-50, 0]])[leader])[:, None, None]
        y[3] = rng.integers(0, 3, (6, 8))
        return y.astype(np.int32)
    y = rng.integers(0, 2, 3)
    y[leader] += int(rng.integers(0, 3))
    return y.astype(np.int32)


def silence(kind: str) -> np.ndarray:
    """Return what the network gives when nothing is there."""
    return np.zeros((4, 6, 8) if kind == "motion" else 3, np.int32)


def played(readout: AnyReadout, given: Steps, first: int = 0) -> list[Decision]:
    """Return what a readout decides; the network is heard where the readout asks for it."""
    told = []
    for number, (y, events) in enumerate(given, start=first + 1):
        rested = readout.turn(events) == "skip"
        told.append(readout.update(None if rested else y, events, number * STEP_US))
    return [decision for decision in told if decision is not None]


def check_it_begins_with_nothing(kind: str) -> None:
    """Nothing is held, nothing is ahead, and silence changes neither."""
    readout = open_readout(SPECS[kind])
    assert readout.held.index == NOTHING and readout.held.label == readout.nothing
    assert readout.best() == NOTHING
    assert played(readout, [(silence(kind), 0)] * 30) == []


def check_decisions_are_whole(kind: str) -> None:
    """Something is decided; labels, confidence and times are what they say; p is a distribution."""
    readout = open_readout(SPECS[kind])
    told = played(readout, steps(kind))
    assert len(told) > 3 and len({decision.index for decision in told} - {NOTHING}) > 1
    for decision in told:
        wanted = (
            readout.nothing if decision.index == NOTHING else SPECS[kind].labels[decision.index]
        )
        assert decision.label == wanted
        assert 0 <= decision.confidence <= 1 and decision.t_us % STEP_US == 0
    times = [decision.t_us for decision in told]
    assert times == sorted(times)
    assert readout.probabilities.shape == (len(SPECS[kind].labels),)
    assert np.isclose(readout.probabilities.sum(), 1)


def check_replay_decides_the_same(kind: str) -> None:
    """A second readout, and the same one after a reset, decide the same at the same times."""
    readout = open_readout(SPECS[kind])
    first = played(readout, steps(kind))
    readout.reset()
    assert played(readout, steps(kind)) == first == played(open_readout(SPECS[kind]), steps(kind))


def check_a_snapshot_goes_on_anywhere(kind: str) -> None:
    """Taken at any step, and restored into another readout of the same spec."""
    given, whole = steps(kind), open_readout(SPECS[kind])
    wanted = played(whole, given)
    for cut in (1, 7, 20, 55):
        first: Any = open_readout(SPECS[kind])
        before = played(first, given[:cut])
        second: Any = open_readout(SPECS[kind])
        second.restore(first.snapshot())
        assert before + played(second, given[cut:], cut) == wanted


def check_the_policy_is_one_sentence(kind: str) -> None:
    """For a graph that stands alone."""
    policy = SPECS[kind].policy()
    assert policy and "\n" not in policy
