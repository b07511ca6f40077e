"""Currents, loops, potentials, delays, subgraphs: imported, and run as NIR's equations say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

nir = pytest.importorskip("nir")
pytest.importorskip("onnx")

from edgesnn.bundle import load_bundle  # noqa: E402
from edgesnn.cli.main import run_line  # noqa: E402
from edgesnn.errors import InputError  # noqa: E402
from edgesnn.hardware.reference import run_sequence  # noqa: E402
from edgesnn.program import Layer, Previous, Program  # noqa: E402
from edgesnn.quantize.agreement import compared, random_clip  # noqa: E402
from edgesnn.quantize.from_float import converted  # noqa: E402
from edgesnn.quantize.nir_read import read_nir  # noqa: E402
from edgesnn.quantize.nir_write import nir_graph  # noqa: E402

DT = 1e-3
RNG = np.random.default_rng(7)
INPUTS, HIDDEN, OUT = 6, 8, 3


def filled(n: int, value: float) -> np.ndarray:
    return np.full(n, value, np.float32)


def cuba(n: int) -> Any:
    return nir.CubaLIF(
        tau_syn=filled(n, 4e-3),
        tau_mem=filled(n, 8e-3),
        r=filled(n, 8.0),
        v_leak=filled(n, 0),
        v_threshold=filled(n, 1.0),
        v_reset=filled(n, 0),
        w_in=filled(n, 4.0),
    )


W_IN = RNG.normal(0, 0.35, (HIDDEN, INPUTS)).astype(np.float32)
W_LOOP = RNG.normal(0, 0.3, (HIDDEN, HIDDEN)).astype(np.float32)
W_OUT = RNG.normal(0, 0.5, (OUT, HIDDEN)).astype(np.float32)
B_IN = RNG.normal(0, 0.05, HIDDEN).astype(np.float32)


def written(path: Path, nodes: dict[str, Any], edges: list[tuple[str, str]]) -> Path:
    nir.write(path, nir.NIRGraph(nodes, edges, type_check=False))
    return path


def recurrent(path: Path, end: Any) -> Path:
    nodes = {
        "input": nir.Input({"input": np.array([INPUTS])}),
        "fc": nir.Affine(W_IN, B_IN),
        "lif": cuba(HIDDEN),
        "again": nir.Linear(W_LOOP),
        "out": nir.Linear(W_OUT),
        "end": end,
        "output": nir.Output({"output": np.array([OUT])}),
    }
    edges = [("input", "fc"), ("fc", "lif"), ("lif", "again"), ("again", "lif")]
    edges += [("lif", "out"), ("out", "end"), ("end", "output")]
    return written(path, nodes, edges)


def plain(xs: np.ndarray, subtract: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return spikes and the potential of an LI of 5 ms, stepped one by one from the equations."""
    current, v, before, told = (np.zeros(n) for n in (HIDDEN, HIDDEN, HIDDEN, OUT))
    spikes, potentials = [], []
    for x in xs:
        given = W_IN.astype(float) @ x + B_IN + W_LOOP.astype(float) @ before
        current = current + DT / 4e-3 * (4.0 * given - current)
        v = v + DT / 8e-3 * (8.0 * current - v)
        fired = v >= 1
        v = np.where(fired, v - 1 if subtract else 0, v)
        before = fired.astype(float)
        told = told + DT / 5e-3 * (W_OUT.astype(float) @ before - told)
        spikes.append(before)
        potentials.append(told)
    return np.array(spikes), np.array(potentials)


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_currents_loops_and_potentials(tmp_path: Path, reset: str) -> None:
    li = nir.LI(tau=filled(OUT, 5e-3), r=filled(OUT, 1.0), v_leak=filled(OUT, 0))
    path = recurrent(tmp_path / "a.nir", li)
    net = read_nir(path, step_us=1000, reset=reset)  # type: ignore[arg-type]
    made = converted(net, name="a", step_us=1000, highest=1, wide=True)
    assert any(isinstance(node, Previous) for node in made.program.nodes)
    xs = random_clip(made)
    spikes, potentials = plain(xs[:, 1, 0].astype(float), reset == "subtract")
    found = net.run(xs)
    hidden, end = (next(s.name for s in net.stages if type(s).__name__ == k) for k in KINDS)
    assert 0.02 < spikes.mean() < 0.6
    assert np.allclose(found[end], potentials, atol=1e-4)
    assert np.array_equal(found[hidden], spikes)
    made = compared(net, made, [xs])
    assert min(layer.agreement for layer in made.layers if layer.agreement is not None) > 0.99
    sums = run_sequence(made.program, xs)
    slope = (sums * potentials).sum() / (potentials**2).sum()
    assert np.abs(sums / slope - potentials).max() < 0.02 * np.abs(potentials).max()


