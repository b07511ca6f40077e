import numpy as np
import pytest

from edgesnn.senses.emulator import CLEAN, DvsEmulator, EmulatorParameters

EXACT = EmulatorParameters(
    threshold_sigma=0.0, cutoff_hz=0.0, leak_hz=0.0, shot_hz=0.0, refractory_us=0.0
)


def flat(value, size=(8, 6)):
    return np.full(size[::-1], value, np.float32)


def run(parameters, frames, dt_us=1000, seed=0):
    size = frames[0].shape[::-1]
    emulator = DvsEmulator(size, parameters, seed)
    return np.concatenate([emulator.frame(f, 1 + i * dt_us) for i, f in enumerate(frames)])


@pytest.mark.parametrize(("to", "polarity"), [(100 * np.e**1.001, 1), (100 / np.e**1.001, 0)])
def test_a_contrast_of_e_gives_one_event_per_threshold(to, polarity):
    # ln contrast 1.001 over thresholds of 0.2, begun anywhere between -0.2 and 0.2 from the last
    # reset: floor(5.005 + u), u uniform in (-1, 1), is 4.5 on average.
    size = (64, 64)
    events = run(EXACT, [flat(100, size), flat(to, size)])
    assert set(events["p"]) == {polarity}
    counts = np.bincount(events["y"].astype(int) * 64 + events["x"], minlength=64 * 64)
    assert set(counts) <= {4, 5, 6}
    assert counts.mean() == pytest.approx(4.505, abs=0.03)


def test_events_lie_between_the_frames_in_order_and_follow_a_straight_line():
    emulator = DvsEmulator((64, 64), EXACT, 1)
    emulator.frame(flat(30, (64, 64)), 0)
    emulator.frame(flat(60, (64, 64)), 5000)  # now every pixel has risen through a reset
    events = emulator.frame(flat(180, (64, 64)), 15000)
    assert (events["t"] > 5000).all() and (events["t"] <= 15000).all()
    assert (np.diff(events["t"]) >= 0).all()
    # Level crossings of a ramp are spread evenly over the interval.
    assert np.histogram(events["t"], 4, (5000, 15000))[0] / len(events) == pytest.approx(
        [0.25] * 4, abs=0.02
    )


def test_a_still_scene_without_noise_is_silent():
    assert len(run(CLEAN, [flat(77)] * 20)) == 0


def test_leak_fires_on_at_its_rate():
    leaky = EmulatorParameters(threshold_sigma=0.0, cutoff_hz=0.0, leak_hz=2.0, shot_hz=0.0)
    events = run(leaky, [flat(90, (32, 32))] * 201, dt_us=10_000)  # two seconds
    assert set(events["p"]) == {1}
    events = events[events["t"] > 1_000_000]
    assert len(events) / 1024 == pytest.approx(2.0, rel=0.05)


def test_shot_noise_fires_at_its_rate_and_more_in_the_dark():
    noisy = EmulatorParameters(threshold_sigma=0.0, cutoff_hz=0.0, leak_hz=0.0, shot_hz=5.0)
    dark = run(noisy, [flat(0, (32, 32))] * 101, dt_us=10_000)
    bright = run(noisy, [flat(255, (32, 32))] * 101, dt_us=10_000)
    assert len(dark) / 1024 == pytest.approx(5.0, rel=0.1)
    assert len(bright) / 1024 == pytest.approx(1.25, rel=0.15)
    assert dark["p"].mean() == pytest.approx(0.5, abs=0.05)


def test_hot_pixels_fire_at_their_rate():
    hot = EmulatorParameters(cutoff_hz=0.0, leak_hz=0.0, shot_hz=0.0, hot_pixels=(2, 100.0))
    events = run(hot, [flat(90)] * 101, dt_us=10_000)
    assert len({(e["x"], e["y"]) for e in events}) <= 2
    assert 140 < len(events) < 260


def test_no_pixel_fires_twice_within_its_refractory_time():
    rng = np.random.default_rng(0)
    dead = EmulatorParameters(cutoff_hz=0.0, leak_hz=0.0, shot_hz=0.0, refractory_us=700.0)
    frames = [rng.uniform(30, 250, (16, 16)).astype(np.float32) for _ in range(40)]
    events = run(dead, frames, dt_us=1000)
    pixel = events["y"].astype(int) * 16 + events["x"]
    gaps = [np.diff(events["t"][pixel == i]) for i in range(256)]
    assert min(g.min() for g in gaps if len(g)) >= 699
    free = run(EXACT, frames, dt_us=1000)
    assert len(free) > 1.5 * len(events)


def test_low_pass_delays_the_answer_to_a_step():
    slow = EmulatorParameters(threshold_sigma=0.0, cutoff_hz=30.0, leak_hz=0.0, shot_hz=0.0)
    frames = [flat(60, (32, 32))] + [flat(180, (32, 32))] * 30
    lag = np.median(run(slow, frames)["t"]) - np.median(run(EXACT, frames)["t"])
    assert lag > 2000


def test_mismatch_spreads_the_thresholds():
    def spread_of(parameters):
        events = run(parameters, [flat(40, (64, 64)), flat(240, (64, 64))])
        counts = np.bincount(events["y"].astype(int) * 64 + events["x"], minlength=64 * 64)
        return counts.std()

    mismatched = EmulatorParameters(0.2, 0.2, 0.05, 0.0, 0.0, 0.0, refractory_us=0.0)
    assert spread_of(mismatched) > 2 * spread_of(EXACT)


def test_the_same_seed_gives_the_same_events_and_another_one_does_not():
    rng = np.random.default_rng(3)
    frames = [rng.integers(0, 256, (12, 12)).astype(np.uint8) for _ in range(10)]
    first, again, other = (run(EmulatorParameters(), frames, seed=s) for s in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_wrong_shape_and_time_going_back_are_refused():
    emulator = DvsEmulator((8, 6), EXACT)
    with pytest.raises(ValueError, match="wanted \\(6, 8\\)"):
        emulator.frame(np.zeros((8, 6), np.float32), 0)
    emulator.frame(flat(1), 10)
    with pytest.raises(ValueError, match="comes after"):
        emulator.frame(flat(1), 10)
