from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from programs import frames, gesture_shaped, random_program

from edgesnn.errors import BundleError
from edgesnn.hardware.reference import Reference, run_sequence
from edgesnn.program import (
    Add,
    Concat,
    Fire,
    Integrate,
    Layer,
    Leaky,
    Node,
    Pool,
    Program,
    StatePort,
    Tensor,
    Upsample,
    from_dict,
    initial_state,
    state_ports,
    to_dict,
    warmup_steps,
)


def tiny(*nodes: Node, output: str | None = None, **tensors: Tensor) -> Program:
    """Return a program on x (2, 4, 4) of counts up to 7 with these nodes."""
    return Program("tiny", 1_000, (2, 4, 4), 7, nodes, output or nodes[-1].name, tensors)


W = np.ones((3, 2, 3, 3), np.int8)
THETA = np.ones(3, np.int32)
SPIKES = Layer("s", "x", "w", threshold="theta", padding=1)
SUMS = Layer("h", "x", "w", padding=1)


def test_a_program_survives_being_written_down() -> None:
    for seed in range(5):
        program = random_program(seed)
        again = from_dict(json.loads(json.dumps(to_dict(program))), program.tensors)
        assert again == program and again.sha256 == program.sha256
        assert again.values == program.values


def test_the_hash_depends_on_everything() -> None:
    program = tiny(SPIKES, w=W, theta=THETA)
    other = W.copy()
    other[2, 1, 2, 2] = 2
    changed = [
        replace(program, name="other"),
        replace(program, step_us=2_000),
        replace(program, input_high=6),
        replace(program, tensors={"w": other, "theta": THETA}),
        replace(program, tensors={"w": W, "theta": THETA + 1}),
        replace(program, tensors={"w": W, "theta": THETA, "unused": THETA}),
        tiny(replace(SPIKES, padding=0), w=W, theta=THETA),
    ]
    assert len({p.sha256 for p in (program, *changed)}) == 1 + len(changed)
    assert tiny(SPIKES, theta=THETA.copy(), w=W.copy()).sha256 == program.sha256


def test_shapes_and_kinds_are_known_before_anything_runs() -> None:
    program = tiny(
        SPIKES,
        Pool("p", "s", 2),
        Upsample("u", "p", 2),
        Concat("c", ("u", "x")),
        Layer("y", "c", "w2", op="linear"),
        w=W,
        theta=THETA,
        w2=np.full((6, 80), -1, np.int8),
    )
    values = program.values
    assert values["s"].shape == (3, 4, 4) and values["s"].spikes
    assert values["p"].shape == (3, 2, 2) and values["p"].high == 4 and not values["p"].spikes
    assert values["u"].shape == (3, 4, 4)
    assert values["c"].shape == (5, 4, 4) and values["c"].high == 7
    assert program.output_shape == (6,)
    assert (values["y"].low, values["y"].high, values["y"].dtype) == (-560, 0, "int32")


def test_states_are_the_past_inputs_of_each_layer() -> None:
    taps = {"a": np.ones((1, 6), np.int8), "b": np.eye(4, dtype=np.int8)}
    program = tiny(
        Layer("first", "x", "w4", "b", "theta", padding=1),
        Layer("second", "first", "w3", "a", "theta", padding=1),
        Layer("third", "second", "w3"),
        w3=np.ones((3, 3, 3, 3), np.int8),
        w4=np.ones((3, 8, 3, 3), np.int8),
        theta=THETA,
        **taps,
    )
    assert state_ports(program) == {
        "state_first": StatePort((3, 2, 4, 4), largest=7),
        "state_second": StatePort((5, 3, 4, 4)),
    }
    state = initial_state(program)
    assert all(t.dtype == np.uint8 and not t.any() for t in state.values())
    assert warmup_steps(program) == 3 + 5


