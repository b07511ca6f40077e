"""The exact exit: proven against every future of small trials, and random ones of larger."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesnn.decide.decision import NOTHING
from edgesnn.decide.exit_rule import EXACT, NEVER, ExitRule, exit_rule
from edgesnn.decide.trial import TrialReadout, TrialSpec, is_final
from edgesnn.errors import InputError


def spec(classes: int, steps: int, population: int) -> TrialSpec:
    return TrialSpec(tuple("abcdefghij"[:classes]), steps, population, scale=1.0)


def answer(spec: TrialSpec, rule: ExitRule, outputs: NDArray[np.int64]) -> tuple[int, int]:
    """Return (class, step) of the first decision."""
    readout = TrialReadout(spec, rule=rule)
    for t, y in enumerate(outputs):
        decision = readout.update(y.astype(np.int32), 1, t + 1)
        if decision is not None:
            assert decision.exit_step == t + 1 and decision.window_steps == spec.steps
            return decision.index, t + 1
    raise AssertionError("no answer")


def trials(classes: int, steps: int, population: int) -> list[NDArray[np.int64]]:
    """Every trial: each neuron fires in one of the steps, or never."""
    times = itertools.product(range(steps + 1), repeat=classes * population)
    found = {}
    for spikes in times:
        counts = np.zeros((steps, classes), np.int64)
        for neuron, t in enumerate(spikes):
            if t < steps:
                counts[t, neuron // population] += 1
        found[counts.tobytes()] = counts
    return list(found.values())


@pytest.mark.parametrize(("classes", "steps", "population"), [(2, 3, 2), (3, 3, 1), (3, 2, 2)])
def test_the_exact_exit_is_final_exactly_when_no_future_differs(
    classes: int, steps: int, population: int
) -> None:
    """Exhaustive: the readout stops at the first step after which all futures answer alike."""
    rules = spec(classes, steps, population)
    every = trials(classes, steps, population)
    full = [answer(rules, NEVER, t)[0] for t in every]
    for trial in every:
        found, at = answer(rules, EXACT, trial)
        for step in range(1, steps + 1):
            futures = {
                end
                for other, end in zip(every, full, strict=True)
                if np.array_equal(other[:step], trial[:step])
            }
            # NOTHING (no spike at all) and the first class are told apart only at the end.
            if len(futures) == 1 or futures == {NOTHING}:
                assert at <= step and {found} == futures
                break
            assert at > step


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_exact_exit_never_changes_the_answer(seed: int) -> None:
    """Random trials of the shipped size, most of them with close rivals."""
    rng = np.random.default_rng(seed)
    rules = spec(10, 6, 16)
    chance = rng.dirichlet([1.0] * 7, size=10)
    counts = np.stack([rng.multinomial(16, p)[:6] for p in chance], axis=1)
    if seed % 2:
        counts[:, 3] = np.roll(counts[:, 7], 1)
    found, at = answer(rules, EXACT, counts)
    assert found == answer(rules, NEVER, counts)[0] and at <= 6


def test_the_bound_by_hand() -> None:
    """T = 3, P = 4. Class 0 fires whole at once: 12; class 1 could reach 4 x 2 = 8."""
    fired = np.array([4, 0])
    assert is_final(np.array([12, 0]), fired, next_weight=2, population=4)
    # Two of its neurons: 6 against 8.
    assert not is_final(np.array([6, 0]), np.array([2, 0]), next_weight=2, population=4)
    # A tie goes to the first class: final for class 0, not for class 1.
    assert is_final(np.array([8, 0]), fired, next_weight=2, population=4)
    assert not is_final(np.array([0, 8]), np.array([0, 4]), next_weight=2, population=4)
    assert is_final(np.array([1, 0]), np.array([1, 0]), next_weight=0, population=4)


def test_a_trial_from_start_to_rest() -> None:
    rules = TrialSpec(("no", "yes"), steps=3, population=2, scale=1.0, start_events=5)
    readout = TrialReadout(rules)
    yes, silent = (np.array(y, np.int32) for y in ([0, 2], [0, 0]))
    assert readout.turn(4) == "skip" and readout.update(None, 4, 10) is None
    assert readout.turn(5) == "reset"
    # 0 + 3 x 2 = 6 for yes after one step; no can still reach 2 x 2 = 4.
    decision = readout.update(yes, 5, 20)
    assert decision is not None and (decision.label, decision.exit_step) == ("yes", 1)
    assert readout.held is decision and readout.best() == 1
    for t_us in (30, 40):
        assert readout.turn(9) == "skip" and readout.update(None, 9, t_us) is None
    assert readout.at == 0 and readout.turn(9) == "reset"
    both = np.array([1, 1], np.int32)
    assert readout.update(silent, 9, 50) is None and readout.turn(0) == "step"
    assert readout.update(both, 0, 60) is None  # 2 each; yes can still reach 2 + 1 x 1
    last = readout.update(silent, 0, 70)
    assert last is not None and (last.label, last.exit_step, last.t_us) == ("no", 3, 70)


def test_what_is_left_of_a_recording_is_no_second_trial() -> None:
    rules = TrialSpec(("no", "yes"), steps=2, population=2, scale=1.0, rest_steps=2)
    readout, y = TrialReadout(rules, rule=NEVER), np.array([0, 1], np.int32)
    turns = []
    for t in range(10):
        turns.append(readout.turn(9))
        readout.update(None if turns[-1] == "skip" else y, 9, t)
        kept = readout.snapshot()
        readout.reset()
        readout.restore(kept)
    assert turns == [
        "reset",
        "step",
        "skip",
        "skip",
        "reset",
        "step",
        "skip",
        "skip",
        "reset",
        "step",
    ]


def test_a_trial_that_is_cut_short_is_answered_at_the_end() -> None:
    readout = TrialReadout(spec(2, 4, 2), rule=NEVER)
    assert readout.finish(5) is None
    readout.update(np.array([0, 1], np.int32), 1, 10)
    decision = readout.finish(10)
    assert decision is not None and decision.index == 1 and decision.exit_step == 1
    assert readout.finish(20) is None


def test_a_trial_that_was_answered_is_over_at_the_end() -> None:
    """What comes then is another recording: its first step begins a trial."""
    readout = TrialReadout(spec(2, 4, 2), rule=EXACT)
    assert readout.update(np.array([0, 2], np.int32), 1, 10) is not None and readout.at == 1
    assert readout.finish(10) is None and readout.turn(1) == "reset"
    waiting = TrialReadout(replace(spec(2, 1, 2), rest_steps=3))
    waiting.update(np.array([0, 2], np.int32), 1, 10)
    assert waiting.turn(1) == "skip"
    waiting.finish(10)
    assert waiting.turn(1) == "reset"


def test_a_single_class_leads_by_all_it_has() -> None:
    outputs = np.array([[1], [0]])
    assert answer(spec(1, 2, 1), ExitRule("margin", 0.5), outputs) == (0, 1)


def test_a_trial_without_a_spike_says_so() -> None:
    readout = TrialReadout(spec(2, 2, 2))
    assert readout.update(np.zeros(2, np.int32), 1, 10) is None
    decision = readout.update(np.zeros(2, np.int32), 0, 20)
    assert decision is not None and decision.index == NOTHING and decision.label == "nothing seen"


def test_a_snapshot_goes_on_in_the_middle_of_a_trial() -> None:
    rng = np.random.default_rng(1)
    outputs = rng.integers(0, 3, (6, 3)).astype(np.int32)
    one, other = TrialReadout(spec(3, 6, 20), rule=NEVER), TrialReadout(spec(3, 6, 20), rule=NEVER)
    for t in range(3):
        one.update(outputs[t], 1, t)
    other.restore(one.snapshot())
    for t in range(3, 6):
        assert one.update(outputs[t], 1, t) == other.update(outputs[t], 1, t)
    assert one.held == other.held and one.held.index >= 0


def test_a_margin_is_a_share_of_the_whole_score() -> None:
    """T P = 8: a lead of 4 is 0.5."""
    outputs = np.array([[1, 0], [0, 0], [1, 0], [0, 0]])
    assert answer(spec(2, 4, 2), ExitRule("margin", 0.5), outputs) == (0, 1)
    assert answer(spec(2, 4, 2), ExitRule("margin", 0.7), outputs) == (0, 3)
    assert answer(spec(2, 4, 2), ExitRule("margin", 1.0), outputs) == (0, 4)


@pytest.mark.parametrize("text", ["exact", "never", "margin:0", "margin:0.25", "margin:1"])
def test_rules_are_read_as_they_are_told(text: str) -> None:
    assert str(exit_rule(text)) == text


@pytest.mark.parametrize(
    "text", ["", "soon", "margin", "margin:", "margin:2", "margin:-1", "exact:1"]
)
def test_other_rules_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no exit rule; give exact, margin:X with X from"):
        exit_rule(text)