KINDS = ("Neurons", "Potentials")


@pytest.mark.parametrize("first", [True, False])
def test_neurons_of_an_image_see_their_neighbours_late(tmp_path: Path, first: bool) -> None:
    """A convolution in the loop, whichever of the two maps of the neurons comes first by name."""
    given, again = ("a", "z") if first else ("z", "a")
    w_in = RNG.integers(-3, 4, (4, 2, 3, 3)).astype(np.float32)
    w_loop = RNG.integers(-2, 3, (4, 4, 3, 3)).astype(np.float32)
    w_in[:, 0, 0, 0] = 127  # so that a unit is 1
    ones = np.ones((4, 6, 5), np.float32)
    nodes = {
        "input": nir.Input({"input": np.array([2, 6, 5])}),
        given: nir.Conv2d((6, 5), w_in, 1, 1, 1, 1, np.zeros(4, np.float32)),
        "lif": nir.IF(r=ones, v_threshold=ones * 130, v_reset=ones * 0),
        again: nir.Conv2d((6, 5), w_loop, 1, 1, 1, 1, np.zeros(4, np.float32)),
        "output": nir.Output({"output": np.array([4, 6, 5])}),
    }
    edges = [("input", given), (given, "lif"), ("lif", again), (again, "lif"), ("lif", "output")]
    net = read_nir(written(tmp_path / "a.nir", nodes, edges), step_us=1000)
    made = converted(net, name="a", step_us=1000, highest=1)
    xs = random_clip(made)[:80]
    v, before, wanted = np.zeros((4, 6, 5)), np.zeros((4, 6, 5)), []
    for x in xs:
        for weight, seen in ((w_in, x), (w_loop, before)):
            padded = np.pad(seen, ((0, 0), (1, 1), (1, 1)))
            for dy in range(3):
                for dx in range(3):
                    part = padded[:, dy : dy + 6, dx : dx + 5]
                    v = v + np.einsum("oc,cyx->oyx", weight[:, :, dy, dx], part)
        before = (v >= 130).astype(float)
        v = np.where(before, 0, v)
        wanted.append(before)
    assert 0.01 < np.mean(wanted) < 0.9
    assert np.array_equal(net.run(xs)[net.stages[-1].name], np.stack(wanted))
    assert np.array_equal(run_sequence(made.program, xs), np.stack(wanted))


def test_a_loop_of_convolutions_that_tells_no_size(tmp_path: Path) -> None:
    w = np.ones((2, 2, 3, 3), np.float32)
    nodes = {
        "input": nir.Input({"input": np.array([2, 6, 5])}),
        "loop": nir.Conv2d((6, 5), w, 1, 1, 1, 1, np.zeros(2, np.float32)),
        "lif": nir.IF(r=np.ones(2, np.float32), v_threshold=np.ones(2, np.float32)),
        "output": nir.Output({"output": np.array([2])}),
    }
    edges = [("loop", "lif"), ("lif", "loop"), ("lif", "output")]
    with pytest.raises(InputError, match="nothing but the loop tells how large its image is"):
        read_nir(written(tmp_path / "a.nir", nodes, edges), step_us=1000)


def test_what_goes_nowhere_late_is_a_loop_of_one_step(tmp_path: Path) -> None:
    """Cut the loop: the first spikes after a spike differ."""
    net = read_nir(recurrent(tmp_path / "a.nir", cuba(OUT)), step_us=1000)
    xs = random_clip(converted(net, name="a", step_us=1000, highest=1))
    wanted, _ = plain(xs[:, 1, 0].astype(float), False)
    assert np.array_equal(net.run(xs)[net.stages[3].name], wanted)


def line(path: Path, *nodes: tuple[str, Any], shape: tuple[int, ...]) -> Path:
    """A graph of nodes in a row."""
    whole = [("input", nir.Input({"input": np.array(shape)})), *nodes]
    whole.append(("output", nir.Output({"output": np.array([OUT])})))
    edges = [(a, b) for (a, _), (b, _) in zip(whole, whole[1:], strict=False)]
    return written(path, dict(whole), edges)