@pytest.mark.parametrize("seed", range(8))
def test_after_the_warm_up_the_initial_state_is_forgotten(seed: int) -> None:
    program = random_program(seed)
    warmup = warmup_steps(program)
    if warmup is None:
        assert any(isinstance(node, (Fire, Integrate, Leaky)) for node in program.nodes)
        return
    xs = frames(program, warmup + 6, seed)
    strange = Reference(program).stream()
    rng = np.random.default_rng(seed)
    highs = {f"state_{n.name}": program.values[n.input].high for n in program.nodes
             if isinstance(n, Layer)}  # fmt: skip
    shapes = {name: port.shape for name, port in state_ports(program).items()}
    strange.restore(
        {n: rng.integers(0, highs[n] + 1, s).astype(np.uint8) for n, s in shapes.items()}
    )
    found = np.stack([strange.step(x) for x in xs])
    assert np.array_equal(found[warmup:], run_sequence(program, xs)[warmup:])


def test_one_step_before_the_warm_up_is_over_the_past_still_counts() -> None:
    program = tiny(
        Layer("a", "x", "w1", "taps", "one"),
        Layer("b", "a", "w2", "taps"),
        w1=np.ones((1, 2, 1, 1), np.int8),
        w2=np.ones((1, 1, 1, 1), np.int8),
        one=np.ones(1, np.int32),
        taps=np.ones((1, 3), np.int8),
    )
    xs = np.zeros((6, 2, 4, 4), np.uint8)
    stream = Reference(program).stream()
    stream.restore({n: np.ones(p.shape, p.dtype) for n, p in state_ports(program).items()})
    alive = [bool(stream.step(x).any()) for x in xs]
    assert warmup_steps(program) == 4
    assert alive == [True, True, True, True, False, False]


BAD: list[tuple[str, dict[str, Any]]] = [
    ("node name 'a b' is not a new C identifier", {"nodes": (replace(SPIKES, name="a b"),)}),
    ("node name 's' is not a new C identifier", {"nodes": (SPIKES, SPIKES)}),
    ("node name 'é'", {"nodes": (replace(SPIKES, name="é"),)}),
    ("node s reads z, which no earlier node gives", {"nodes": (replace(SPIKES, input="z"),)}),
    ("the output 'z' is not a node", {"output": "z"}),
    ("the output 'x' is not a node", {"output": "x"}),
    ("step_us is 0", {"step_us": 0}),
    ("input_high 256 do not describe x", {"input_high": 256}),
    (r"input_shape \(2, 4\)", {"input_shape": (2, 4)}),
    ("s: tensor w is missing", {"tensors": {"theta": THETA}}),
    ("s: tensor w is int16 of shape", {"tensors": {"w": W.astype(np.int16), "theta": THETA}}),
    ("s: 2 thresholds for 3 channels", {"tensors": {"w": W, "theta": THETA[:2]}}),
    ("s: weight w takes 1 inputs, not 2", {"tensors": {"w": W[:, :1], "theta": THETA}}),
    ("s: stride is 0, wanted at least 1", {"nodes": (replace(SPIKES, stride=0),)}),
    ("s: padding is -1", {"nodes": (replace(SPIKES, padding=-1),)}),
    ("s: stride is 0", {"nodes": (replace(SPIKES, op="linear", stride=0),)}),
    ("s: groups is 0", {"nodes": (replace(SPIKES, op="linear", groups=0),)}),
    ("s: 2 groups do not divide", {"nodes": (replace(SPIKES, groups=2),)}),
    ('s: op is "conv" or "linear", not \'pool\'', {"nodes": (replace(SPIKES, op="pool"),)}),
    ("p: 4 x 4 is no multiple of 3", {"nodes": (SPIKES, Pool("p", "s", 3))}),
    ("p: OR pooling needs spikes", {"nodes": (SPIKES, Pool("p", "x", 2, "or"))}),
    ('p: pooling is "sum" or "or"', {"nodes": (SPIKES, Pool("p", "s", 2, "max"))}),
    ("u: factor is 0", {"nodes": (SPIKES, Upsample("u", "s", 0))}),
    ("c: concatenates uint8 maps", {"nodes": (SPIKES, SUMS, Concat("c", ("s", "h")))}),
    ("node c has no inputs", {"nodes": (SPIKES, Concat("c", ()))}),
    ("a: adds int32 sums", {"nodes": (SPIKES, Add("a", ("s", "s")))}),
    ("t: filters uint8 inputs, got int32", {"nodes": (SPIKES, SUMS, Layer("t", "h", "w"))}),
]


