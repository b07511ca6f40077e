import numpy as np
import pytest

pytest.importorskip("cv2")

from edgesnn.models.gesture import clips as gesture_clips  # noqa: E402
from edgesnn.models.gesture.arms import LEFT, RIGHT, Build  # noqa: E402
from edgesnn.models.gesture.data import (  # noqa: E402
    LABELS,
    LEVELS,
    MIRRORED,
    REVERSED,
    augmented,
    clip_from_packed,
    frames,
    mirrored,
    reversed_in_time,
)
from edgesnn.models.gesture.motion import MOVES, motion, stand  # noqa: E402
from edgesnn.models.gesture.simulator import GestureScene, gesture_events  # noqa: E402

BUILD = Build(x=64.0, y=50.0, size=1.0, half_width=15.0, arm=50.0)
T = np.arange(0, 1.6, 0.004)


def turning(track):
    """Angle in radians swept by a track about its middle, image clockwise positive."""
    x, y = (track - track.mean(axis=0)).T
    return np.unwrap(np.arctan2(y, x))[-1] - np.unwrap(np.arctan2(y, x))[0]


@pytest.mark.parametrize(
    ("label", "side", "sense"), [(3, RIGHT, -1), (4, RIGHT, 1), (5, LEFT, -1), (6, LEFT, 1)]
)
def test_arms_turn_the_way_the_person_sees_it(label, side, sense):
    # Clockwise to the person is counter-clockwise in the image: up, left, down, right.
    for seed in range(5):
        tracks = motion(np.random.default_rng(seed), MOVES[label], T, BUILD)
        assert turning(tracks.hand[side]) * sense > 2 * np.pi * 0.9
        still, moving = (np.ptp(tracks.hand[s], axis=0).max() for s in (-side, side))
        assert moving > 40 > 8 > still


@pytest.mark.parametrize(("label", "side"), [(1, RIGHT), (2, LEFT)])
def test_waves_are_above_the_elbow_on_the_right_side_of_the_image(label, side):
    for seed in range(5):
        tracks = motion(np.random.default_rng(seed), MOVES[label], T, BUILD)
        hand, elbow = tracks.hand[side], tracks.elbow[side]
        assert (hand[:, 1] < elbow[:, 1]).all()
        assert np.sign(hand[:, 0].mean() - BUILD.x) == side
        assert np.ptp(hand[:, 0]) > np.ptp(tracks.hand[-side][:, 0])


def test_clapping_hands_meet_and_part():
    for seed in range(5):
        tracks = motion(np.random.default_rng(seed), MOVES[0], T, BUILD)
        gap = np.linalg.norm(tracks.hand[LEFT] - tracks.hand[RIGHT], axis=1)
        assert gap.min() < 10 and gap.max() > gap.min() + 5


def test_standing_still_is_stiller_than_any_gesture():
    def travel(move):
        tracks = motion(np.random.default_rng(1), move, T, BUILD)
        return sum(np.abs(np.diff(tracks.hand[s], axis=0)).sum() for s in (RIGHT, LEFT))

    assert travel(stand) < 0.3 * min(travel(move) for move in MOVES)


@pytest.fixture(scope="module")
def clips():
    made = [gesture_clips.clip(7, i, 600_000) for i in range(len(LABELS))]
    return [clip_from_packed(*c) for c in made]


def test_every_class_renders_events_like_those_of_a_real_dvs(clips):
    assert [c.label for c in clips] == list(range(11))
    for c in clips:
        rate = len(c.t) / 0.6
        assert 4_000 < rate < 400_000
        assert 0.4 < c.p.mean() < 0.6
        assert (np.diff(c.t) >= 0).all() and c.t[-1] <= 600_000
        assert 0 <= c.x.min() and c.x.max() < 128 and 0 <= c.y.min() and c.y.max() < 128
        active = (frames(c, 24).sum(axis=1) > 0).mean()
        assert 0.03 < active < 0.5


def test_a_clip_depends_on_seed_and_index_alone():
    first, again = (gesture_clips.clip(3, 5, 100_000)[0] for _ in range(2))
    other = gesture_clips.clip(3, 16, 100_000)[0]
    assert np.array_equal(first, again)
    assert not np.array_equal(first[:100], other[:100])


def test_packing_keeps_place_polarity_and_time_to_100_us():
    events = gesture_events(np.random.default_rng(0), 2, 50_000)
    back = clip_from_packed(gesture_clips.packed(events), 2)
    assert np.array_equal(back.x, events["x"]) and np.array_equal(back.y, events["y"])
    assert np.array_equal(back.p, events["p"])
    assert np.array_equal(back.t, events["t"] // 100 * 100)


def test_shards_resume_and_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr(gesture_clips, "CLIPS_PER_SHARD", 3)
    monkeypatch.setattr(
        gesture_clips, "clip", lambda seed, i: (np.arange(i + 1, dtype=np.uint32), i % 11)
    )
    path = gesture_clips.write_shard(tmp_path, 0, 1)
    assert [(len(e), label) for e, label in gesture_clips.read_shard(path)] == [
        (4, 3),
        (5, 4),
        (6, 5),
    ]
    stamp = path.stat().st_mtime_ns
    assert gesture_clips.write_shard(tmp_path, 0, 1).stat().st_mtime_ns == stamp
    assert list(tmp_path.iterdir()) == [path]


def test_mirror_and_reversal_are_their_own_inverse_and_swap_the_right_classes(clips):
    assert MIRRORED[1] == 2 and MIRRORED[3] == 6 and MIRRORED[5] == 4
    assert REVERSED[3] == 4 and REVERSED[5] == 6 and REVERSED[1] == 1
    for c in clips:
        twice = mirrored(mirrored(c))
        assert twice.label == c.label and np.array_equal(twice.x, c.x)
        back = reversed_in_time(reversed_in_time(c))
        assert back.label == c.label and np.array_equal(back.p, c.p)
    turned = reversed_in_time(clips[3])
    assert turned.label == 4 and (np.diff(turned.t) >= 0).all()


def test_levels_grow_with_the_count_and_silence_is_zero():
    assert LEVELS[0] == 0 and LEVELS[1] == 1 and max(LEVELS) == 7
    assert all(b >= a for a, b in zip(LEVELS, LEVELS[1:], strict=False))


def test_augmentation_is_random_bounded_and_keeps_the_shape(clips):
    rng = np.random.default_rng(0)
    drawn = [augmented(clips[3], 20, rng) for _ in range(20)]
    assert {label for _, label in drawn} == {3, 4, 5, 6}
    for levels, _ in drawn:
        assert levels.shape == (20, 2, 32, 32) and levels.dtype == np.uint8
        assert 0 < levels.max() <= 7


def test_the_live_scene_goes_from_gesture_to_pause_and_on():
    scene = GestureScene(seed=4)
    labels = []
    for t_us in range(0, 12_000_000, 50_000):
        image = scene.frame(t_us)
        assert image.shape == (128, 128) and image.dtype == np.float32
        if not labels or labels[-1] != scene.label:
            labels.append(scene.label)
    assert labels[1] == -1 and labels[3] == -1 and labels[0] >= 0 and labels[2] >= 0
    again = GestureScene(seed=4)
    assert np.array_equal(again.frame(0), GestureScene(seed=4).frame(0))
