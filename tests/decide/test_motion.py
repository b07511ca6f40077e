"""A field becomes one motion: exact ones are found, smaller things do not pull, units are right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from moving import SPEC, field_of, output_of

from edgesnn.decide.decision import NOTHING
from edgesnn.decide.motion import MotionReadout
from edgesnn.decide.motion_field import Motion, MotionField, expanded, fitted_motion, smoothed


@pytest.mark.parametrize(
    "motion", [Motion(0.5, -0.2), Motion(turn=0.03), Motion(grow=-0.02), Motion(0.1, 0.1, 0.01, 0)]
)
def test_an_exact_motion_is_found(motion: Motion) -> None:
    found = fitted_motion(field_of(motion), np.ones((12, 16)), 6)
    assert np.allclose(
        (found.u, found.v, found.turn, found.grow),
        (motion.u, motion.v, motion.turn, motion.grow),
        atol=2e-3,
    )
    assert found.confidence > 0.9


def test_a_smaller_thing_does_not_pull_the_whole() -> None:
    field = field_of(Motion(0.5, 0))
    field[:, 2:7, 3:8] = np.array([-2.0, 1.0])[:, None, None]
    found = fitted_motion(field, np.ones((12, 16)), 6)
    assert np.allclose((found.u, found.v), (0.5, 0), atol=0.02) and found.confidence < 0.95


def test_few_places_are_no_motion() -> None:
    weight = np.zeros((12, 16))
    weight[3, 3:8] = 1
    assert fitted_motion(field_of(Motion(1, 1)), weight, 6) == Motion()


@pytest.mark.parametrize("index", range(12))
def test_every_word(index: int) -> None:
    angle = index * np.pi / 4
    motion = Motion(float(np.cos(angle)), float(np.sin(angle)))
    if index >= 8:
        motion = [Motion(turn=0.1), Motion(turn=-0.1), Motion(grow=0.1), Motion(grow=-0.1)][
            index - 8
        ]
    readout = MotionReadout(SPEC)
    told = [readout.update(output_of(motion), 9, 1000 * (t + 1)) for t in range(10)]
    (decision,) = [one for one in told if one is not None]
    assert decision.label == SPEC.labels[index] == SPEC.labels[readout.best()]
    still = [readout.update(np.zeros((4, 12, 16), np.int32), 0, 10_000 + t) for t in range(10)]
    (end,) = [one for one in still if one is not None]
    assert (end.index, end.label) == (NOTHING, "still")


def test_a_field_in_pixels_and_seconds() -> None:
    readout = MotionReadout(SPEC)
    assert readout.field(0, 2, 10_000) is None
    readout.update(output_of(Motion(0.5, 0)), 9, 10_000)
    field = readout.field(10_000, 4, 10_000)
    assert field is not None and field.place == 8 and field.told_as == "field" and field.seen.all()
    assert np.allclose(field.velocity[0], 0.5 * 4 * 100, rtol=0.02)
    assert field.motion.u == pytest.approx(200, rel=0.02)
    assert 0.5 < field.confidence.min() <= field.confidence.max() < 1
    dense, seen = field.at_pixels((128, 96))
    assert dense.shape == (2, 96, 128) and seen.shape == (96, 128) and seen.all()


def test_pixels_lie_between_the_middles_of_places() -> None:
    velocity = np.zeros((2, 2, 3), np.float32)
    velocity[0] = [[0, 10, 20], [0, 10, 20]]
    seen = np.array([[True, False, False], [False, False, True]])
    field = MotionField(0, velocity, velocity[0], seen, 4, Motion(), "x")
    dense, where = field.at_pixels((12, 8))
    assert dense[0, 0].tolist() == [
        0,
        0,
        1.25,
        3.75,
        6.25,
        8.75,
        11.25,
        13.75,
        16.25,
        18.75,
        20,
        20,
    ]
    assert where[0].tolist() == [True] * 4 + [False] * 8 and where[7, 8:].all()


def test_a_place_is_told_with_those_around() -> None:
    g = np.tile(np.array([1.0, -0.5])[:, None, None], (1, 12, 16))
    evidence, seen = np.zeros((12, 16)), np.ones((12, 16), bool)
    alone = expanded(g, SPEC.slow)
    assert np.allclose(smoothed(g, evidence, seen, SPEC.slow, 3.0), alone)  # to the borders
    g[:, 5, 7], evidence[5, 7] = (-4, 4), -2  # wrong and unsure
    assert np.allclose(smoothed(g, evidence, seen, SPEC.slow, 3.0), alone, atol=0.02)
    evidence[5, 7] = 2  # wrong and sure
    assert smoothed(g, evidence, seen, SPEC.slow, 3.0)[0, 5, 7] < 0
    seen[5, 7] = False  # nothing was seen there
    assert np.allclose(smoothed(g, evidence, seen, SPEC.slow, 3.0)[:, 0], alone[:, 0], atol=0.02)
    g[:] = 900  # beyond any motion: as fast as can be told, not infinite
    assert np.isfinite(smoothed(g, evidence, seen, SPEC.slow, 3.0)).all()


def test_a_readout_smooths_where_its_reach_says_so() -> None:
    y = output_of(Motion(0.5, 0))
    y[0, 3, 3] = -y[0, 3, 3]
    alone, together = MotionReadout(SPEC), MotionReadout(replace(SPEC, reach=3.0))
    for readout in (alone, together):
        readout.update(y, 9, 10_000)
    fields = [readout.field(10_000, 2, 10_000) for readout in (alone, together)]
    assert all(field is not None for field in fields)
    u, smooth = (field.velocity[0] for field in fields if field is not None)
    assert u[3, 3] == pytest.approx(-100, rel=0.02) and smooth[3, 3] > 80
    assert "Gaussian" in replace(SPEC, reach=3.0).policy() and "Gaussian" not in SPEC.policy()


def test_expansion_is_the_inverse_of_compression() -> None:
    v = np.array([[0.001, 0.3, -7.0], [0.0, -0.4, 1.0]])
    length = np.hypot(*v)
    assert np.allclose(expanded(v * np.arcsinh(length / 0.05) / length, 0.05), v)