def spiking(n: int) -> Any:
    return nir.IF(r=filled(n, 1.0), v_threshold=filled(n, 1.0), v_reset=filled(n, 0))


@pytest.mark.parametrize("steps", [3, np.arange(INPUTS)])
def test_delays_are_steps(tmp_path: Path, steps: Any) -> None:
    late = nir.Delay(np.broadcast_to(np.asarray(steps) * DT, (INPUTS,)).astype(np.float32))
    weight = nir.Linear(np.eye(OUT, INPUTS, dtype=np.float32))
    parts = (("late", late), ("fc", weight), ("if", spiking(OUT)))
    net = read_nir(line(tmp_path / "a.nir", *parts, shape=(INPUTS,)), step_us=1000)
    made = converted(net, name="a", step_us=1000, highest=1)
    xs = random_clip(made, 40)
    found = run_sequence(made.program, xs)
    for feature in range(OUT):
        lag = int(np.broadcast_to(steps, (INPUTS,))[feature])
        shifted = np.concatenate([np.zeros(lag), xs[: 40 - lag, 1, 0, feature]])
        assert np.array_equal(found[:, feature], shifted)
    (layer,) = compared(net, made, [xs]).layers
    assert layer.agreement == 1.0


def test_factors_go_into_the_weights(tmp_path: Path) -> None:
    weight = nir.Linear(np.eye(OUT, INPUTS, dtype=np.float32))
    scale = nir.Scale(np.array([1.0, 0.5, 0.25], np.float32))
    parts = (("fc", weight), ("scale", scale), ("if", spiking(OUT)))
    net = read_nir(line(tmp_path / "a.nir", *parts, shape=(INPUTS,)), step_us=1000)
    xs = np.ones((8, 2, 1, INPUTS), np.uint8)
    assert net.run(xs)[net.stages[-1].name].sum(0).tolist() == [8, 4, 2]


def test_a_convolution_over_a_length(tmp_path: Path) -> None:
    kernel = RNG.normal(0, 0.5, (2, 2, 3)).astype(np.float32)
    conv = nir.Conv1d(8, kernel, 2, 1, 1, 1, np.zeros(2, np.float32))
    theta = nir.Threshold(filled(2, 0.3))
    fc = nir.Linear(RNG.normal(0, 1, (OUT, 8)).astype(np.float32))
    parts = (("conv", conv), ("fire", theta), ("flat", nir.Flatten({"input": np.array([2, 4])})))
    parts = (*parts, ("fc", fc), ("if", spiking(OUT)))
    net = read_nir(line(tmp_path / "a.nir", *parts, shape=(2, 8)), step_us=1000)
    assert net.shape == (2, 1, 8)
    xs = RNG.integers(0, 2, (5, 2, 1, 8)).astype(np.uint8)
    found = net.run(xs)[net.stages[0].name]
    for t in range(5):
        padded = np.pad(xs[t, :, 0].astype(float), ((0, 0), (1, 1)))
        wanted = [[(padded[:, 2 * i : 2 * i + 3] * k).sum() for i in range(4)] for k in kernel]
        assert np.allclose(found[t][:, 0], wanted)


def test_subgraphs_are_part_of_the_graph(tmp_path: Path) -> None:
    inner = nir.NIRGraph(
        {
            "in": nir.Input({"input": np.array([INPUTS])}),
            "fc": nir.Linear(np.eye(OUT, INPUTS, dtype=np.float32)),
            "fire": spiking(OUT),
            "out": nir.Output({"output": np.array([OUT])}),
        },
        [("in", "fc"), ("fc", "fire"), ("fire", "out")],
        type_check=False,
    )
    end = nir.Linear(np.eye(OUT, dtype=np.float32))
    parts = (("block", inner), ("last", end), ("if", spiking(OUT)))
    net = read_nir(line(tmp_path / "a.nir", *parts, shape=(INPUTS,)), step_us=1000)
    xs = RNG.integers(0, 2, (9, 2, 1, INPUTS)).astype(np.uint8)
    assert np.array_equal(net.run(xs)[net.stages[-1].name], xs[:, 1, 0, :OUT])


