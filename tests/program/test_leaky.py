"""Leaky neurons by hand, in torch, in the reference and in ONNX; and that they come to rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from programs import frames

pytest.importorskip("onnx")

from edgesnn.errors import BundleError  # noqa: E402
from edgesnn.hardware.onnx_cpu import OnnxModel  # noqa: E402
from edgesnn.hardware.reference import Reference, run_sequence  # noqa: E402
from edgesnn.program import (  # noqa: E402
    Layer,
    Leaky,
    Program,
    StatePort,
    Tensor,
    initial_state,
    resting_steps,
    state_ports,
    warmup_steps,
)
from edgesnn.program.kinds.leak import leaked, potential_bound  # noqa: E402
from edgesnn.quantize.export import export  # noqa: E402
from edgesnn.stream.slicer import MAX_GAP_US, slicer_for  # noqa: E402

SUMS = Layer("sums", "x", "w", op="linear")
NEURONS = Leaky("out", "sums", "theta", "current")


def program(
    neurons: Leaky = NEURONS,
    *,
    weight: tuple[int, ...] = (1,),
    theta: tuple[int, ...] = (10,),
    current: tuple[int, ...] = (0,),
    step_us: int = 1_000,
) -> Program:
    """Return neurons that all see one input, up to 255, each by a weight of its own."""
    tensors: dict[str, Tensor] = {
        "w": np.array(weight, np.int8)[:, None],
        "theta": np.array(theta, np.int32),
        "current": np.array(current, np.int32),
    }
    return Program("leaky", step_us, (1, 1, 1), 255, (SUMS, neurons), "out", tensors)


def run(made: Program, xs: list[int]) -> tuple[list[list[int]], list[list[int]]]:
    """Return spikes and potentials after each step; every backend must agree."""
    given = np.array(xs, np.uint8).reshape(-1, 1, 1, 1)
    reference, onnx = Reference(made).stream(), OnnxModel(made, export(made)).stream()
    spikes, potentials = [], []
    for x in given:
        spikes.append(reference.step(x).tolist())
        assert onnx.step(x).tolist() == spikes[-1]
        potentials.append(reference.snapshot()["membrane_out"].tolist())
        assert onnx.snapshot()["membrane_out"].tolist() == potentials[-1]
    assert run_sequence(made, given).tolist() == spikes
    return spikes, potentials


def test_by_hand_half_is_left_and_a_spike_resets() -> None:
    """7; 3 + 7 = 10 reaches 10: spike, 0; 9; 4 + 5 = 9; 4; 2; 1; 0."""
    spikes, potentials = run(program(), [7, 7, 9, 5, 0, 0, 0, 0])
    assert [s for (s,) in spikes] == [0, 1, 0, 0, 0, 0, 0, 0]
    assert [v for (v,) in potentials] == [7, 0, 9, 9, 4, 2, 1, 0]


def test_by_hand_negative_potentials_are_rounded_towards_zero() -> None:
    """-7; -3.5 is -3; -1.5 is -1; -0.5 is 0."""
    _, potentials = run(program(weight=(-1,)), [7, 0, 0, 0])
    assert [v for (v,) in potentials] == [-7, -3, -1, 0]


def test_by_hand_the_constant_current_and_a_leak_that_is_no_half() -> None:
    """keep 192 / 256: 2; 1.5 is 1, + 2 = 3; 2.25 is 2, + 2 = 4; 3 + 2 = 5; 3.75 is 3, 5 again."""
    made = program(replace(NEURONS, keep=192), current=(2,))
    spikes, potentials = run(made, [0] * 8)
    assert [v for (v,) in potentials] == [2, 3, 4, 5, 5, 5, 5, 5]
    assert not np.any(spikes)


@pytest.mark.parametrize("keep", [0, 1, 85, 128, 250, 255])
def test_the_leak_is_the_rounded_fraction(keep: int) -> None:
    values = np.random.default_rng(keep).integers(-(2**22), 2**22, 1000).astype(np.int32)
    found = leaked(values, keep)
    assert found.dtype == np.int32
    assert found.tolist() == [int(v * keep / 256) for v in values.tolist()]


@pytest.mark.parametrize("keep", [0, 85, 128, 250])
def test_no_potential_leaves_its_bound(keep: int) -> None:
    """The largest sums for ever, of both signs: the bound holds, and is not far away."""
    made = program(
        replace(NEURONS, keep=keep), weight=(127, -127), theta=(2**22, 2**22), current=(-9, -9)
    )
    bound = made.nodes[-1].largest_sum(made)  # type: ignore[arg-type]
    assert bound == potential_bound(keep, np.array([-9]), 127 * 255)
    _, potentials = run(made, [255] * 400)
    assert 0.95 * bound < np.abs(potentials).max() <= bound


def test_state_is_the_potential_and_nothing_forgets_for_certain() -> None:
    made = program()
    assert state_ports(made) == {"membrane_out": StatePort((1,), "int32", largest=510)}
    assert warmup_steps(made) is None
    assert initial_state(made)["membrane_out"].tolist() == [0]


@pytest.mark.parametrize("seed", range(6))
def test_after_the_resting_steps_nothing_moves(seed: int) -> None:
    """From wherever the input brought it; and one step fewer is too few for some potential."""
    rng = np.random.default_rng(seed)
    keep, count = int(rng.choice([0, 100, 128, 192, 250, 255])), 30
    theta = rng.integers(1, 20_000, count)
    most = (theta * (256 - keep) - 1) // 256
    made = program(
        replace(NEURONS, keep=keep),
        weight=tuple(rng.integers(-127, 128, count)),
        theta=tuple(theta),
        current=tuple(rng.integers(-most - 1, most + 1)),
    )
    resting = resting_steps(made)
    assert resting is not None
    stream, silence = Reference(made).stream(), np.zeros((1, 1, 1), np.uint8)
    for x in frames(made, 20, seed, density=0.9):
        stream.step(x)
    for _ in range(resting):
        assert not stream.step(silence).any()
    rest = stream.snapshot()["membrane_out"]
    for _ in range(300):
        assert not stream.step(silence).any()
        assert np.array_equal(stream.snapshot()["membrane_out"], rest)
    lowest = -made.nodes[-1].largest_sum(made)  # type: ignore[arg-type]
    last = None
    for start in (np.full(count, lowest, np.int32), theta.astype(np.int32) - 1):
        stream.restore({"membrane_out": start})
        for step in range(resting + 1):
            before = stream.snapshot()["membrane_out"]
            stream.step(silence)
            if not np.array_equal(before, stream.snapshot()["membrane_out"]):
                last = max(last or 0, step + 1)
    assert last == (resting or None)


def test_the_slicer_steps_on_until_the_network_rests() -> None:
    """A slow leak in long steps: ten seconds would not do."""
    slow = program(replace(NEURONS, keep=255), weight=(127,), theta=(30_000,), step_us=1_000_000)
    resting = resting_steps(slow)
    assert resting is not None and resting * 1_000_000 > MAX_GAP_US
    assert slicer_for(slow)._longest_silence == resting  # noqa: SLF001


BAD = [
    ("out: integrates int32 sums, got uint8", {"input": "x"}, {}),
    ("out: keep is 256, wanted 0 to 255", {"keep": 256}, {}),
    ("out: keep is -1, wanted 0 to 255", {"keep": -1}, {}),
    ("out: 2 currents for 1 channels", {}, {"current": (0, 0)}),
    ("out: a neuron would fire without input", {}, {"current": (5,)}),
    ("out: a neuron would fire without input", {}, {"theta": (0,)}),
    ("out: potentials up to .* do not fit int32", {}, {"current": (-(2**24),)}),
    ("out: tensor nowhere is missing", {"current": "nowhere"}, {}),
]


@pytest.mark.parametrize(("message", "neurons", "numbers"), BAD)
def test_what_makes_no_sense_is_named(
    message: str, neurons: dict[str, str], numbers: dict[str, tuple[int, ...]]
) -> None:
    assert program(current=(4,)).values["out"].spikes  # a current of 4 stays below 10 for ever
    with pytest.raises(BundleError, match=message):
        program(replace(NEURONS, **neurons), **numbers)  # type: ignore[arg-type]
