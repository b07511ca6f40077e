"""Words in a stream: each told once, at its end or sooner, and rest in between."""

from __future__ import annotations

import numpy as np
import pytest

from edgesnn.decide.decision import NOTHING, Decision
from edgesnn.decide.evidence import ReadoutSpec
from edgesnn.decide.exit_rule import EXACT, ExitRule
from edgesnn.decide.readouts import open_readout
from edgesnn.decide.spotting import Spotter, SpottingSpec
from edgesnn.errors import InputError

STEP = 10_000
SPEC = SpottingSpec(
    labels=("yes", "no", "unknown"),
    scale=10.0,
    voice_events=20,
    window_us=50_000,
    lead_us=100_000,
    hang_us=100_000,
    trail_us=50_000,
    least_us=100_000,
    most_us=1_000_000,
    hold_us=200_000,
    enter=0.6,
)
Step = tuple[list[int], int]
QUIET: Step = ([0, 0, 0], 0)
YES, NO, BOTH = (([3, 0, 0], 10), ([0, 3, 0], 10), ([1, 1, 0], 10))


def told(spotter: Spotter, steps: list[Step], start: int = 0) -> list[Decision]:
    found = []
    for i, (y, events) in enumerate(steps, start=start + 1):
        spotter.turn(events)
        found.append(spotter.update(np.array(y, np.int32), events, i * STEP))
    return [decision for decision in found if decision is not None]


def brief(decisions: list[Decision]) -> list[tuple[str, int]]:
    return [(d.label, d.t_us // STEP) for d in decisions]


def test_each_word_is_told_once_when_it_is_over() -> None:
    """A word of 30 steps; 10 quiet ones end it, and its last events stay in the window for 4."""
    stream = [QUIET] * 20 + [YES] * 30 + [QUIET] * 50 + [NO] * 30 + [QUIET] * 50
    found = told(Spotter(SPEC), stream)
    assert brief(found) == [
        ("yes", 20 + 30 + 3 + 10),
        ("silence", 20 + 30 + 3 + 10 + 20),
        ("no", 100 + 30 + 3 + 10),
        ("silence", 100 + 30 + 3 + 10 + 20),
    ]


def test_the_network_rests_after_each_word() -> None:
    spotter, turns = Spotter(SPEC), []
    for i, (y, events) in enumerate([YES] * 20 + [QUIET] * 40):
        turns.append(spotter.turn(events))
        spotter.update(np.array(y, np.int32), events, (i + 1) * STEP)
    assert [i for i, turn in enumerate(turns) if turn == "reset"] == [0, 20 + 3 + 10]
    assert set(turns) == {"reset", "step"}


def test_what_was_too_quiet_before_the_voice_counts() -> None:
    """lead: ten steps of evidence with one event each, before the voice begins."""
    faint: Step = ([0, 8, 0], 1)
    stream = [faint] * 30 + [YES] * 12 + [QUIET] * 40
    assert brief(told(Spotter(SPEC), stream))[0][0] == "no"
    assert brief(told(Spotter(SPEC), [QUIET] * 30 + stream[30:]))[0][0] == "yes"


def test_unsure_short_and_endless_sounds_are_unknown() -> None:
    for sound in ([BOTH] * 30, [YES] * 3, [YES] * 300):
        found = brief(told(Spotter(SPEC), [QUIET] * 20 + sound + [QUIET] * 40))
        assert [label for label, _ in found] == ["unknown", "silence"]


def test_a_margin_tells_early_and_only_once() -> None:
    """Evidence 3 a step, scale 10: p leads by 0.5 from a difference of 14 on (and 10 steps)."""
    spotter = Spotter(SPEC, rule=ExitRule("margin", 0.5))
    found = told(spotter, [QUIET] * 20 + [YES] * 40 + [QUIET] * 40)
    label, at = brief(found)[0]
    assert label == "yes" and 30 <= at < 40
    assert [d.label for d in found] == ["yes", "silence"]


def test_after_an_early_answer_the_network_rests_until_the_next_word() -> None:
    spotter = Spotter(SPEC, rule=ExitRule("margin", 0.5))
    turns, found = [], []
    for i, (y, events) in enumerate([YES] * 40 + [QUIET] * 40 + [NO] * 20, start=1):
        turns.append(spotter.turn(events))
        rested = turns[-1] == "skip"
        decision = spotter.update(None if rested else np.array(y, np.int32), events, i * STEP)
        found += [] if decision is None else [decision]
    first = brief(found)[0][1]
    ends = 40 + 3 + 10
    assert turns == (
        ["reset", *["step"] * (first - 1), *["skip"] * (ends - first), "reset"] + turns[ends + 1 :]
    )
    assert [d.label for d in found] == ["yes", "silence", "no"]


def test_the_end_of_the_input_ends_a_word() -> None:
    spotter = Spotter(SPEC)
    assert told(spotter, [YES] * 20) == []
    last = spotter.finish(21 * STEP)
    assert last is not None and last.label == "yes" and spotter.finish(22 * STEP) is None


def test_quiet_events_never_begin_a_word() -> None:
    assert told(Spotter(SPEC), [([9, 0, 0], 3)] * 500) == []
    spotter = Spotter(SPEC)
    assert spotter.held.index == NOTHING and spotter.held.label == "silence"
    assert spotter.best() == NOTHING


def test_a_snapshot_goes_on_in_the_middle_of_a_word() -> None:
    stream = [QUIET] * 20 + [YES] * 30 + [QUIET] * 40 + [NO] * 30 + [QUIET] * 30
    for cut in (10, 25, 40, 55, 70, 110):
        one, other = Spotter(SPEC), Spotter(SPEC)
        told(one, stream[:cut])
        other.restore(one.snapshot())
        assert told(one, stream[cut:], cut) == told(other, stream[cut:], cut)
        assert np.array_equal(one.probabilities, other.probabilities)


def test_an_endless_stream_has_no_exact_exit() -> None:
    evidence = ReadoutSpec(("a", "b"), 1.0, 5, 0.8, 0.4, 1, 1000)
    for endless in (SPEC, evidence):
        with pytest.raises(InputError, match="--exit exact needs a trial with an end"):
            open_readout(endless, EXACT)
        assert open_readout(endless, ExitRule("margin", 0.5)).held.index == NOTHING
