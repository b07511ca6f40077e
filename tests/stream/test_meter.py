import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesnn.stream.meter import LatencyMeter, RateMeter
from edgesnn.stream.sink import Percentiles


def test_nothing_measured_is_all_zero():
    assert LatencyMeter().percentiles() == Percentiles(0.0, 0.0, 0.0, 0.0)


def test_one_value_is_every_percentile():
    meter = LatencyMeter()
    meter.add(1_234_567)
    assert meter.percentiles().max == 1234.567
    assert meter.percentiles().p50 == pytest.approx(1234.567, rel=0.01)
    assert meter.count == 1


def test_percentiles_of_a_thousand():
    meter = LatencyMeter()
    for microseconds in range(1000, 0, -1):
        meter.add(microseconds * 1000)
    found = meter.percentiles()
    assert found.p50 == pytest.approx(500, rel=0.01)
    assert found.p99 == pytest.approx(990, rel=0.01)
    assert found.p999 == pytest.approx(999, rel=0.01)
    assert found.max == 1000.0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=50), st.floats(0, 1))
def test_every_quantile_is_within_one_percent(durations, q):
    meter = LatencyMeter()
    for duration in durations:
        meter.add(duration)
    rank = max(1, int(np.ceil(q * len(durations))))
    exact = sorted(durations)[rank - 1] / 1e3
    assert meter.quantile_us(q) == pytest.approx(exact, rel=0.0101)
    assert meter.quantile_us(q) <= meter.percentiles().max == max(durations) / 1e3


@pytest.mark.parametrize("duration", [-5, 0, 1, 10**14])
def test_extremes_are_taken(duration):
    meter = LatencyMeter()
    meter.add(duration)
    assert meter.count == 1
    assert meter.percentiles().max == max(duration, 0) / 1e3


def test_reading_while_another_thread_adds():
    meter = LatencyMeter()
    adding = threading.Thread(target=lambda: [meter.add(5_000_000) for _ in range(20_000)])
    adding.start()
    while adding.is_alive():
        assert meter.quantile_us(0.5) in (0.0, pytest.approx(5000, rel=0.01))
    assert meter.count == 20_000


def test_rates_over_windows_of_event_time():
    rates = RateMeter(window_us=100, history=3)
    rates.add(1000, 1050, 10)
    assert (rates.rate_hz, rates.history_hz) == (100_000, ())
    rates.add(1050, 1100, 20)
    assert (rates.rate_hz, rates.history_hz) == (300_000, ())
    rates.add(1100, 1150, 1)
    assert (rates.rate_hz, rates.history_hz) == (210_000, (300_000,))


def test_a_silence_shows_in_the_history_which_stays_short():
    rates = RateMeter(window_us=100, history=3)
    rates.add(0, 50, 7)
    rates.add(370, 380, 1)
    assert rates.history_hz == (70_000, 0, 0)
    rates.add(3_600_000_000, 3_600_000_010, 5)
    assert rates.history_hz == (0, 0, 0)
    assert rates.rate_hz == 50_000
    rates.add(3_600_000_010, 3_600_000_200, 1)
    assert len(rates.history_hz) == 3
    assert rates.history_hz[-1] == 50_000
