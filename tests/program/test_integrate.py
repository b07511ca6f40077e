"""Integrate-and-fire neurons of the integer program: worked out by hand, limits, rest, bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgesnn.errors import BundleError
from edgesnn.hardware.reference import Reference, run_sequence
from edgesnn.program import Integrate, Layer, Program, resting_steps
from edgesnn.program.kinds.integrate import LIMIT
from edgesnn.stream.slicer import MAX_GAP_US, slicer_for


def one_neuron(theta: int = 10, current: int = 0, weight: int = 1, **settings) -> Program:
    """A neuron on one input of 0 to 7."""
    nodes = (
        Layer("sums", "x", "w", op="linear"),
        Integrate("neuron", "sums", "theta", "current", **settings),
        Layer("out", "neuron", "one", op="linear"),
    )
    tensors = {
        "w": np.array([[weight]], np.int8),
        "one": np.array([[1]], np.int8),
        "theta": np.array([theta], np.int32),
        "current": np.array([current], np.int32),
    }
    return Program("one", 1000, (1, 1, 1), 7, nodes, "out", tensors)


def spikes(program: Program, xs: list[int]) -> list[int]:
    return run_sequence(program, np.array(xs, np.uint8).reshape(-1, 1, 1, 1))[:, 0].tolist()


def test_each_reset_by_hand() -> None:
    xs = [4, 4, 4, 7, 7, 0, 0]  # 4 8 12
    assert spikes(one_neuron(reset="zero"), xs) == [0, 0, 1, 0, 1, 0, 0]
    assert spikes(one_neuron(reset="subtract"), xs) == [0, 0, 1, 0, 1, 0, 0]
    assert spikes(one_neuron(reset="subtract"), [7, 7, 7, 7]) == [0, 1, 1, 0]
    assert spikes(one_neuron(reset="zero"), [7, 7, 7, 7]) == [0, 1, 0, 1]
    assert spikes(one_neuron(reset="none"), [4, 4, 4, 0, 0]) == [0, 0, 1, 1, 1]


def test_a_leak_of_a_half_and_finer_bits() -> None:
    # 7, 3.5 + 7 = 10.5: with whole numbers 3 + 7 = 10
    assert spikes(one_neuron(theta=10, keep=2048), [7, 7]) == [0, 1]
    assert spikes(one_neuron(theta=11, keep=2048), [7, 7]) == [0, 0]
    assert spikes(one_neuron(theta=21, keep=2048, bits=1), [7, 7]) == [0, 1]
    assert spikes(one_neuron(theta=22, keep=2048, bits=1), [7, 7]) == [0, 0]


def test_the_leak_rounds_towards_zero_on_both_sides() -> None:
    for weight in (1, -1):
        stream = Reference(one_neuron(theta=100, keep=2048, weight=weight)).stream()
        for x in (7, 0, 0, 0):
            stream.step(np.full((1, 1, 1), x, np.uint8))
        assert stream.snapshot()["membrane_neuron"][0] == 0


def test_potentials_stop_at_the_limit() -> None:
    program = one_neuron(theta=LIMIT, weight=-127, bits=16)
    stream = Reference(program).stream()
    for _ in range(40):
        stream.step(np.full((1, 1, 1), 7, np.uint8))
    assert stream.snapshot()["membrane_neuron"][0] == -LIMIT


def test_a_current_alone_makes_a_neuron_fire_and_the_network_never_rests() -> None:
    program = one_neuron(theta=10, current=3)
    assert spikes(program, [0] * 9) == [0, 0, 0, 1, 0, 0, 0, 1, 0]
    assert resting_steps(program) is None
    assert slicer_for(program)._longest_silence > 10**12
    still = one_neuron()
    assert resting_steps(still) == 0 and slicer_for(still)._longest_silence == MAX_GAP_US // 1000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"keep": 4097}, "keep is 4097"),
        ({"bits": 17}, "bits is 17"),
        ({"reset": "half"}, "reset is 'half'"),
        ({"theta": 0}, "thresholds go from 1"),
        ({"theta": 1, "current": LIMIT}, "take fewer bits"),
    ],
)
def test_what_is_no_neuron_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        one_neuron(**settings)  # type: ignore[arg-type]
    program = one_neuron()
    with pytest.raises(BundleError, match="2 currents for 1 channels"):
        replace(program, tensors={**program.tensors, "current": np.zeros(2, np.int32)})


def test_a_leak_for_each_channel_is_that_leak_alone() -> None:
    """Three neurons of different leaks fire as three networks of one neuron each."""
    leaks, xs = [4096, 2048, 300], np.random.default_rng(0).integers(0, 8, (60, 1, 1, 1), np.uint8)
    nodes = (
        Layer("sums", "x", "w", op="linear"),
        Integrate("neuron", "sums", "theta", "current", leak="leak", bits=2),
    )
    tensors = {
        "w": np.ones((3, 1), np.int8),
        "theta": np.full(3, 50, np.int32),
        "current": np.zeros(3, np.int32),
        "leak": np.array(leaks, np.int32),
    }
    program = Program("three", 1000, (1, 1, 1), 7, nodes, "neuron", tensors)
    found = run_sequence(program, xs)
    for at, keep in enumerate(leaks):
        alone = run_sequence(one_neuron(theta=50, keep=keep, bits=2), xs)
        assert np.array_equal(found[:, at], alone[:, 0])
    assert found.any(axis=0).tolist() == [True, True, False]
    assert Reference(program).stream().step(xs[0]).shape == (3,)


@pytest.mark.parametrize(
    ("leak", "keep", "said"),
    [
        (np.array([4097], np.int32), 4096, "leaks go from 0 to 4096"),
        (np.array([1, 2], np.int32), 4096, "leak is one a channel"),
        (np.array([1], np.int32), 4000, "keep 4096 beside it"),
        (np.array([1.0], np.float32), 4096, "wanted int32"),
    ],
)
def test_a_leak_that_is_none_is_refused(leak: np.ndarray, keep: int, said: str) -> None:
    program = one_neuron()
    node = replace(program.nodes[1], leak="leak", keep=keep)  # type: ignore[call-arg]
    nodes = (program.nodes[0], node, program.nodes[2])
    with pytest.raises(BundleError, match=said):
        replace(program, nodes=nodes, tensors=program.tensors | {"leak": leak})