@pytest.mark.parametrize(("message", "change"), BAD)
def test_what_makes_no_sense_is_named(message: str, change: dict[str, Any]) -> None:
    nodes = change.get("nodes", (SPIKES,))
    fields = {
        "name": "bad",
        "step_us": 1_000,
        "input_shape": (2, 4, 4),
        "input_high": 7,
        "nodes": nodes,
        "output": nodes[-1].name,
        "tensors": {"w": W, "theta": THETA},
    }
    with pytest.raises(BundleError, match=message):
        Program(**{**fields, **change})


def test_sums_that_leave_their_type_are_refused() -> None:
    with pytest.raises(BundleError, match="p: sums up to 448 do not fit uint8"):
        Program("big", 1_000, (2, 8, 8), 7, (Pool("p", "x", 8),), "p", {})
    taps = np.full((1, 1_000), 127, np.int8)
    weight = np.full((1, 2 * 4 * 4), 127, np.int8)
    with pytest.raises(BundleError, match="h: sums up to 3612896000 do not fit int32"):
        tiny(Layer("h", "x", "w", "taps", op="linear"), w=weight, taps=taps)


def test_potentials_of_neurons_that_fire_once_cannot_overflow() -> None:
    """Their limit and one sum more must fit int32: sums of the limit itself do not."""
    weight = np.full((1, 32), 127, np.int8)
    for order, fits in ((297, True), (298, False)):
        taps = np.full((1, order), 127, np.int8)
        sums = Layer("h", "x", "w", "taps", op="linear")
        largest = 32 * 127 * 127 * order * 7
        assert (largest < 2**30) == fits
        nodes = (sums, Fire("f", "h", "theta"))
        if fits:
            tiny(*nodes, w=weight, taps=taps, theta=THETA[:1])
            continue
        with pytest.raises(BundleError, match="f: sums from 1073741824 on are not integrated"):
            tiny(*nodes, w=weight, taps=taps, theta=THETA[:1])


def test_descriptions_that_cannot_be_read_say_why() -> None:
    program = tiny(SPIKES, w=W, theta=THETA)
    good = to_dict(program)
    node = good["nodes"][0]
    for message, bad in (
        ("expected an edgesnn-program of version 1, found edgesnn-program 2", {"version": 2}),
        ("unknown kind 'lif'; known: layer, pool", {"nodes": [{**node, "kind": "lif"}]}),
        ("has no 'kind'", {"nodes": [{"name": "s"}]}),
        ("unexpected keyword argument 'leak'", {"nodes": [{**node, "leak": 1}]}),
        ("not usable", {"input_shape": [2, 4]}),
        ("not usable", {"nodes": ["s"]}),
        ("s: stride is 'one', no whole number", {"nodes": [{**node, "stride": "one"}]}),
        ("s: stride is 1.0, no whole number", {"nodes": [{**node, "stride": 1.0}]}),
        ("s: padding is True, no whole number", {"nodes": [{**node, "padding": True}]}),
    ):
        with pytest.raises(BundleError, match=message):
            from_dict({**good, **bad}, program.tensors)
    for key in ("nodes", "output", "name", "step_us"):
        with pytest.raises(BundleError, match=f"has no '{key}'"):
            from_dict({k: v for k, v in good.items() if k != key}, program.tensors)


def test_the_gesture_shape_keeps_within_the_plan() -> None:
    program = gesture_shaped()
    weights = {n.weight: n for n in program.nodes if isinstance(n, Layer)}
    assert sum(program.tensors[name].size for name in weights) <= 60_000
    assert len(weights) == 5
