from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from programs import READOUT, frames, gesture_shaped, random_program  # noqa: E402

from edgesnn.errors import BundleError  # noqa: E402
from edgesnn.hardware.onnx_cpu import OnnxModel  # noqa: E402
from edgesnn.hardware.reference import run_sequence  # noqa: E402
from edgesnn.program import (  # noqa: E402
    Add,
    Fire,
    Integrate,
    Layer,
    Leaky,
    Program,
    Tensor,
    Upsample,
    state_ports,
)
from edgesnn.program.kinds.layer_kernels import (  # noqa: E402
    fits_float32,
    fits_int8,
    fits_rescaling,
    spike_rescaling,
)
from edgesnn.quantize.export import export  # noqa: E402
from edgesnn.quantize.guard import guard, random_inputs  # noqa: E402


def one_layer(weight: Tensor, theta: int, *, high: int, taps: Tensor | None = None) -> Program:
    """Return a program of one spiking 1 x 1 convolution on 2 x 2 cells."""
    channels = weight.shape[1] // (1 if taps is None else len(taps))
    tensors = {"w": weight[..., None, None], "theta": np.full(len(weight), theta, np.int32)}
    if taps is not None:
        tensors["taps"] = taps
    layer = Layer("a", "x", "w", None if taps is None else "taps", "theta")
    return Program("one", 1_000, (channels, 2, 2), high, (layer,), "a", tensors)


def ran(program: Program, xs: Tensor, graph: bytes | None = None) -> Tensor:
    stream = OnnxModel(program, graph or export(program)).stream()
    return np.stack([stream.step(x).copy() for x in xs])


def exact(program: Program, xs: Tensor) -> bool:
    return np.array_equal(ran(program, xs), run_sequence(program, xs))


def test_graphs_use_standard_operators_and_names_that_are_identifiers() -> None:
    for program in (gesture_shaped(), *map(random_program, range(10))):
        model = onnx.load_from_string(export(program))
        assert [(o.domain, o.version) for o in model.opset_import] == [("", 18)]
        assert {node.domain for node in model.graph.node} == {""}
        states = list(state_ports(program))
        assert [i.name for i in model.graph.input] == ["x", *states]
        assert [o.name for o in model.graph.output] == ["y", *(f"new_{n}" for n in states)]
        names = {n for node in model.graph.node for n in (*node.input, *node.output)} - {""}
        assert all(name.isidentifier() for name in names)


def test_a_shared_kernel_is_stored_once() -> None:
    model = onnx.load_from_string(export(gesture_shaped()))
    stored = [t for t in model.graph.initializer if "_w_" in t.name]
    uses = [n.input[3] for n in model.graph.node if n.op_type == "QLinearConv"]
    assert sorted(t.name for t in stored) == [
        "matrix_w_scores", "weight_w_down", "weight_w_far", "weight_w_motion", "weight_w_near",
    ]  # fmt: skip
    assert uses.count("weight_w_near") == 2 and uses.count("weight_w_far") == 2


@pytest.mark.parametrize(
    "weight", ["x", "y", "float32_1", "out_a", "theta_a", "state_a", "a.weight"]
)
def test_a_tensor_may_have_any_name(weight: str) -> None:
    """A program's names are its own: none may clash with what the exporter adds."""
    tensors = {weight: np.ones((3, 2, 1, 1), np.int8), "t": np.ones(3, np.int32)}
    tensors["k"] = np.array([[2, -1]], np.int8)
    for high in (7, 255):
        layer = Layer("a", "x", weight, "k", "t")
        program = Program("p", 1_000, (2, 4, 4), high, (layer,), "a", tensors)
        assert exact(program, frames(program, 9, 1))


@pytest.mark.parametrize("name", ["highest", "lowest", "keep_128", "keep_of_256"])
@pytest.mark.parametrize("kind", ["fire", "integrate", "leaky"])
def test_a_node_may_be_named_like_a_constant(name: str, kind: str) -> None:
    """Also beside one of another type: keep is int32 for one kind and int64 for the other."""
    tensors = {
        "w": np.ones((3, 8), np.int8),
        "theta": np.full(3, 5, np.int32),
        "none": np.zeros(3, np.int32),
        "v": np.ones((3, 3), np.int8),
    }
    own = {
        "fire": Fire(name, "h", "theta"),
        "integrate": Integrate(name, "h", "theta", "none", keep=128),
        "leaky": Leaky(name, "h", "theta", "none", keep=128),
    }[kind]
    nodes = (
        Layer("h", "x", "w", op="linear"),
        own,
        Layer("g", name, "v", op="linear"),
        Leaky("a", "g", "theta", "none", keep=129),
        Layer("f", "a", "v", op="linear"),
        Integrate("b", "f", "theta", "none", keep=129),
    )
    program = Program("named", 1000, (2, 2, 2), 1, nodes, "b", tensors)
    assert exact(program, frames(program, 30, 0))


