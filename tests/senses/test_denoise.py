"""Hot pixels and flicker are shut out, what moves is not, and cutting changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesnn.app import load_app, sample_path
from edgesnn.events import Events, events_from_arrays, joined_events
from edgesnn.senses.clock import WindowClock
from edgesnn.senses.denoise import Denoiser
from edgesnn.senses.eye import Emulated
from edgesnn.senses.flicker import Flicker
from edgesnn.senses.hot import WINDOW_US, HotPixels
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


def test_a_clock_that_begins_anew_is_seen_however_its_times_are_cut() -> None:
    """1.003 s, then 0.002 s: more than a second back, of the packet's own newest time only."""
    times = np.array([1_000_500, 1_003_000, 2_000])
    found = []
    for cuts in ([1, 3], [1, 2, 3]):
        clock, first, windows = WindowClock(WINDOW_US), 0, []
        for end in cuts:
            part, first = times[first:end], end
            if not clock.stays(part):
                for _, window in clock.runs(part):
                    clock.enter(window)
            windows.append(clock.window)
        found.append(windows[-1])
    assert found == [0, 0]


def test_what_moves_is_kept() -> None:
    events = events_of(edge())
    hot = HotPixels((32, 24))
    assert hot.feed(events) is events and hot.found() == []


@pytest.mark.parametrize("app", ["gesture"])
def test_the_bundled_recording_loses_nothing(app: str) -> None:
    events, size = read_events(sample_path(load_app(app)))
    assert Denoiser(size).feed(events) is events


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


@pytest.mark.parametrize(
    ("hz", "until_s"), [(400, 0.15), (290, 0.45), (210, 0.45), (150, 2.0), (60, 2.0), (16, 2.0)]
)
def test_slower_hot_pixels_take_longer_spans(hz: int, until_s: float) -> None:
    kept = HotPixels((32, 24)).feed(events_of(pixel(hz, 7, 3)))
    assert 0 < kept["t"].max() <= until_s * 1e6


def test_a_pixel_that_fires_in_bursts_is_shut_out() -> None:
    bursts = [row for row in pixel(1000, 7, 3, 6.0) if row[0] % 300_000 < 50_000]
    hot = HotPixels((32, 24))
    kept = hot.feed(events_of(bursts))
    assert hot.found() == [(7, 3)] and kept["t"].max() < 2_000_000


def test_a_pixel_as_busy_as_those_around_it_is_no_defect() -> None:
    """A blinking light of nine pixels, 40 Hz for 5 s."""
    light = [row for x in (6, 7, 8) for y in (2, 3, 4) for row in pixel(40, x, y, 5.0)]
    events = events_of(light)
    assert HotPixels((32, 24)).feed(events) is events


def lamp(hz: float, seconds: float, side: int = 20, share: float = 1.0) -> Events:
    """A square of pixels that see a lamp: ON once in a cycle, OFF half a cycle later."""
    rng = np.random.default_rng(int(hz))
    rows = []
    for cycle in range(int(seconds * hz)):
        for polarity in (1, 0):
            y, x = np.nonzero(rng.random((side, side)) < share)
            t = (cycle + 0.7 - polarity / 2) * 1e6 / hz + rng.normal(0, 300, len(x))
            rows.append(np.c_[t.astype(np.int64), x + 5, y + 3, np.full(len(x), polarity)])
    whole = np.concatenate(rows)
    return events_from_arrays(*whole[np.argsort(whole[:, 0], kind="stable")].T)


@pytest.mark.parametrize(("hz", "share"), [(100, 1.0), (120, 1.0), (100, 0.4), (120, 0.5)])
def test_mains_flicker_is_learned_and_shut_out(hz: int, share: float) -> None:
    events = lamp(hz, 2.0, share=share)
    filters = Denoiser((40, 30))
    kept = filters.feed(events)
    late = np.count_nonzero(kept["t"] > 400_000) / np.count_nonzero(events["t"] > 400_000)
    assert late < (0.001 if share == 1 else 0.15)
    assert filters.removed == len(events) - len(kept)
    assert f"flickers at {hz} Hz" in filters.notes()[0]


@pytest.mark.parametrize("hz", [70, 83, 90, 110, 150])
def test_what_blinks_at_other_rates_is_kept(hz: float) -> None:
    events = lamp(hz, 1.5)
    filter_ = Flicker((40, 30))
    assert filter_.feed(events) is events


