"""An event alone is noise; the same events are kept whatever the packets."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesnn.events import Events, events_from_arrays
from edgesnn.senses.background import SUPPORT_US, BackgroundActivity

SIZE = (16, 12)


def by_hand(events: Events) -> list[int]:
    """The definition, event by event."""
    last: dict[tuple[int, int], int] = {}
    kept = []
    for i, (t, x, y, _) in enumerate(events.tolist()):
        near = ((x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if (dx, dy) != (0, 0))
        if any(p in last and abs(t - last[p]) <= SUPPORT_US for p in near):
            kept.append(i)
        last[x, y] = t
    return kept


def noise(n: int = 1500, seed: int = 0) -> Events:
    rng = np.random.default_rng(seed)
    t = np.cumsum(rng.integers(0, 900, n))
    t[n // 2 :] -= 300_000  # a late stretch, or a restart
    return events_from_arrays(t, rng.integers(0, 16, n), rng.integers(0, 12, n), t % 2)


def test_it_does_what_its_definition_says() -> None:
    for seed in range(4):
        events = noise(seed=seed)
        wanted = events[by_hand(events)]
        filtered = BackgroundActivity(SIZE)
        assert np.array_equal(filtered.feed(events), wanted)
        assert filtered.removed == len(events) - len(wanted) > 100


def test_corners_have_fewer_neighbours_and_none_across_the_edge() -> None:
    corners = events_from_arrays(*np.array([(0, 0, 1), (10, 15, 0), (20, 0, 11)]).T, np.ones(3))
    assert len(BackgroundActivity(SIZE).feed(corners)) == 0
    pair = events_from_arrays(*np.array([(0, 15, 11), (10, 14, 10), (20, 15, 11)]).T, np.ones(3))
    assert BackgroundActivity(SIZE).feed(pair)["t"].tolist() == [10, 20]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=20))
def test_any_cutting_keeps_the_same_events(sizes: list[int]) -> None:
    events = noise()
    wanted = BackgroundActivity(SIZE).feed(events)
    cut, found, first = BackgroundActivity(SIZE), [], 0
    while first < len(events):
        size = sizes[len(found) % len(sizes)]
        found.append(cut.feed(events[first : first + size]))
        first += size
    assert np.array_equal(np.concatenate(found), wanted)
