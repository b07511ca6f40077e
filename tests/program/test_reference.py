from __future__ import annotations

import itertools

import numpy as np
import pytest
from programs import frames, random_program

from edgesnn.errors import InputError
from edgesnn.hardware.reference import Reference, run_sequence, trace
from edgesnn.program import Add, Concat, Layer, Node, Pool, Program, Tensor, Upsample, initial_state

FILTERED = Layer("a", "x", "w", "taps")


def int8(*values: object) -> Tensor:
    return np.array(values, np.int8)


def program(shape: tuple[int, int, int], high: int, *nodes: Node, **tensors: Tensor) -> Program:
    return Program("by_hand", 1_000, shape, high, nodes, nodes[-1].name, tensors)


def sequence(*values: int) -> Tensor:
    return np.array(values, np.uint8).reshape(-1, 1, 1, 1)


def test_no_steps_give_no_outputs() -> None:
    for seed in range(10):
        program = random_program(seed)
        given = np.zeros((0, *program.input_shape), np.uint8)
        assert run_sequence(program, given).shape == (0, *program.output_shape)


def test_a_sliding_psn_by_hand() -> None:
    """H[t] = 2 (3 x[t] + 2 x[t-1] - x[t-2]); it fires from 6 on."""
    nodes = (Layer("a", "x", "w", "taps", "theta"),)
    tensors = {"w": int8([[[2]]]), "taps": int8([3, 2, -1]), "theta": np.array([6], np.int32)}
    sums = program((1, 1, 1), 1, Layer("a", "x", "w", "taps"), **tensors)
    xs = sequence(1, 1, 0, 0, 1, 0, 1)
    assert run_sequence(sums, xs).ravel().tolist() == [6, 10, 2, -2, 6, 4, 4]
    assert run_sequence(program((1, 1, 1), 1, *nodes, **tensors), xs).ravel().tolist() == [
        1, 1, 0, 0, 1, 0, 0,
    ]  # fmt: skip


def test_filters_are_channels_of_their_own_and_unit_vectors_are_delays() -> None:
    """Two filters over two channels: weight order is filter 0's channels, then filter 1's."""
    weight = int8([[[1]], [[10]], [[100]], [[-7]]])
    p = program(
        (2, 1, 1), 3, Layer("a", "x", "w", "taps"), w=weight, taps=int8([1, 0, 0], [0, 0, 1])
    )
    xs = np.array([[1, 2], [3, 0], [0, 1], [0, 0]], np.uint8).reshape(4, 2, 1, 1)
    assert run_sequence(p, xs).ravel().tolist() == [21, 3, 10 + 100 - 14, 300]


