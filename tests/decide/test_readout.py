import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesnn.decide.decision import NOTHING
from edgesnn.decide.evidence import Readout, ReadoutSpec
from edgesnn.decide.exit_rule import ExitRule

STEP = 10_000


def spec(**changes) -> ReadoutSpec:
    values = dict(
        labels=("wave", "clap", "roll"),
        scale=100.0,
        decay_shift=2,
        enter=0.8,
        leave=0.5,
        quiet_events=10,
        quiet_us=3 * STEP,
        nothing="no gesture",
    )
    return ReadoutSpec(**{**values, **changes})


def play(readout: Readout, *steps: tuple[list[int], int]) -> list[tuple[int, int]]:
    """Feed (y, events) per step, from time 0; return (t_us, index) of each change."""
    changes = []
    for number, (y, events) in enumerate(steps, 1):
        change = readout.update(np.array(y, np.int32), events, number * STEP)
        if change is not None:
            changes.append((change.t_us, change.index))
    return changes


def test_a_single_class_leads_by_all_it_has():
    spec = ReadoutSpec(("only",), 1.0, 3, 0.7, 0.4, 1, 100)
    decision = Readout(spec, rule=ExitRule("margin", 0.5)).update(np.array([3], np.int32), 5, 10)
    assert decision.label == "only"


def test_it_starts_with_nothing():
    readout = Readout(spec())
    assert (readout.held.index, readout.held.label) == (NOTHING, "no gesture")
    assert readout.probabilities.tolist() == pytest.approx([1 / 3] * 3)
    assert readout.best() == NOTHING


def test_evidence_leaks_and_adds_up_exactly():
    readout = Readout(spec(scale=1.0))
    for y, evidence in [(100, 100), (100, 175), (-7, 125), (0, 94), (-1000, -929), (0, -696)]:
        readout.update(np.array([y, 0, 0], np.int32), 99, STEP)
        assert readout.snapshot().evidence == (evidence, 0, 0)


def test_probabilities_are_the_softmax_of_evidence_over_scale():
    readout = Readout(spec())
    readout.update(np.array([100, 0, -100], np.int32), 99, STEP)
    total = math.e + 1 + 1 / math.e
    expected = [math.e / total, 1 / total, 1 / math.e / total]
    assert readout.probabilities.tolist() == pytest.approx(expected)


def test_huge_scores_do_not_overflow():
    readout = Readout(spec(scale=1e-3))
    readout.update(np.array([2**31 - 1, -(2**31), 0], np.int32), 99, STEP)
    assert readout.probabilities.tolist() == [1.0, 0.0, 0.0]


def test_it_decides_on_the_first_step_that_is_sure():
    readout = Readout(spec())
    steps = [([100, 0, 0], 99)] * 5  # evidence 100, 175, 232: p = 0.58, 0.74, 0.84
    assert play(readout, *steps) == [(3 * STEP, 0)]
    held = readout.held
    assert (held.label, held.index, held.latency_us) == ("wave", 0, 0.0)
    # exp(2.32) / (exp(2.32) + 2)
    assert held.confidence == pytest.approx(0.836, abs=0.001)


def test_enter_is_reached_by_equality():
    half = Readout(spec(labels=("a", "b"), enter=0.5))
    assert play(half, ([0, 0], 99)) == [(STEP, 0)]


def test_another_class_takes_over_without_a_pause():
    readout = Readout(spec())
    assert play(readout, ([300, 0, 0], 99), ([0, 900, 0], 99)) == [(STEP, 0), (2 * STEP, 1)]


def test_a_decision_is_held_between_leave_and_enter_and_given_up_below_leave():
    readout = Readout(spec())
    sure, less, unsure = [300, 0, 0], [-125, 0, 0], [-100, 0, 0]
    # evidence 300, 100, -25: p = 0.91, 0.58, 0.28
    changes = play(readout, (sure, 99), (less, 99), (unsure, 99))
    assert changes == [(STEP, 0), (3 * STEP, NOTHING)]
    assert readout.held.label == "no gesture"
    assert readout.held.confidence == pytest.approx(1 - readout.probabilities.max())


def test_quiet_gives_the_decision_up_and_forgets_the_evidence():
    readout = Readout(spec())
    sure, silence = ([300, 0, 0], 9), ([0, 0, 0], 0)
    assert play(readout, sure, sure, silence, silence, silence) == [
        (2 * STEP, 0),  # 9 events are quiet, 18 are not
        (4 * STEP, NOTHING),  # in the last three steps: 9
    ]
    assert readout.held.confidence == 1.0
    assert readout.snapshot().evidence == (0, 0, 0)
    assert readout.best() == 0  # what it was before the quiet


def test_quiet_looks_at_the_last_quiet_us_only():
    readout = Readout(spec())
    burst, some = ([300, 0, 0], 30), ([0, 0, 0], 3)
    # 30, 33, 36, then 9 in three steps
    assert play(readout, burst, some, some, some) == [(STEP, 0), (4 * STEP, NOTHING)]


@pytest.mark.parametrize("quiet_us", [0, 1])
def test_the_newest_step_counts_even_when_steps_are_longer_than_quiet_us(quiet_us):
    readout = Readout(spec(quiet_us=quiet_us))
    assert play(readout, ([300, 0, 0], 10), ([0, 0, 0], 9)) == [(STEP, 0), (2 * STEP, NOTHING)]


def test_best_is_known_without_being_sure():
    readout = Readout(spec())
    play(readout, ([1, 2, 0], 99))
    assert (readout.held.index, readout.best()) == (NOTHING, 1)


def test_best_is_nothing_without_evidence():
    readout = Readout(spec())
    play(readout, ([0, 0, 0], 99))
    assert readout.best() == NOTHING


def test_any_label_may_stand_for_nothing():
    assert Readout(replace(spec(), nothing="no word")).held.label == "no word"


def test_reset_forgets_everything():
    readout = Readout(spec())
    fresh = readout.snapshot()
    play(readout, ([300, 0, 0], 99))
    readout.reset()
    assert readout.snapshot() == fresh
    assert readout.probabilities.tolist() == pytest.approx([1 / 3] * 3)


STEPS = st.lists(
    st.tuples(st.lists(st.integers(-400, 400), min_size=3, max_size=3), st.integers(0, 12)),
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(STEPS, STEPS)
def test_a_restored_readout_goes_on_identically(before, after):
    first, second = Readout(spec()), Readout(spec())
    play(first, *before)
    second.restore(first.snapshot())
    for number, (y, events) in enumerate(after, len(before) + 1):
        scores = np.array(y, np.int32)
        told = [r.update(scores, events, number * STEP) for r in (first, second)]
        assert told[0] == told[1]
        assert first.snapshot() == second.snapshot()
        assert first.probabilities.tolist() == second.probabilities.tolist()


def test_a_snapshot_is_a_copy():
    readout = Readout(spec())
    play(readout, ([300, 0, 0], 99))
    kept = readout.snapshot()
    play(readout, ([300, 0, 0], 99))
    assert kept.evidence == (300, 0, 0)
    readout.restore(kept)
    play(readout, ([0, 0, 0], 99))
    assert kept.evidence == (300, 0, 0)