def test_a_loop_without_neurons_is_refused(tmp_path: Path) -> None:
    nodes = {
        "input": nir.Input({"input": np.array([3])}),
        "a": nir.Linear(np.eye(3, dtype=np.float32)),
        "b": nir.Linear(np.eye(3, dtype=np.float32)),
        "if": spiking(3),
        "output": nir.Output({"output": np.array([3])}),
    }
    edges = [("input", "a"), ("a", "b"), ("b", "a"), ("b", "if"), ("if", "output")]
    path = written(tmp_path / "a.nir", nodes, edges)
    with pytest.raises(InputError, match="a, b, if, output read each other in a circle"):
        read_nir(path, step_us=1000)


@pytest.mark.parametrize(
    ("name", "reset"),
    [("braille_noDelay_bias_zero", None), ("braille_noDelay_noBias_subtract", "subtract")],
)
def test_published_recurrent_graphs(
    shared_data: Any, tmp_path: Path, name: str, reset: str | None, capsys: Any
) -> None:
    """At least 98 % of all spikes are those of the float network, over 256 steps, ten times."""
    path = shared_data(f"nir/{name}.nir")
    net = read_nir(path, step_us=100, reset=reset)  # type: ignore[arg-type]
    made = converted(net, name="b", step_us=100, highest=1, wide=True)
    made = compared(net, made, [random_clip(made, seed=seed) for seed in range(10)])
    assert all(layer.agreement >= 0.98 for layer in made.layers if layer.agreement is not None)
    out = tmp_path / "b.json"
    typed = ["import", str(path), "--out", str(out), "--step-us", "100"]
    assert run_line([*typed, *(["--reset", reset] if reset else [])]) == 0
    assert "random spikes" in capsys.readouterr().out
    assert any(isinstance(node, Previous) for node in load_bundle(out).program.nodes)


def test_options_for_weights(tmp_path: Path, capsys: Any) -> None:
    path = recurrent(tmp_path / "a.nir", cuba(OUT))
    out = tmp_path / "a.json"
    assert run_line(["import", str(path), "--out", str(out), "--weights", "9"]) == 2
    assert "--weights 9 is none; give 8, 14, auto" in capsys.readouterr().err
    assert run_line(["import", str(path), "--out", str(out), "--weights", "14"]) == 0
    assert "14 bits" in " ".join(capsys.readouterr().out.split())
    program = load_bundle(out).program
    assert [str(t.dtype) for n, t in program.tensors.items() if n.startswith("w_")] == ["int8"] * 6


def test_what_edgesnn_exports_comes_back(tmp_path: Path) -> None:
    """Taps are Delays and Scales there; the sums of a small network of sliding PSNs."""
    tensors = {
        "w": RNG.integers(-9, 10, (5, 12)).astype(np.int8),
        "taps": np.array([[3, -2, 0, 1]], np.int8),
        "theta": np.full(5, 9, np.int32),
        "w_end": RNG.integers(-9, 10, (3, 5)).astype(np.int8),
    }
    nodes = (
        Layer("psn", "x", "w", "taps", "theta", op="linear"),
        Layer("end", "psn", "w_end", op="linear"),
    )
    program = Program("own", 1000, (2, 1, 6), 1, nodes, "end", tensors)
    graph, _ = nir_graph(program)
    nir.write(tmp_path / "a.nir", graph)
    net = read_nir(tmp_path / "a.nir", step_us=1000)
    made = converted(net, name="back", step_us=1000, highest=1, wide=True)
    xs = random_clip(made)
    wanted = run_sequence(program, xs)
    assert np.ptp(wanted) > 0
    assert np.allclose(net.run(xs)[net.stages[-1].name].reshape(wanted.shape), wanted)
    found = run_sequence(made.program, xs).astype(float)
    assert np.abs(found / found.std() - wanted / wanted.std()).max() < 0.01


def test_a_delay_at_the_end_is_refused(tmp_path: Path) -> None:
    weight = nir.Linear(np.eye(OUT, INPUTS, dtype=np.float32))
    parts = (("fc", weight), ("if", spiking(OUT)), ("late", nir.Delay(filled(OUT, DT))))
    with pytest.raises(InputError, match="Delay or Scale of spikes is the end"):
        read_nir(line(tmp_path / "a.nir", *parts, shape=(INPUTS,)), step_us=1000)
