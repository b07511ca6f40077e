"""Neurons of NIR: leaks of their own, what is taken off, counts, metadata, and nonsense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

nir = pytest.importorskip("nir")

from edgesnn.errors import InputError  # noqa: E402
from edgesnn.hardware.reference import run_sequence  # noqa: E402
from edgesnn.program import Fire, Integrate, Layer, Program  # noqa: E402
from edgesnn.quantize import from_nir  # noqa: E402
from edgesnn.quantize.agreement import compared, random_clip  # noqa: E402
from edgesnn.quantize.float_stages import Neurons  # noqa: E402
from edgesnn.quantize.from_float import converted  # noqa: E402
from edgesnn.quantize.nir_read import read_nir  # noqa: E402
from edgesnn.quantize.nir_write import nir_graph  # noqa: E402

RNG = np.random.default_rng(11)
N, HIDDEN = 4, 8


def each(value: float) -> np.ndarray:
    return np.full(N, value, np.float32)


def graph(*nodes: Any, inputs: tuple[int, ...] = (6,)) -> Any:
    """A graph of nodes in a row."""
    whole = {"input": nir.Input({"input": np.array(inputs)})}
    whole |= {f"n{i}": node for i, node in enumerate(nodes)}
    whole["output"] = nir.Output({"output": np.array([N])})
    names = list(whole)
    return nir.NIRGraph(whole, list(zip(names, names[1:], strict=False)), type_check=False)


def lif(**changes: Any) -> Any:
    values = {"tau": each(4e-3), "r": each(4), "v_leak": each(0), "v_threshold": each(1)}
    return nir.LIF(**{**values, "v_reset": each(0), **changes})


WEIGHTS = nir.Linear(RNG.normal(0, 0.6, (N, 6)).astype(np.float32))


def test_a_reset_takes_off_the_threshold_as_it_is_written() -> None:
    """Also where the neuron rests elsewhere than at 0, from where potentials are counted."""
    net = read_nir(graph(WEIGHTS, lif(v_leak=each(0.3))), step_us=1000, reset="subtract")
    xs = random_clip(converted(net, name="a", step_us=1000, highest=1))
    v, wanted = np.full(N, 0.3), []
    for x in xs:
        v = v + 0.25 * (0.3 - v + 4 * (np.asarray(WEIGHTS.weight, float) @ x[1].ravel()))
        wanted.append(v >= 1)
        v = v - wanted[-1]
    assert np.any(wanted) and np.array_equal(net.run(xs)[net.stages[-1].name], np.stack(wanted))


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
def test_counts_of_ours_come_back(tmp_path: Path, reset: Any) -> None:
    tensors = {
        "w": RNG.integers(-9, 30, (5, 12)).astype(np.int8),
        "theta": np.array([36, 60, 100, 20, 44], np.int32),
        "current": np.zeros(5, np.int32),
    }
    tensors["w"][:, 0] = 127
    neurons = Integrate("n", "sums", "theta", "current", 4096, 2, reset, most=7)
    nodes = (Layer("sums", "x", "w", op="linear"), neurons)
    program = Program("own", 1000, (2, 1, 6), 1, nodes, "n", tensors)
    nir.write(tmp_path / "a.nir", nir_graph(program)[0])
    made = from_nir(str(tmp_path / "a.nir"), name="own", highest=1)
    xs = random_clip(made)
    wanted = run_sequence(program, xs)
    assert wanted.max() > 1 and (run_sequence(made.program, xs) == wanted).mean() > 0.995


def test_weights_that_two_neurons_read() -> None:
    nodes = {
        "input": nir.Input({"input": np.array([6])}),
        "fc": WEIGHTS,
        "one": lif(),
        "two": lif(v_threshold=each(3), r=each(1)),
        "fc1": nir.Linear(np.eye(N, dtype=np.float32)),
        "fc2": nir.Linear(np.eye(N, dtype=np.float32)),
        "end": lif(tau=each(1e-3), r=each(1), v_threshold=each(0.5)),
        "output": nir.Output({"output": np.array([N])}),
    }
    edges = [("input", "fc"), ("fc", "one"), ("fc", "two"), ("one", "fc1"), ("two", "fc2")]
    edges += [("fc1", "end"), ("fc2", "end"), ("end", "output")]
    net = read_nir(nir.NIRGraph(nodes, edges, type_check=False), step_us=1000)
    made = converted(net, name="a", step_us=1000, highest=1)
    xs = random_clip(made)
    found = run_sequence(made.program, xs)
    assert found.any() and (found == net.run(xs)[net.stages[-1].name]).mean() > 0.95


def test_a_loop_of_several_spikes() -> None:
    """As recurrent networks of sinabs and Rockpool are."""
    again = RNG.normal(0, 0.2, (N, N)).astype(np.float32)
    nodes = {
        "input": nir.Input({"input": np.array([6])}),
        "fc": WEIGHTS,
        "lif": lif(tau=each(4), r=each(1), v_threshold=each(0.5)),
        "again": nir.Linear(again),
        "output": nir.Output({"output": np.array([N])}),
    }
    edges = [("input", "fc"), ("fc", "lif"), ("lif", "again"), ("again", "lif"), ("lif", "output")]
    whole = nir.NIRGraph(nodes, edges, type_check=False)
    net = read_nir(whole, step_us=1000, convention="sinabs")
    made = converted(net, name="a", step_us=1000, highest=1, wide=True)
    xs = random_clip(made)
    found = run_sequence(made.program, xs)
    assert found.max() > 1 and (found == net.run(xs)[net.stages[-1].name]).mean() > 0.9


def test_an_image_of_one_channel_is_that_of_on_events() -> None:
    conv = nir.Conv2d((5, 5), RNG.normal(0, 1, (N, 1, 5, 5)), 1, 0, 1, 1, np.zeros(N))
    nodes = (conv, nir.Flatten({"input": np.array([N, 1, 1])}, 0, -1))
    last = (nir.Linear(np.eye(N)), lif())
    middle = nir.IF(r=np.ones((N, 1, 1)), v_threshold=np.full((N, 1, 1), 0.5))
    net = read_nir(graph(conv, middle, nodes[1], *last, inputs=(1, 5, 5)), step_us=1000)
    assert net.shape == (2, 5, 5)
    xs = np.zeros((20, 2, 5, 5), np.uint8)
    xs[:, 0] = 1
    assert not net.run(xs)[net.stages[-1].name].any()
    xs[:, 1] = RNG.random((20, 5, 5)) < 0.5
    assert net.run(xs)[net.stages[0].name].any()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"v_leak": each(1.5), "v_reset": each(1.5)}, "v_threshold is not above where it rests"),
        ({"metadata": {"most": "abc"}}, "most is 'abc' in its metadata"),
        ({"metadata": {"most": -3}}, "most is -3 in its metadata"),
        ({"metadata": {"most": float("nan")}}, "most is nan in its metadata"),
        ({"metadata": {"reset": "subtract", "drop": np.ones(7)}}, "metadata of 7 for 4 channels"),
        ({"metadata": {"current": np.arange(1, 8)}}, "metadata of 7 for 4 channels"),
    ],
)
def test_values_that_make_no_sense_are_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_nir(graph(WEIGHTS, lif(**changes)), step_us=1000)


def test_time_constants_far_below_a_step_are_refused() -> None:
    with pytest.raises(InputError, match="tau is 1e-09 s and a step 0.001 s"):
        read_nir(graph(WEIGHTS, lif(tau=each(1e-9))), step_us=1000, convention="rockpool")


@pytest.mark.parametrize(
    "how", [{}, {"reset": "subtract"}, {"reset": "none"}, {"reset": "subtract", "drop": "drop"}]
)
def test_what_only_metadata_say_is_read_back(tmp_path: Path, how: dict[str, str]) -> None:
    """A program of ours by way of NIR: currents, resets, leaks by channel, to the last spike."""
    tensors = {
        "w": RNG.integers(-9, 10, (5, 12)).astype(np.int8),
        "theta": np.array([9, 15, 9, 20, 31], np.int32),
        "current": np.array([0, 1, 2, 0, -1], np.int32),
        "leak": np.array([4096, 2048, 1024, 3072, 0], np.int32),
    }
    tensors["w"][:, 0] = 127  # so that a unit is 1
    if "drop" in how:
        tensors["drop"] = np.array([3, 4, 20, 9, 5], np.int32)
    neurons = Integrate("n", "sums", "theta", "current", bits=0, leak="leak", **how)
    nodes = (Layer("sums", "x", "w", op="linear"), neurons)
    program = Program("own", 1000, (2, 1, 6), 1, nodes, "n", tensors)
    graph, differences = nir_graph(program)
    nir.write(tmp_path / "a.nir", graph)
    net = read_nir(tmp_path / "a.nir", step_us=1000)
    xs = random_clip(converted(net, name="own", step_us=1000, highest=1))
    wanted = run_sequence(program, xs)
    found = net.run(xs)[net.stages[-1].name]
    assert wanted.any() and (found == wanted).mean() > 0.97  # potentials are not rounded there
    assert any("current" in said for said in differences)
    asked = read_nir(tmp_path / "a.nir", step_us=1000, reset="zero").stages[-1]
    assert isinstance(asked, Neurons) and asked.reset == "zero"  # who asks for a reset gets it


def test_neurons_that_fire_once_do_not_come_back(tmp_path: Path) -> None:
    tensors = {"w": np.ones((2, 12), np.int8), "theta": np.full(2, 9, np.int32)}
    nodes = (Layer("sums", "x", "w", op="linear"), Fire("n", "sums", "theta"))
    program = Program("own", 1000, (2, 1, 6), 1, nodes, "n", tensors)
    nir.write(tmp_path / "a.nir", nir_graph(program)[0])
    with pytest.raises(InputError, match="fires once by its metadata, which is not carried over"):
        read_nir(tmp_path / "a.nir", step_us=1000)


def test_every_neuron_may_leak_in_its_own_way() -> None:
    """Leaks, gains, currents' leaks and rests that differ between neurons: as NIR's equations."""
    w_in = RNG.normal(0, 0.35, (HIDDEN, 6)).astype(np.float32)
    b_in = RNG.normal(0, 0.05, HIDDEN).astype(np.float32)
    wide = {"tau_mem": (4e-3, 3e-2), "tau_syn": (2e-3, 9e-3), "r": (4, 12), "w_in": (2, 6)}
    values = {k: np.linspace(*ends, HIDDEN, dtype=np.float32) for k, ends in wide.items()}
    rest = np.linspace(-0.1, 0.1, HIDDEN, dtype=np.float32)
    nodes = {
        "input": nir.Input({"input": np.array([6])}),
        "fc": nir.Affine(w_in, b_in),
        "lif": nir.CubaLIF(
            v_leak=rest, v_reset=rest, v_threshold=np.ones(HIDDEN, np.float32), **values
        ),
        "output": nir.Output({"output": np.array([HIDDEN])}),
    }
    names = list(nodes)
    whole = nir.NIRGraph(nodes, list(zip(names, names[1:], strict=False)), type_check=False)
    net = read_nir(whole, step_us=1000)
    made = converted(net, name="a", step_us=1000, highest=1, wide=True)
    xs = random_clip(made)
    i, v, wanted = np.zeros(HIDDEN), rest.astype(float), []
    for x in xs:
        i += 1e-3 / values["tau_syn"] * (-i + values["w_in"] * (w_in @ x[1].ravel() + b_in))
        v += 1e-3 / values["tau_mem"] * (rest - v + values["r"] * i)
        wanted.append(v >= 1)
        v = np.where(wanted[-1], rest, v)
    assert np.any(wanted)
    assert np.array_equal(net.run(xs)[net.stages[-1].name], np.stack(wanted))
    told = compared(net, made, [xs])
    assert min(row.agreement for row in told.layers if row.agreement is not None) > 0.98
    assert {"leak_synapse_lif", "leak_lif"} <= set(made.program.tensors)
    assert any(" to " in note and "4096" in note for note in made.approximations)
