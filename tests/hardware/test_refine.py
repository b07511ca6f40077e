"""A compiled round does what NumPy's does, whatever it is given."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from moving import dots, seen_by

from edgesnn.decide.recent import Recent
from edgesnn.decide.refine import COARSE, FINE, Plain, refined
from edgesnn.events import EVENT, events_from_arrays
from edgesnn.hardware import refine

SLOW = 0.05

pytestmark = pytest.mark.skipif(not refine.is_here(), reason="the engine was not built here")


def random_events(rng: np.random.Generator, count: int, wide: int, high: int) -> np.ndarray:
    """Return events of any time, some of them off the grid."""
    events = np.zeros(count, EVENT)
    for name, low, top in (("t", -50_000, 200_000), ("x", 0, wide), ("y", 0, high), ("p", 0, 2)):
        events[name] = rng.integers(low, top, count)
    return events


@settings(max_examples=80, deadline=None)
@given(
    some.integers(0, 2**32 - 1),
    some.integers(1, 9),
    some.integers(1, 20),
    some.integers(1, 5),
    some.integers(0, 1500),
    some.sampled_from([COARSE, FINE, replace(COARSE, pull=9.0), replace(FINE, pull=0.0)]),
)
def test_events_move_a_field_alike(seed, h, w, cell, count, one) -> None:
    rng = np.random.default_rng(seed)
    events = random_events(rng, count, 2 * cell * w + 3, 2 * cell * h + 3)
    recent = Recent((events,), 120_000, cell, 10_000)
    velocity = rng.normal(0, 1, (2, h, w)).astype(np.float32)
    wanted = Plain().moved(recent, velocity, one, SLOW)
    found = refine.moved(recent, velocity, one, SLOW)
    for here, there in zip(found, wanted, strict=True):
        assert here.shape == there.shape
        assert np.allclose(here, there, rtol=2e-3, atol=2e-3, equal_nan=True)


def test_events_of_a_whole_step(monkeypatch) -> None:
    recent = seen_by(dots((150, -60), size=(160, 120), count=400, noise=500))
    field, evidence = np.zeros((2, 30, 40)) + 0.4, np.zeros((30, 40))
    found, sure = refined(field, evidence, recent, 2, SLOW)
    monkeypatch.setattr("edgesnn.decide.refine._kernel", Plain)
    plain, told = refined(field, evidence, recent, 2, SLOW)
    assert np.abs(found - plain).max() < 1e-3 and np.abs(sure - told).max() < 1e-2


def test_events_on_one_line_are_no_trouble() -> None:
    """They tell motion across the line only: what is along it is 0 by 0 but for the damping."""
    t = np.arange(60_000) * 2
    events = events_from_arrays(t, t // 7 % 160, t // 7 % 160 * 3 // 4, t % 3 > 0)
    recent, field = Recent((events,), 120_000, 2, 10_000), np.full((2, 30, 40), 0.3, np.float32)
    for kind in (COARSE, FINE):
        for one, other in zip(
            refine.moved(recent, field, kind, SLOW),
            Plain().moved(recent, field, kind, SLOW),
            strict=True,
        ):
            assert np.allclose(one, other, rtol=1e-3, atol=1e-3, equal_nan=True)


def test_events_and_steps_of_years_are_seen_alike() -> None:
    recent = Recent((random_events(np.random.default_rng(0), 99, 40, 40),), 120_000, 2, 2**33)
    field = np.full((2, 10, 10), 0.3, np.float32)
    found, wanted = (one.moved(recent, field, FINE, SLOW)[0] for one in (refine, Plain()))
    assert np.allclose(found, wanted, atol=1e-3)


def test_events_of_two_threads_do_not_meet() -> None:
    """Each thread has memory of its own."""
    recents = [seen_by(dots((100 * k, 50), seed=k)) for k in range(1, 5)]
    field = np.full((2, 20, 24), 0.3, np.float32)
    alone = [refine.moved(recent, field, FINE, SLOW)[0] for recent in recents]
    with ThreadPoolExecutor(4) as pool:
        together = list(
            pool.map(lambda recent: refine.moved(recent, field, FINE, SLOW)[0], recents * 8)
        )
    for number, found in enumerate(together):
        assert np.array_equal(found, alone[number % 4])