def test_what_moves_before_a_lamp_is_kept_outside_of_it() -> None:
    moving = events_of([(t, x + 30, y, p) for t, x, y, p in edge()])
    both = joined_events([lamp(100, 3.0), moving])
    both = both[np.argsort(both["t"], kind="stable")]
    kept = Flicker((64, 24)).feed(both)
    assert np.count_nonzero(kept["x"] >= 30) == len(moving)
    assert np.count_nonzero(kept["x"] < 30) < 0.2 * len(both)


def test_pixels_come_back_when_the_lamp_goes_out() -> None:
    after = lamp(77, 2.0)
    after["t"] += 1_500_000
    kept = Flicker((40, 30)).feed(joined_events([lamp(100, 1.5), after]))
    assert np.count_nonzero(kept["t"] > 2_000_000) == np.count_nonzero(after["t"] > 2_000_000)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 30_000), min_size=1, max_size=30))
def test_any_cutting_takes_out_the_same_flicker(sizes: list[int]) -> None:
    events = lamp(100, 0.8)
    whole, cut, found, first = Flicker((40, 30)), Flicker((40, 30)), [], 0
    wanted = whole.feed(events)
    while first < len(events):
        size = sizes[len(found) % len(sizes)]
        found.append(cut.feed(events[first : first + size]))
        first += size
    assert np.array_equal(np.concatenate(found), wanted) and cut.removed == whole.removed > 0


@pytest.mark.parametrize("hz", [25, 30, 50, 60])
def test_the_frames_of_an_ordinary_camera_are_no_flicker(hz: int) -> None:
    """Their rate divides the lamps'; a bar that swings before an emulated sensor loses nothing."""
    eye, parts = Emulated(), []
    for i in range(2 * hz):
        picture = np.full((128, 128), 80, np.uint8)
        left = int(50 + 35 * np.sin(2 * np.pi * 1.3 * i / hz))
        picture[30:100, left : left + 14] = 200
        parts.append(eye.frame(picture, round(i * 1e6 / hz) + 1)[0])
    events = joined_events(parts)
    assert len(events) > 10_000 and Flicker((128, 128)).feed(events) is events


def line(hz: float, seconds: float, at: int, of_columns: bool = False, seed: int = 0) -> Events:
    """A row or column of a 96 x 80 sensor whose pixels fire at random."""
    rng = np.random.default_rng(seed)
    pixels = 80 if of_columns else 96
    count = int(hz * seconds * pixels)
    t = np.sort(rng.integers(1, int(seconds * 1e6), count))
    along, across = rng.integers(0, pixels, count), np.full(count, at)
    x, y = (across, along) if of_columns else (along, across)
    return events_from_arrays(t, x, y, rng.integers(0, 2, count))


@pytest.mark.parametrize("of_columns", [False, True])
@pytest.mark.parametrize(("hz", "until_s"), [(400, 0.15), (50, 0.15), (15, 0.25), (10, 0.45)])
def test_a_noisy_line_is_shut_out_and_told_as_one(
    hz: float, until_s: float, of_columns: bool
) -> None:
    noisy = Denoiser((96, 80))
    kept = noisy.feed(line(hz, 4, 40, of_columns))
    assert 0 < kept["t"].max() <= until_s * 1e6
    name = "column 40" if of_columns else "row 40"
    assert noisy.notes() == (f"noise of {name} was shut out (--denoise off keeps it)",)


def test_a_noisy_line_at_the_border_and_beside_another() -> None:
    for at in (0, 79):
        assert len(HotPixels((96, 80)).feed(line(60, 2, at))) < 2_000
    both = joined_events([line(60, 2, 40), line(60, 2, 41, seed=1)])
    both = both[np.argsort(both["t"], kind="stable")]
    assert len(HotPixels((96, 80)).feed(both)) < 4_000


@pytest.mark.parametrize("speed_px_s", [4, 20, 100])
def test_an_edge_as_straight_as_a_line_of_the_sensor_is_kept(speed_px_s: float) -> None:
    """A bar of full height moves to the right; each pixel fires twice as an edge of it passes."""
    rows = [
        (int((x + shift) / speed_px_s * 1e6) + 40 * k, x, y, k % 2)
        for x in range(8, 60)
        for shift in (0, 7)
        for y in range(80)
        for k in range(2)
    ]
    events = events_from_arrays(*np.array(sorted(rows)).T)
    assert HotPixels((96, 80)).feed(events) is events


def test_the_border_of_a_noisy_part_is_no_line() -> None:
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 500_000, 50_000))
    x, y = rng.integers(0, 128, 50_000), rng.integers(20, 70, 50_000)
    events = events_from_arrays(t, x, y, t % 2)
    assert HotPixels((128, 128)).feed(events) is events