def test_a_node_may_be_named_like_another_and_a_number() -> None:
    """Sums on the way to a sum of three must not take the name of a node's own."""
    tensors = {"w": np.ones((3, 2, 1, 1), np.int8), "v": np.ones((4, 48), np.int8)}
    thresholds = {"t": np.full(3, 9, np.int32), "s": np.arange(4, dtype=np.int32) * 6}
    nodes = (
        Layer("b", "x", "w"),
        Add("a", ("b", "b", "b"), "t"),
        Layer("a_2", "a", "v", None, "s", op="linear"),
    )
    program = Program("p", 1_000, (2, 4, 4), 7, nodes, "a_2", {**tensors, **thresholds})
    assert exact(program, frames(program, 9, 1))


def test_the_same_program_gives_the_same_bytes() -> None:
    assert export(gesture_shaped(), readout=READOUT) == export(gesture_shaped(), readout=READOUT)
    assert export(gesture_shaped(1)) != export(gesture_shaped())


def test_the_graph_says_what_one_needs_to_run_it() -> None:
    program = gesture_shaped()
    graph = export(program, readout=READOUT, license="CC-BY-4.0")
    model = onnx.load_from_string(graph)
    about = {entry.key: entry.value for entry in model.metadata_props}
    states = ["motion", "near1", "near2", "down", "far1", "far2"]
    assert about.pop("comment").startswith("gesture: one step")
    assert about.pop("version")
    assert about.pop("exit_policy").startswith("evidence += y - (evidence >> 4); decide when")
    for name in states:
        shape = ",".join(str(n) for n in state_ports(program)[f"state_{name}"].shape)
        assert about.pop(f"state_{name}_shape") == shape
        assert about.pop(f"state_{name}_dtype") == "uint8"
        assert about.pop(f"state_{name}_init") == "zeros"
    assert about == {
        "model_type": "edgesnn-step",
        "model_author": "edgesnn",
        "license": "CC-BY-4.0",
        "step_us": "25000",
        "input_layout": "1,polarity,y,x uint8 levels 0..7",
        "labels": ",".join(READOUT.labels),
        "state_names": ",".join(f"state_{name}" for name in states),
        "warmup_steps": "28",
        "psn_k": "6",
        "max_delay": "3",
        "quant": "weights and taps int8, activations uint8, sums int32, exact",
        "program_sha256": program.sha256,
    }


def test_a_program_without_memory_says_that_it_has_no_state() -> None:
    program = one_layer(np.ones((1, 2), np.int8), 1, high=1)
    model = onnx.load_from_string(export(program))
    assert {e.key: e.value for e in model.metadata_props}["state_names"] == ""
    assert [o.name for o in model.graph.output] == ["y"]


