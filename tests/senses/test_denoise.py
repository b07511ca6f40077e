"""Hot pixels are shut out, moving things are not, and cutting changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesnn.app import load_app, sample_path
from edgesnn.events import Events, events_from_arrays
from edgesnn.senses.denoise import WINDOW_US, HotPixels
from edgesnn.sources.reading import read_events


def pixel(hz: float, x: int, y: int, seconds: float = 3.0) -> list[tuple[int, int, int, int]]:
    times = np.arange(0, seconds * 1e6, 1e6 / hz).astype(int)
    return [(int(t), x, y, int(t) & 1) for t in times]


def edge(seconds: float = 3.0) -> list[tuple[int, int, int, int]]:
    """A bar that sweeps over the sensor again and again: each column fires together."""
    return [
        (t, t // 2000 % 30, y, 1) for t in range(0, int(seconds * 1e6), 2000) for y in range(20)
    ]


def events_of(*parts: list[tuple[int, int, int, int]]) -> Events:
    rows = np.array(sorted(row for part in parts for row in part))
    return events_from_arrays(*rows.T)


@pytest.mark.parametrize("hz", [1000, 3000, 20_000])
def test_a_hot_pixel_is_shut_out_after_two_windows_and_named(hz: int) -> None:
    events = events_of(pixel(hz, 7, 3), edge())
    hot = HotPixels((32, 24))
    kept = hot.feed(events)
    lone = kept[(kept["x"] == 7) & (kept["y"] == 3) & (kept["t"] % 2000 != 0)]
    assert hot.found() == [(7, 3)]
    assert not len(lone) or lone["t"].max() < 3 * WINDOW_US
    assert hot.removed == len(events) - len(kept)
    others = (kept["x"] != 7) | (kept["y"] != 3)
    assert np.count_nonzero(others) == len(edge()) - 50


@pytest.mark.parametrize("spots", [[(7, 3), (8, 3)], [(5, y) for y in range(24)]])
def test_defects_beside_each_other_are_shut_out(spots: list[tuple[int, int]]) -> None:
    events = events_of(*(pixel(1000, x, y) for x, y in spots))
    hot = HotPixels((32, 24))
    assert len(hot.feed(events)) <= len(spots) * 100  # the first two windows
    assert hot.found() == sorted(spots)


def test_hundreds_of_restarts_cost_no_more_than_one() -> None:
    life = events_of(edge(1.5))
    lives = events_from_arrays(*(np.tile(life[name], 400) for name in ("t", "x", "y", "p")))
    assert len(HotPixels((32, 24)).feed(lives)) == len(lives)


def test_what_moves_is_kept() -> None:
    events = events_of(edge())
    hot = HotPixels((32, 24))
    assert hot.feed(events) is events and hot.found() == []


@pytest.mark.parametrize("app", ["gesture"])
def test_the_bundled_recording_loses_nothing(app: str) -> None:
    events, size = read_events(sample_path(load_app(app)))
    assert HotPixels(size).feed(events) is events


def test_a_pixel_that_calmed_down_comes_back() -> None:
    after = [(t + 3_000_000, 7, 3, 1) for t in range(0, 4_000_000, 100_000)]
    kept = HotPixels((32, 24)).feed(events_of(pixel(1000, 7, 3), after))
    assert kept["t"].max() == 6_900_000 and np.count_nonzero(kept["t"] > 5_200_000) >= 15


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=30), st.booleans())
def test_any_cutting_keeps_the_same_events(sizes: list[int], restart: bool) -> None:
    events = events_of(pixel(900, 7, 3, 1.0), edge(1.0)).copy()
    if restart:
        events["t"][5000:] -= events["t"][5000] + 2_000_000
    whole = HotPixels((32, 24))
    wanted = whole.feed(events)
    cut, found, first = HotPixels((32, 24)), [], 0
    while first < len(events):
        size = sizes[len(found) % len(sizes)]
        found.append(cut.feed(events[first : first + size]))
        first += size
    assert np.array_equal(np.concatenate(found), wanted)
    assert (cut.removed, cut.found()) == (whole.removed, whole.found())
