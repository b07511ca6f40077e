"""The compiled kernels of motion compute what NumPy's do, whatever they are given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from moving import dots, seen_by

from edgesnn.decide.refine import BORDER, EVENT, FINE, Plain, Recent, refined
from edgesnn.hardware import refine

SLOW = 0.05

pytestmark = pytest.mark.skipif(not refine.is_here(), reason="the engine was not built here")


def random_events(rng: np.random.Generator, count: int, wide: int, high: int) -> np.ndarray:
    """Return events of any time, some of them off the grid."""
    events = np.zeros(count, EVENT)
    for name, low, top in (("t", -50_000, 200_000), ("x", 0, wide), ("y", 0, high), ("p", 0, 2)):
        events[name] = rng.integers(low, top, count)
    return events


@settings(max_examples=60, deadline=None)
@given(
    some.integers(0, 2**32 - 1),
    some.integers(1, 9),
    some.integers(1, 9),
    some.integers(1, 5),
    some.integers(0, 400),
)
def test_events_give_the_same_pictures_and_sums(seed, h, w, cell, count) -> None:
    rng = np.random.default_rng(seed)
    events = random_events(rng, count, 2 * cell * w + 3, 2 * cell * h + 3)
    recent = Recent((events,), 120_000, cell, 10_000)
    velocity = rng.normal(0, 3, (2, h, w)).astype(np.float32)
    if seed % 5 == 0:
        velocity[:, h // 2, w // 2] = [np.nan, np.inf]
    span = rng.uniform(1, 12, (h, w)).astype(np.float32)
    with np.errstate(invalid="ignore"):
        pictures, counts = Plain().pictures(recent, velocity, span)
    found, counted = refine.pictures(recent, velocity, span)
    assert found.shape == (4, FINE * h + 2 * BORDER, FINE * w + 2 * BORDER)
    assert np.allclose(found, pictures, atol=1e-4) and np.allclose(counted, counts, atol=1e-3)
    assert np.isclose(found.sum(), counted.sum(), rtol=1e-4)
    raised = rng.uniform(0.5, 2, (4, h, w)).astype(np.float32)
    wanted = Plain().products(pictures, counts, raised)
    sums = refine.products(found, counted, raised)
    assert np.allclose(sums, wanted, rtol=1e-3, atol=1e-3)


def test_events_of_a_whole_step(monkeypatch) -> None:
    recent = seen_by(dots((150, -60), size=(160, 120), count=400, noise=500))
    field = np.zeros((2, 30, 40)) + 0.4
    found, doubt = refined(field, recent, 2, SLOW)
    monkeypatch.setattr("edgesnn.decide.refine._kernels", Plain)
    plain, doubted = refined(field, recent, 2, SLOW)
    assert np.abs(found - plain).max() < 1e-3 and np.abs(doubt - doubted).max() < 1e-3


def test_events_of_two_threads_do_not_meet() -> None:
    """Each thread has pictures of its own."""
    from concurrent.futures import ThreadPoolExecutor

    recents = [seen_by(dots((100 * k, 50), seed=k)) for k in range(1, 5)]
    field = np.zeros((2, 20, 24)) + 0.3
    alone = [refined(field, recent, 2, SLOW)[0] for recent in recents]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda recent: refined(field, recent, 2, SLOW)[0], recents * 8))
    for number, found in enumerate(together):
        assert np.array_equal(found, alone[number % 4])
