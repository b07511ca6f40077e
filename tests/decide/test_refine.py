"""Events make motion exact: rough motion becomes the true one, and nothing becomes of nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from moving import SPEC, STEP_US, dots, output_of, seen_by

from edgesnn.decide import refine
from edgesnn.decide.motion import MotionReadout
from edgesnn.decide.motion_field import Motion
from edgesnn.decide.recent import LAST, Recent
from edgesnn.decide.refine import COARSE, FARTHEST, FINE, MOST, refined
from edgesnn.events import empty_events, events_from_arrays, joined_events

GRID = (20, 24)
CELLS_PER_STEP = 2 * 1e6 / STEP_US
"""Of pixels a second, at cells of 2."""


@pytest.fixture(params=["plain", "as it is here"])
def kernels(request, monkeypatch) -> None:
    """NumPy's kernels, and those that were built, where they were."""
    if request.param == "plain":
        monkeypatch.setattr(refine, "_kernel", refine.Plain)


def exact(field, recent, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what becomes of a field of which the network is as sure as not, and the doubt left."""
    found, evidence = refined(field, np.zeros(GRID), recent, rounds, SPEC.slow)
    return found, np.exp(-evidence)


def everywhere(velocity) -> np.ndarray:
    """Return a field of one motion, given in px/s."""
    return np.tile(np.array(velocity, np.float64)[:, None, None], (1, *GRID)) / CELLS_PER_STEP


def errors(found: np.ndarray, true) -> np.ndarray:
    """Return how far the motion of places is off, as shares of the true one, inside the grid."""
    off = np.hypot(*(found - everywhere(true)))[2:-2, 2:-2]
    return off / np.hypot(*true) * CELLS_PER_STEP


@pytest.mark.parametrize("true", [(30, 0), (120, -80), (-250, 90), (0, 500)])
@pytest.mark.parametrize(("longer", "turned"), [(0.7, 0), (1.3, 0), (1, 0.35), (0.8, -0.25)])
def test_rough_motion_becomes_exact(kernels, true, longer, turned) -> None:
    c, s = longer * np.cos(turned), longer * np.sin(turned)
    rough = (c * true[0] - s * true[1], s * true[0] + c * true[1])
    before = np.hypot(rough[0] - true[0], rough[1] - true[1]) / np.hypot(*true)
    found, doubt = exact(everywhere(rough), seen_by(dots(true)), 3)
    assert np.median(errors(found, true)) < 0.25 * before
    once, first = exact(everywhere(rough), seen_by(dots(true)), 1)
    assert np.median(errors(once, true)) < 0.8 * before
    assert first is not None and doubt is not None
    assert np.median(doubt[2:-2, 2:-2]) < 0.8 * np.median(first[2:-2, 2:-2])


@pytest.mark.parametrize("true", [(950, 200), (1300, 0)])
def test_fast_motion_that_is_told_far_off_becomes_exact(kernels, true) -> None:
    """The first of two rounds looks at half a step of it: in a longer time it goes too far."""
    found, _ = exact(everywhere((true[0] - 350, 0)), seen_by(dots(true)), 2)
    assert np.median(errors(found, true)) < 0.05


@pytest.mark.parametrize("true", [(30, 0), (-250, 90)])
def test_exact_motion_stays_and_noise_moves_it_little(kernels, true) -> None:
    for noise, most in ((0, 0.05), (1500, 0.15)):
        found, _ = exact(everywhere(true), seen_by(dots(true, noise=noise)), 2)
        assert np.median(errors(found, true)) < most


def test_two_things_beside_each_other_are_told_apart(kernels) -> None:
    left, right = dots((150, 0), seed=1), dots((0, -150), seed=2)
    both = np.concatenate([left[left["x"] < 48], right[right["x"] >= 48]])
    both = both[np.argsort(both["t"], kind="stable")]
    found, _ = exact(everywhere((90, -90)), seen_by(both), 4)
    for columns, true, most in (
        (slice(2, 9), (150, 0), 40),  # it was 108
        (slice(15, 22), (0, -150), 40),
        (slice(8, 11), (150, 0), 25),  # beside the border; where all pull alike 44 and 59
        (slice(13, 16), (0, -150), 25),
    ):
        off = np.hypot(*(found - everywhere(true))[:, 2:-2, columns]) * CELLS_PER_STEP
        assert np.median(off) < most


def line_beside_dots(true: tuple[float, float]) -> np.ndarray:
    """Return events of an upright edge on the right, and of dots on the left, which move alike."""
    left = dots(true)
    left = left[left["x"] < 64]
    t = np.arange(0, LAST * STEP_US, 100)
    x = np.floor(72 + true[0] * t * 1e-6)
    new = np.flatnonzero(np.diff(x)) + 1
    y = np.tile(np.arange(80), len(new))
    edge = events_from_arrays(*(np.repeat(one, 80) for one in (t[new], x[new])), y, y * 0 + 1)
    both = np.concatenate([left, edge])
    return both[np.argsort(both["t"], kind="stable")]


def test_an_edge_goes_along_with_what_is_around_it(kernels) -> None:
    """Alone it tells nothing of how it moves along itself, and stays with what was told."""
    true, events = (100, 60), line_beside_dots((100, 60))
    found, _ = exact(everywhere((100, -20)), seen_by(events), 3)
    at_edge = found[:, 4:-4, 17:21] * CELLS_PER_STEP
    assert np.median(at_edge[0]) == pytest.approx(true[0], rel=0.1)
    assert np.median(at_edge[1]) > 35  # without what is around: -10
    once, _, _ = refine._kernel().moved(
        seen_by(events).thinned(10**6),
        everywhere((100, -20)).astype(np.float32),
        COARSE,
        SPEC.slow,
    )
    assert np.median(once[1, 4:-4, 17:21]) * CELLS_PER_STEP > -10
    alone, _ = exact(everywhere((100, -20)), seen_by(events[events["x"] >= 66]), 3)
    at_edge = alone[:, 4:-4, 17:21] * CELLS_PER_STEP
    assert np.median(at_edge[1]) == pytest.approx(-20, abs=8)


def test_without_events_motion_is_as_it_was_told(kernels) -> None:
    field = everywhere((100, 20))
    evidence = np.ones(GRID)
    for recent, rounds in (
        (Recent(), 2),
        (seen_by(empty_events()), 2),
        (seen_by(dots((90, 0))), 0),
    ):
        found = refined(field, evidence, recent, rounds, SPEC.slow)
        assert found[0] is field and found[1] is evidence


def test_places_without_events_stay_as_they_were_told(kernels) -> None:
    events = dots((90, 0))
    field, evidence = everywhere((60, 0)), np.full(GRID, 1.5)
    part = seen_by(events[events["x"] < 24])  # six places wide; the Gaussian goes six more
    found, sure = refined(field, evidence, part, 2, SPEC.slow)
    assert np.array_equal(found[:, :, 13:], field[:, :, 13:].astype(np.float32))
    assert np.array_equal(sure[:, 13:], evidence[:, 13:]) and (sure[:, :5] != 1.5).all()


@pytest.mark.parametrize("count", [2_000, 8_000, 40_000])
def test_noise_is_alike_nothing_however_much_it_is(kernels, count) -> None:
    field = everywhere((60, 0))
    found, doubt = exact(field, seen_by(dots((0, 0), noise=count)), 2)
    assert np.abs(found - field).max() < 0.035 and np.median(doubt) > 0.2
    _, known = exact(field, seen_by(dots((60, 0))), 2)
    assert np.median(known) < 0.6 * np.median(doubt)


def test_events_at_one_time_or_at_one_pixel_move_nothing(kernels) -> None:
    still = everywhere((0, 0))
    events = dots((200, 0))
    events["t"] = LAST * STEP_US - 1
    assert np.abs(exact(still, seen_by(events), 2)[0]).max() < 0.05
    hot = dots((200, 0))
    hot["x"], hot["y"] = 40, 30
    assert np.abs(exact(still, seen_by(hot), 2)[0]).max() < 0.02


@pytest.mark.parametrize("kind", [COARSE, FINE])
def test_a_round_moves_pictures_no_farther_than_that(kernels, kind) -> None:
    """Two halves of a time T lie T / 2 apart."""
    field = everywhere((200, 0)).astype(np.float32)  # a cell a step
    recent = seen_by(dots((400, 0))).thinned(10**6)
    found, _, _ = refine._kernel().moved(recent, field, kind, SPEC.slow)
    most = FARTHEST * 2 / max(kind.first, kind.span)
    assert 0.9 * most < np.hypot(*(found - field)).max() <= most + 1e-6


def test_only_the_events_of_the_last_steps_are_kept() -> None:
    recent = seen_by(dots((100, 0), steps=LAST + 5), steps=LAST + 5)
    assert len(recent.steps) == LAST
    assert recent.steps[0]["t"].min() >= 5 * STEP_US
    whole = recent.thinned(10**6).events
    assert np.array_equal(whole, joined_events(recent.steps))
    assert len(Recent().thinned(9).events) == 0


@pytest.mark.parametrize("most", [1, 50, 300])
def test_of_too_many_events_every_few_are_taken(most) -> None:
    """Of older steps fewer; of each from its begin to its end."""
    recent = seen_by(dots((400, 0), count=600))
    thin = recent.thinned(most).events
    assert (np.diff(thin["t"]) >= 0).all()
    for age in range(LAST):
        start = (LAST - 1 - age) * STEP_US
        own = thin[(thin["t"] >= start) & (thin["t"] < start + STEP_US)]
        assert 0 < len(own) <= -(-most // (age + 1))
        if len(own) > 20:
            assert np.ptp(own["t"]) > 0.8 * STEP_US


def test_motion_is_found_however_many_events_there_are(kernels) -> None:
    """The older half of a busy scene must not be lost for the newer one's sake."""
    busy = np.repeat(dots((400, 0), count=1000), 8)
    cells = 4 * GRID[0] * GRID[1]
    assert len(busy) / LAST > 2 * MOST * cells
    found, _ = exact(everywhere((280, 0)), seen_by(busy), 2)
    assert np.median(errors(found, (400, 0))) < 0.1


def of_steps(readout: MotionReadout, events, first: int, last: int) -> list[np.ndarray]:
    """Return the fields of the steps [first, last), the same output in each."""
    told = []
    y = output_of(Motion(0.3, 0))
    for step in range(first, last):
        start = step * STEP_US
        inside = events[(events["t"] >= start) & (events["t"] < start + STEP_US)]
        readout.see(inside, start + STEP_US, 2, STEP_US)
        readout.update(y, len(inside), start + STEP_US)
        field = readout.field(start + STEP_US, 2, STEP_US)
        assert field is not None
        told.append(field.velocity)
    return told


def test_a_readout_remembers_events_where_its_rounds_say_so() -> None:
    events = dots((100, 0), size=(64, 48))
    exact, rough = MotionReadout(replace(SPEC, rounds=2)), MotionReadout(SPEC)
    found, told = (of_steps(readout, events, 0, LAST)[-1] for readout in (exact, rough))
    assert np.median(told[0]) == pytest.approx(60, rel=0.02)
    assert np.median(found[0]) == pytest.approx(100, rel=0.1)
    assert exact.motion.u == pytest.approx(0.5, rel=0.1)
    assert "registration" in replace(SPEC, rounds=2).policy() and ";" not in SPEC.policy()[-20:]


def test_a_snapshot_holds_the_events_and_an_end_forgets_them() -> None:
    events, spec = dots((100, 0), size=(64, 48)), replace(SPEC, rounds=2)
    whole = of_steps(MotionReadout(spec), events, 0, LAST)
    first, second = MotionReadout(spec), MotionReadout(spec)
    before = of_steps(first, events, 0, 7)
    second.restore(first.snapshot())
    for one, other in zip(before + of_steps(second, events, 7, LAST), whole, strict=True):
        assert np.array_equal(one, other)
    for forget in (first.reset, lambda: second.finish(0)):
        forget()
    late = of_steps(MotionReadout(spec), events, 7, 9)
    for readout in (first, second):
        for one, other in zip(of_steps(readout, events, 7, 9), late, strict=True):
            assert np.array_equal(one, other)


def test_a_field_is_surer_where_events_agree_with_it() -> None:
    """The output is right for the left half; in the right one there is nothing but noise."""
    events = dots((60, 0), size=(64, 48), noise=1500)
    rng = np.random.default_rng(3)
    right = events["x"] >= 32
    events["x"][right] = rng.integers(32, 64, right.sum())
    events["y"][right] = rng.integers(0, 48, right.sum())
    readout = MotionReadout(replace(SPEC, rounds=2))
    of_steps(readout, events, 0, LAST)
    field = readout.field(LAST * STEP_US, 2, STEP_US)
    assert field is not None
    off = 1 / field.confidence - 1  # the error to expect
    assert np.median(off[:, :7]) < 0.6 * np.median(off[:, 9:])


def test_doubt_of_the_network_is_doubt_of_the_field(kernels) -> None:
    field, recent = everywhere((60, 0)), seen_by(dots((60, 0)))
    sure, unsure = (refined(field, np.full(GRID, e), recent, 2, 0.05)[1] for e in (2.0, 0.0))
    assert (sure > unsure + 1).all()


def test_a_step_whose_events_were_not_seen_is_told_as_the_network_tells_it() -> None:
    readout = MotionReadout(replace(SPEC, rounds=2))
    of_steps(readout, dots((100, 0), size=(64, 48)), 0, 6)
    readout.update(output_of(Motion(0.3, 0)), 9, 7 * STEP_US)
    assert readout.motion.u == pytest.approx(0.3, rel=0.02)


def test_events_are_copied() -> None:
    """Who reads a camera fills one array again and again."""
    events, buffer = dots((100, 0), size=(64, 48)), dots((100, 0), size=(64, 48))
    plain, reusing = (MotionReadout(replace(SPEC, rounds=2)) for _ in range(2))
    wanted = of_steps(plain, events, 0, LAST)
    for step in range(LAST):
        inside = events[events["t"] // STEP_US == step]
        buffer[: len(inside)] = inside
        reusing.see(buffer[: len(inside)], (step + 1) * STEP_US, 2, STEP_US)
        reusing.update(output_of(Motion(0.3, 0)), 9, (step + 1) * STEP_US)
    field = reusing.field(LAST * STEP_US, 2, STEP_US)
    assert field is not None and np.array_equal(field.velocity, wanted[-1])


def test_a_speed_of_nothing_divides_nothing() -> None:
    found, evidence = refined(everywhere((0, 0)), np.zeros(GRID), seen_by(dots((0, 0))), 2, 1e-50)
    assert np.isfinite(found).all() and np.isfinite(evidence).all()
    busy = refined(everywhere((0, 0)), np.zeros(GRID), seen_by(dots((9, 0), noise=99)), 2, 1e-50)
    assert all(np.isfinite(part).all() for part in busy)
