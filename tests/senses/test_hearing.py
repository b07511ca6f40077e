"""Sound becomes the same events however it is cut; silence becomes none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesnn.errors import BundleError
from edgesnn.events import EVENT
from edgesnn.senses.hearing import Bank, Ear, Hearing, HearingSpec
from edgesnn.senses.resample import Resampler

SPEC = HearingSpec()
RNG = np.random.default_rng(5)
TONE = 0.3 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
NOISY = TONE * np.hanning(8000) + 0.01 * RNG.standard_normal(8000)


def parts(samples: np.ndarray, cuts: list[int]) -> list[np.ndarray]:
    return np.split(samples, sorted({cut % (len(samples) + 1) for cut in cuts}))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 8000), max_size=40))
def test_any_cutting_gives_the_same_events(cuts: list[int]) -> None:
    whole = Hearing(SPEC).feed(NOISY)
    hearing = Hearing(SPEC)
    found = np.concatenate([hearing.feed(part) for part in parts(NOISY, cuts)])
    assert len(whole) > 500 and hearing.frames == 100
    for field in "txyp":
        assert np.array_equal(found[field], whole[field])


@pytest.mark.parametrize("rate_hz", [4000, 8000, 11025, 16000, 22050, 44100, 48000])
@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, 20_000), max_size=12))
def test_any_cutting_gives_the_same_samples_at_another_rate(rate_hz: int, cuts: list[int]) -> None:
    sound = np.random.default_rng(rate_hz).standard_normal(6000)
    one = Resampler(rate_hz, 8000)
    whole = np.concatenate([one.feed(sound), one.flush()])
    other = Resampler(rate_hz, 8000)
    pieces = [other.feed(part) for part in parts(sound, cuts)]
    assert np.array_equal(np.concatenate([*pieces, other.flush()]), whole)
    assert len(whole) == -(-6000 * 8000 // rate_hz)


@pytest.mark.parametrize("rate_hz", [11025, 16000, 44100, 48000])
def test_resampling_keeps_a_tone_and_removes_what_would_alias(rate_hz: int) -> None:
    t = np.arange(rate_hz) / rate_hz
    kept = Resampler(rate_hz, 8000).feed(np.sin(2 * np.pi * 1000 * t))
    wanted = np.sin(2 * np.pi * 1000 * np.arange(len(kept)) / 8000)
    assert np.abs(kept - wanted)[100:].max() < 1e-4
    too_high = Resampler(rate_hz, 8000).feed(np.sin(2 * np.pi * 5000 * t))
    assert np.abs(too_high[100:]).max() < 1e-3
    assert Resampler(rate_hz, 8000).delay_s < 0.005


def test_pure_silence_gives_frames_and_no_events() -> None:
    hearing = Hearing(SPEC)
    events = hearing.feed(np.zeros(80_000))
    assert len(events) == 0 and events.dtype == EVENT
    assert hearing.frames == 1000 and hearing.watermark_us == 10_000_000


def test_steady_noise_fades_and_a_tone_above_it_is_heard() -> None:
    noise = 0.02 * RNG.standard_normal(8 * 8000)
    noise[6 * 8000 : 7 * 8000] += TONE
    events = Hearing(SPEC).feed(noise)
    per_second = np.bincount(events["t"] // 1_000_000, minlength=8)
    assert per_second[0] > 5 * per_second[7]
    tone = events[(events["t"] >= 6_000_000) & (events["t"] < 7_000_000)]
    # 440 Hz lies in one of the lower bands; that one is the busiest.
    bands = np.bincount(tone["x"], minlength=40)
    assert 7 <= bands.argmax() <= 9 and bands[7:10].sum() > 5 * bands[10:20].sum()


def test_the_level_is_normalised() -> None:
    loud, quiet = (Hearing(SPEC).feed(gain * NOISY) for gain in (1.0, 0.25))
    assert 0.7 < len(quiet) / len(loud) < 1.3


def test_events_are_in_order_and_inside_the_sensor() -> None:
    events = Hearing(SPEC).feed(NOISY)
    assert (np.diff(events["t"]) >= 0).all() and (events["t"] % 10_000 == 0).all()
    assert events["x"].max() < 40 and not events["y"].any() and set(events["p"]) == {0, 1}


def test_a_tone_at_full_scale_is_0_db_in_its_band() -> None:
    t = np.arange(256) / 8000
    levels = Bank(SPEC).levels(np.sin(2 * np.pi * 1000 * t))
    assert -3 < levels.max() < 3 and levels.shape == (40,)


def test_neurons_keep_what_is_left_over() -> None:
    """2.5 spikes a frame, from a steady level 30 dB above the floor: 2, 3, 2, 3, ..."""
    ear = Ear(SPEC)
    levels = np.full(40, -100.0)
    levels[3] = -20.0
    levels[7] = -20.0 - SPEC.range_db + 2.5 * SPEC.spike_db
    on = [int(ear.hear(levels)[1, 7]) for _ in range(6)]
    # the noise floor starts at -100 dB and does not reach the level here
    assert on == [2, 3, 2, 3, 2, 2] or sum(on) in (14, 15)
    assert ear.loudness_db[0] == -20.0


def test_not_a_number_is_silence() -> None:
    broken = NOISY.copy()
    broken[1000:1100] = np.nan
    clean = np.nan_to_num(broken)
    assert np.array_equal(Hearing(SPEC).feed(broken), Hearing(SPEC).feed(clean))


@pytest.mark.parametrize(
    "wrong", [{"hop": 0}, {"window": 40}, {"high_hz": 4500.0}, {"rate_hz": 7777}, {"bands": 0}]
)
def test_numbers_that_describe_no_hearing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BundleError, match="describe no hearing"):
        HearingSpec(**wrong)  # type: ignore[arg-type]