def test_convolution_is_the_sum_that_its_definition_says() -> None:
    """Strides, padding, groups and uneven kernels against the plain sum over all indices."""
    rng = np.random.default_rng(1)
    for stride, padding, groups, kernel in (
        (1, 0, 1, (2, 3)),
        (2, 1, 2, (3, 3)),
        (3, 2, 4, (1, 2)),
    ):
        weight = rng.integers(-128, 128, (4, 4 // groups, *kernel)).astype(np.int8)
        node = Layer("a", "x", "w", stride=stride, padding=padding, groups=groups)
        p = program((4, 6, 5), 255, node, w=weight)
        x = rng.integers(0, 256, (4, 6, 5)).astype(np.uint8)
        found = run_sequence(p, x[None])[0]
        padded = np.zeros((4, 6 + 2 * padding, 5 + 2 * padding), int)
        padded[:, padding : padding + 6, padding : padding + 5] = x
        for out, row, column in itertools.product(*map(range, found.shape)):
            total = 0
            for i, dy, dx in itertools.product(*map(range, weight.shape[1:])):
                channel = out // (4 // groups) * (4 // groups) + i
                seen = padded[channel, row * stride + dy, column * stride + dx]
                total += int(weight[out, i, dy, dx]) * int(seen)
            assert found[out, row, column] == total


def test_a_linear_layer_takes_channel_row_column_in_this_order() -> None:
    weight = int8([1, 2, 3, 4, 5, 6, 7, 8], [0, 0, 0, 0, 0, 0, 0, -128])
    p = program((2, 2, 2), 9, Layer("a", "x", "w", op="linear"), w=weight)
    x = np.array([[[9, 0], [0, 1]], [[0, 0], [0, 2]]], np.uint8)
    assert run_sequence(p, x[None]).tolist() == [[9 + 4 + 16, -256]]


def test_pools_upsampling_concatenation_and_addition_by_hand() -> None:
    nodes = (
        Pool("sum", "x", 2, "sum"),
        Pool("any", "x", 2, "or"),
        Concat("both", ("sum", "any")),
        Upsample("up", "both", 2),
        Layer("left", "up", "w"),
        Layer("right", "up", "w"),
        Add("twice", ("left", "right")),
    )
    p = program((1, 2, 4), 1, *nodes, w=int8([[[3]], [[-50]]]))
    x = np.array([[[0, 1, 0, 0], [1, 1, 0, 0]]], np.uint8)
    outputs, _ = trace(p, x, initial_state(p))
    assert outputs["sum"].tolist() == [[[3, 0]]]
    assert outputs["any"].tolist() == [[[1, 0]]]
    assert outputs["both"].tolist() == [[[3, 0]], [[1, 0]]]
    assert outputs["up"].tolist() == [[[3, 3, 0, 0]] * 2, [[1, 1, 0, 0]] * 2]
    assert outputs["twice"].tolist() == [[[-82, -82, 0, 0]] * 2]
    fires = program((1, 2, 4), 1, *nodes[:-1], Add("twice", ("left", "right"), "theta"),
                    w=int8([[[3]], [[-50]]]), theta=np.array([0], np.int32))  # fmt: skip
    assert run_sequence(fires, x[None])[0].tolist() == [[[0, 0, 1, 1]] * 2]


def test_the_state_is_the_past_newest_first() -> None:
    p = program(
        (1, 1, 1), 9, Layer("a", "x", "w", "taps"), w=int8([[[1]]]), taps=int8([1, 1, 1, 1])
    )
    stream = Reference(p).stream()
    for value in (5, 6, 7, 8):
        stream.step(sequence(value)[0])
    assert stream.snapshot()["state_a"].ravel().tolist() == [8, 7, 6]
    after_one = Reference(p).stream()
    after_one.step(sequence(4)[0])
    assert after_one.snapshot()["state_a"].ravel().tolist() == [4, 0, 0]


def test_trace_changes_nothing_it_is_given() -> None:
    for seed in (1, 2, 3):
        p = random_program(seed)
        state = initial_state(p)
        for tensor in state.values():
            tensor[:] = 1
        x = frames(p, 1, seed)[0]
        kept = x.copy()
        outputs, after = trace(p, x, state)
        assert set(outputs) == {"x", *(node.name for node in p.nodes)}
        assert np.array_equal(x, kept) and all((tensor == 1).all() for tensor in state.values())
        assert not any(np.shares_memory(after[n], state[n]) for n in state)


def test_values_stay_within_the_bounds_and_reach_them() -> None:
    """The largest sum is reached by the input that lights every positive weight."""
    weight = int8([[[5]], [[-3]], [[7]]])
    p = program((3, 1, 1), 4, Layer("a", "x", "w", "taps"), w=weight, taps=int8([2, -1]))
    assert (p.values["a"].low, p.values["a"].high) == (-(12 * 4 + 3 * 8), 12 * 8 + 3 * 4)
    best = np.array([[0, 4, 0], [4, 0, 4]], np.uint8).reshape(2, 3, 1, 1)
    worst = np.array([[4, 0, 4], [0, 4, 0]], np.uint8).reshape(2, 3, 1, 1)
    assert run_sequence(p, best)[1].item() == 108
    assert run_sequence(p, worst)[1].item() == -72


def test_a_sequence_of_the_wrong_kind_is_refused() -> None:
    p = random_program(1)
    xs = frames(p, 4, 1)
    with pytest.raises(InputError, match=r"frames of shape \(steps, \.\.\.\) of .*, got float32"):
        run_sequence(p, xs.astype(np.float32))
    with pytest.raises(InputError, match="takes uint8 frames"):
        run_sequence(p, xs[0])
