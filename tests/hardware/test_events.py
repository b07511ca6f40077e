"""The event-driven engine: layers of every geometry, its streams, and what it refuses."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import contract_backends as contract
import numpy as np
import pytest
from programs import frames, gesture_shaped

from edgesnn.bundle import load_bundle
from edgesnn.errors import BundleError, InputError
from edgesnn.hardware import events_weights
from edgesnn.hardware.events import EventsModel
from edgesnn.hardware.events_weights import packed_weights
from edgesnn.hardware.reference import Reference, run_sequence
from edgesnn.program import Add, Concat, Fire, Layer, Leaky, Program, Upsample

built = contract.UNBUILT


def one_layer(
    seed: int, kernel: tuple[int, int], stride: int, padding: int, groups: int, filters: int = 1
) -> Program:
    """A convolution of a small map; its sums are the output."""
    rng = np.random.default_rng(seed)
    inputs, outputs = 4, 6
    shape = outputs, filters * inputs // groups, *kernel
    tensors, taps = {"w": rng.integers(-127, 128, shape, np.int8)}, None
    if filters > 1:  # as large as can be
        taps = "taps"
        tensors = {"w": rng.choice(np.array([-127, 127], np.int8), shape)}
        tensors[taps] = np.full((filters, 3), 127, np.int8)
    layer = Layer("y", "x", "w", taps, stride=stride, padding=padding, groups=groups)
    return Program("one", 1000, (inputs, 9, 7), 3, (layer,), "y", tensors)


def check(program: Program, steps: int = 12) -> None:
    xs = frames(program, steps, 1, density=0.3)
    found = contract.streamed(EventsModel(program).stream(), xs)
    assert np.array_equal(found, run_sequence(program, xs))


@built
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (5, 2), (1, 4), (9, 7)])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize("groups", [1, 2])
def test_every_geometry(kernel: tuple[int, int], stride: int, padding: int, groups: int) -> None:
    check(one_layer(7, kernel, stride, padding, groups))


@built
@pytest.mark.parametrize("groups", [1, 2, 3])
def test_filters_whose_weights_do_not_fit_16_bits_when_added_up(groups: int) -> None:
    program = one_layer(3, (3, 3), 1, 1, groups, filters=3)
    if groups == 1:  # else filters reach different outputs
        packed = packed_weights(program, program.nodes[0])  # type: ignore[arg-type]
        assert len(packed.terms) > 3  # at some lag the filters stay apart
    check(program)


@built
@pytest.mark.parametrize("stride", [1, 2])
def test_sums_of_windows_run_on(stride: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no ring has room; they end with the last input, and go on from any snapshot."""
    monkeypatch.setattr(events_weights, "_RING_BYTES", 0)
    one = one_layer(5, (3, 3), stride, 1, 1, filters=2)
    taps = np.zeros((2, 9), np.int8)
    taps[0, :3], taps[1, 3:9] = 1, 2
    program = replace(one, tensors=one.tensors | {"taps": taps})
    packed = packed_weights(program, program.nodes[0])  # type: ignore[arg-type]
    assert packed.running and packed.terms[:, 0].tolist() == [0, 3, 9]
    xs = frames(program, 60, 1, density=0.1)
    xs[20:45] = 0
    wanted = run_sequence(program, xs)
    assert wanted[22].any() and not wanted[35].any()
    stream, reference = EventsModel(program).stream(), Reference(program).stream()
    for t, x in enumerate(xs):
        assert np.array_equal(stream.step(x), wanted[t])
        reference.step(x)
        if t % 7 == 0:  # snapshots hold one step less than the engine remembers
            stream = EventsModel(program).stream()
            stream.restore(reference.snapshot())
        if t == 50:
            stream.reset()
            again = np.stack([stream.step(x).copy() for x in xs[:15]])
            assert np.array_equal(again, wanted[:15])
            stream.restore(reference.snapshot())


@built
def test_thresholds_of_nothing_fire_without_events() -> None:
    """A threshold of 0 or less is reached by a silent neuron: nothing may be skipped."""
    program = one_layer(1, (3, 3), 1, 1, 1)
    theta = np.array([0, -5, 1, 9, 2, 0], np.int32)
    layer = replace(program.nodes[0], threshold="theta")
    tensors = program.tensors | {"theta": theta}
    check(Program("one", 1000, (4, 9, 7), 3, (layer,), "y", tensors))  # type: ignore[arg-type]
    silent = np.zeros((3, 4, 9, 7), np.uint8)
    made = Program("one", 1000, (4, 9, 7), 3, (layer,), "y", tensors)  # type: ignore[arg-type]
    assert contract.streamed(EventsModel(made).stream(), silent).any()


@built
def test_a_shipped_network_through_its_whole_parity_vector() -> None:
    """Outputs and the state of the end, with a snapshot carried over in the middle."""
    bundle = load_bundle("keyword")
    stream, parity = EventsModel(bundle.program).stream(), bundle.parity
    half = len(parity["x"]) // 2
    assert np.array_equal(contract.streamed(stream, parity["x"][:half]), parity["y"][:half])
    other = Reference(bundle.program).stream()
    other.restore(stream.snapshot())
    stream.reset()
    stream.restore(other.snapshot())
    assert np.array_equal(contract.streamed(stream, parity["x"][half:]), parity["y"][half:])
    assert all(np.array_equal(found, parity[name]) for name, found in stream.snapshot().items())