@pytest.mark.parametrize("high", [1, 40, 129])
@pytest.mark.parametrize("theta", [-500, 0, 1, 2, 127, 128, 10_000, 65_532, 65_533, 2_000_000])
def test_the_rescaling_compares_exactly(high: int, theta: int) -> None:
    """Every sum within 2 of the threshold, both ends, and thresholds that nothing can meet."""
    rows = [[127] * 4, [1] * 4, [-127] * 4, [127, 1, 0, -1], [127, -127, 127, -127]]
    program = one_layer(np.array(rows, np.int8), theta, high=high)
    assert fits_int8(program, program.nodes[0])
    rng = np.random.default_rng(theta % 1000 + high)
    xs = rng.integers(0, high + 1, (60, 4, 2, 2)).astype(np.uint8)
    xs[0], xs[1] = high, 0
    xs[2:8, :, 0, 0] = np.minimum(
        high, np.array([[theta // 508 + i] * 4 for i in range(-3, 3)]).clip(0)
    )
    assert exact(program, xs)


@pytest.mark.parametrize("octave", [1, 8, 15, 21, 22])
def test_the_rescaling_holds_in_float32_arithmetic(octave: int) -> None:
    """What the kernel does with sums next to a threshold: one multiplication, one rounding."""
    highest = 2**octave - 1
    weight = np.zeros((1, max(1, highest // 127 + 1)), np.int8)
    weight[0, : highest // 127] = 127
    weight[0, -1] = highest % 127
    program = one_layer(weight, 0, high=1)
    rescaling = spike_rescaling(program, program.nodes[0])
    assert rescaling.scale == 2**octave + 1
    assert fits_rescaling(program, program.nodes[0])
    sums = np.array([-(2**23), -1, 0, 1, highest // 2, highest])
    scaled = (sums + rescaling.bias[0]).astype(np.float32) * (
        np.float32(1) / np.float32(rescaling.scale)
    )
    assert np.clip(np.rint(scaled), 0, 255).tolist() == [0, 0, 1, 1, 1, 1]
    margin = np.abs(scaled[1:3].astype(np.float64) - 0.5)
    assert margin.min() > 2.0**-24


@pytest.mark.parametrize(
    ("weight", "high", "taps", "fits"),
    [
        ([127, 127, 1], 129, None, True),
        ([127, 127, 1], 130, None, False),
        ([-128, -127], 128, None, True),
        ([-128, -128], 128, None, False),
        ([127, 127, 1], 6, [7, -7, 7], True),  # a spike is worth -7 to 14: 21 stored levels
        ([127, 127, 1], 7, [7, -7, 7], False),
        ([1, 1], 255, [1], True),
        ([1, 1], 255, [1, -1], False),  # more than 256 levels
    ],
)
def test_narrow_kernels_are_used_only_where_no_pair_of_products_can_saturate(
    weight: list[int], high: int, taps: list[int] | None, fits: bool
) -> None:
    given = None if taps is None else np.array([taps], np.int8)
    program = one_layer(np.array([weight], np.int8), 5, high=high, taps=given)
    assert fits_int8(program, program.nodes[0]) == fits
    xs = np.full((4, len(weight), 2, 2), high, np.uint8)
    xs[2] = 0
    assert exact(program, xs)


@pytest.mark.parametrize("high", [129, 130, 255])
def test_largest_inputs_meet_largest_weights(high: int) -> None:
    """Where pairs of products would saturate int16, another kernel must be chosen."""
    for sign in (1, -1):
        weight = np.full((4, 8), 127 * sign, np.int8)
        weight[1, 1::2] *= -1
        program = one_layer(weight, 127 * high * 7, high=high)
        xs = np.full((3, 8, 2, 2), high, np.uint8)
        xs[1, 1::2] = 0
        assert exact(program, xs)
        linear = Layer("a", "x", "w", op="linear")
        tensors = {"w": np.repeat(weight, 4, axis=1)}
        sums = Program("sums", 1_000, (8, 2, 2), high, (linear,), "a", tensors)
        assert exact(sums, xs)


def test_sums_beyond_float32_are_refused() -> None:
    weight = np.full((1, 520), 127, np.int8)
    fitting = one_layer(weight[:, :518], 5, high=255)
    assert fits_float32(fitting, fitting.nodes[0])
    assert exact(fitting, np.full((1, 518, 2, 2), 255, np.uint8))
    with pytest.raises(BundleError, match="a: sums from 0 to 16840200 can leave the range"):
        export(one_layer(weight, 5, high=255))


def test_a_threshold_too_sharp_for_the_rescaling_takes_another_kernel() -> None:
    """Sums up to 2**22: int8 weights and counts alone would allow the 8-bit kernel."""
    weight = np.full((1, 330), 127, np.int8)
    weight[0, -5:] = 1
    program = one_layer(weight, 3, high=129)
    assert fits_int8(program, program.nodes[0]) and not fits_rescaling(program, program.nodes[0])
    xs = np.zeros((4, 330, 2, 2), np.uint8)
    xs[0], xs[1, -3:], xs[2, -2:] = 129, 1, 1
    assert run_sequence(program, xs)[:, 0, 0, 0].tolist() == [1, 1, 0, 0]
    assert exact(program, xs)


def test_sums_can_be_upsampled_and_added_alone_or_together() -> None:
    nodes = (
        Layer("low", "x", "w"),
        Upsample("up", "low", 3),
        Add("same", ("up",)),
        Add("three", ("up", "same", "up"), "theta"),
    )
    weight = np.array([[3, -2], [-1, 1]], np.int8)[..., None, None]
    tensors = {"w": weight, "theta": np.array([4, 1], np.int32)}
    program = Program("sums", 1_000, (2, 2, 3), 5, nodes, "three", tensors)
    xs = frames(program, 12, 1, density=0.6)
    assert 0 < run_sequence(program, xs).mean() < 1
    assert exact(program, xs)
    assert exact(replace(program, nodes=nodes[:3], output="same"), xs)


def test_the_guard_passes_exact_graphs_and_real_inputs() -> None:
    program = random_program(3)
    guard(program, export(program), steps=60, xs=frames(program, 10, 1))


def test_the_guards_inputs_are_sparse_dense_and_largest() -> None:
    program = random_program(3)
    xs = np.stack(list(random_inputs(program, 200)))
    rates = [round(float((part > 0).mean()), 1) for part in np.split(xs, 10)]
    assert min(rates) < 0.1 and rates.count(1.0) == 2 and xs.max() == program.input_high
    assert any((part == program.input_high).all() for part in np.split(xs, 10))


def test_the_guard_names_the_first_difference() -> None:
    """One threshold off by one: the graph of another program under this one's hash."""
    program = gesture_shaped()
    theta = program.tensors["theta_far2"].copy()
    theta[7] += 40
    other = replace(program, tensors={**program.tensors, "theta_far2": theta})
    graph = export(other).replace(other.sha256.encode(), program.sha256.encode())
    with pytest.raises(BundleError, match=r"at step \d+: y\[\d+\] is -?\d+, wanted -?\d+"):
        guard(program, graph)


def test_the_guard_notices_a_lost_state() -> None:
    """The state is handed on one step too old: the outputs of the first step are still right."""
    program = gesture_shaped()
    model = onnx.load_from_string(export(program))
    (cut,) = [n for n in model.graph.node if n.output[0] == "new_state_near1"]
    cut.input[1], cut.input[2] = "at_1", "at_6"
    for name, value in (("at_1", 1), ("at_6", 6)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([value]), name))
    with pytest.raises(
        BundleError, match=r"step \d+: state_near1\[0, \d+, \d+, \d+\] is 0, wanted 1"
    ):
        guard(program, model.SerializeToString())