@built
def test_many_streams_of_one_model_on_many_threads() -> None:
    program = gesture_shaped()
    model = EventsModel(program)
    sequences = [frames(program, 60, seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda xs: contract.streamed(model.stream(), xs), sequences))
    for ys, xs in zip(found, sequences, strict=True):
        assert np.array_equal(ys, run_sequence(program, xs))


@built
def test_streams_may_outlive_the_plan_when_a_program_ends() -> None:
    """What is let go in a circle, or by an interpreter that ends, is let go in any order."""
    model = EventsModel(gesture_shaped())
    stream = model.stream()
    model.__del__()
    model.plan = None
    stream.__del__()
    stream._stream = None


@built
def test_a_level_above_the_programs_is_refused_and_changes_nothing() -> None:
    """All bounds rest on it: sums of 16 bits would wrap, pools of 8 bits too."""
    program = gesture_shaped()
    stream, xs = EventsModel(program).stream(), frames(program, 20, 4)
    contract.streamed(stream, xs[:10])
    wrong = xs[10].copy()
    wrong[0, 0, 0] = program.input_high + 1
    with pytest.raises(InputError, match=f"takes levels up to {program.input_high}, got"):
        stream.step(wrong)
    assert np.array_equal(contract.streamed(stream, xs[10:]), run_sequence(program, xs)[10:])


@built
def test_tensors_that_are_views_of_others_are_read_before_they_go() -> None:
    rng = np.random.default_rng(0)
    layer = Layer("sums", "x", "w", padding=1)
    neurons = Leaky("y", "sums", "theta", "current", 200)
    tensors = {
        "w": rng.integers(-9, 10, (6, 2, 3, 3), np.int8),
        "theta": rng.integers(20, 60, 12, np.int32)[::2],
        "current": rng.integers(-3, 1, 12, np.int32)[::2],
    }
    check(Program("views", 1000, (2, 9, 7), 3, (layer, neurons), "y", tensors))


@built
def test_sizes_and_steps_that_do_not_fit_are_refused() -> None:
    tensors = {"w": np.ones((1, 1, 1, 1), np.int8)}
    far = Layer("y", "x", "w", stride=2**32)
    wide = Upsample("y", "x", 2**15)
    for node, said in ((far, "y: stride is 4294967296"), (wide, "y: .* takes values up to")):
        with pytest.raises(BundleError, match=said):
            EventsModel(Program("large", 1000, (1, 1, 1), 1, (node,), "y", tensors))


@built
def test_streams_are_forked_not_copied() -> None:
    model = EventsModel(gesture_shaped())
    for thing in (model, model.stream()):
        with pytest.raises(TypeError, match="is not copied"):
            copy.copy(thing)


@built
def test_maps_side_by_side_and_sums_made_larger() -> None:
    """Flat values concatenated, int32 upsampled, taps of nothing, kernels larger than the map."""
    rng = np.random.default_rng(2)
    nodes = (
        Layer("a", "x", "wide", "nothing", padding=3),
        Layer("b", "x", "wide", "late", padding=3),
        Add("sum", ("a", "b"), None),
        Upsample("large", "sum", 2),
        Fire("fired", "large", "theta"),
        Layer("one", "fired", "line", threshold="theta", op="linear"),
        Layer("two", "x", "short", threshold="theta", op="linear"),
        Concat("both", ("one", "two", "one")),
        Layer("y", "both", "last", op="linear"),
    )
    tensors = {
        "wide": rng.integers(-9, 10, (3, 2, 7, 7), np.int8),
        "nothing": np.zeros((1, 4), np.int8),
        "late": np.array([[0, 0, -2, 0]], np.int8),
        "theta": np.array([5, 0, 9], np.int32),
        "line": rng.integers(-9, 10, (3, 3 * 8 * 6), np.int8),
        "short": rng.integers(-9, 10, (3, 2 * 4 * 3), np.int8),
        "last": rng.integers(-9, 10, (4, 9), np.int8),
    }
    check(Program("sides", 1000, (2, 4, 3), 5, nodes, "y", tensors), steps=30)


@built
def test_delays_go_on_from_any_snapshot() -> None:
    """Every seven steps, longer than the longest delay, into a stream in the middle of others."""
    rng = np.random.default_rng(5)
    tensors = {
        "w": rng.integers(-9, 10, (5, 24), np.int8),
        "d": rng.integers(0, 4, (5, 24), np.int8),
        "taps": np.array([[3, -2]], np.int8),
    }
    layer = Layer("y", "x", "w", "taps", op="linear", delays="d")
    program = Program("delays", 1000, (2, 4, 3), 3, (layer,), "y", tensors)
    xs = frames(program, 60, 2, density=0.5)
    wanted = run_sequence(program, xs)
    model = EventsModel(program)
    stream, other = model.stream(), model.stream()
    for t, x in enumerate(xs):
        assert np.array_equal(stream.step(x), wanted[t])
        if t % 7 == 6:
            other.step(xs[-t])
            other.restore(stream.snapshot())
            stream, other = other, stream
