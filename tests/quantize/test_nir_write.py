"""A program as a NIR graph: written, read back, and run by a plain executor of NIR's equations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

nir = pytest.importorskip("nir")

from programs import frames, random_program  # noqa: E402

from edgesnn.bundle import load_bundle  # noqa: E402
from edgesnn.cli.main import run_line  # noqa: E402
from edgesnn.errors import BundleError  # noqa: E402
from edgesnn.hardware.reference import run_sequence  # noqa: E402
from edgesnn.program import (  # noqa: E402
    Add,
    Concat,
    Fire,
    Integrate,
    Layer,
    Leaky,
    Program,
    Upsample,
)
from edgesnn.quantize.nir_read import read_nir  # noqa: E402
from edgesnn.quantize.nir_write import nir_graph  # noqa: E402


def played(graph: Any, xs: np.ndarray) -> np.ndarray:
    """Run a graph of Conv2d, Linear, Delay, Scale, SumPool2d, Threshold, Flatten over a sequence.

    Inputs of a node are added; a Delay of n steps shifts time. Written from NIR's definitions.
    """
    dt = float(graph.metadata["dt"])
    before = {name: [a for a, b in graph.edges if b == name] for name in graph.nodes}
    done: dict[str, np.ndarray] = {}

    def value(name: str) -> np.ndarray:
        if name not in done:
            node = graph.nodes[name]
            if isinstance(node, nir.Input):
                done[name] = xs.astype(float)
            else:
                total = sum(value(source) for source in before[name])
                done[name] = step(node, np.asarray(total))
        return done[name]

    def step(node: Any, x: np.ndarray) -> np.ndarray:
        match type(node).__name__:
            case "Delay":
                n = round(float(np.ravel(node.delay)[0]) / dt)
                return np.concatenate([np.zeros((n, *x.shape[1:])), x[: len(x) - n]])
            case "Scale":
                return x * node.scale
            case "Threshold":
                return (x > node.threshold).astype(float)
            case "Linear":
                return x @ np.asarray(node.weight, float).T
            case "Flatten":
                return x.reshape(len(x), -1)
            case "SumPool2d":
                k = int(node.kernel_size[0])
                t, c, h, w = x.shape
                return x.reshape(t, c, h // k, k, w // k, k).sum((3, 5))
            case "Conv2d":
                return convolved(node, x)
        return x  # Output

    def convolved(node: Any, x: np.ndarray) -> np.ndarray:
        torch = pytest.importorskip("torch")
        stride, padding = (tuple(int(v) for v in np.ravel(p)) for p in (node.stride, node.padding))
        weight = torch.tensor(np.asarray(node.weight, float))
        out = torch.nn.functional.conv2d(
            torch.tensor(x), weight, stride=stride, padding=padding, groups=int(node.groups)
        )
        return out.numpy()

    return value("output")


def holds(program: Program) -> bool:
    """Whether NIR can say the program, and exactly."""
    kinds = (Fire, Leaky, Integrate, Upsample)
    joined = {n.name for n in program.nodes if isinstance(n, Concat)}
    grouped = any(isinstance(n, Layer) and n.groups > 1 for n in program.nodes)
    pooled = any(n.kind == "pool" and n.reads[0] in joined for n in program.nodes)
    return not (any(isinstance(n, kinds) for n in program.nodes) or grouped or pooled)


CASES = [seed for seed in range(120) if holds(random_program(seed))][:25]


@pytest.mark.parametrize("seed", CASES)
def test_a_program_is_written_exactly(seed: int, tmp_path: Path) -> None:
    program = random_program(seed)
    graph, differences = nir_graph(program)
    nir.write(tmp_path / "a.nir", graph)
    back = nir.read(tmp_path / "a.nir", type_check=False)
    xs = frames(program, 25, seed)
    assert differences == []
    assert np.array_equal(played(back, xs), run_sequence(program, xs))


def test_the_gesture_network_is_written_exactly(tmp_path: Path) -> None:
    out = tmp_path / "gesture.nir"
    assert run_line(["export", "gesture", "--to", "nir", "--out", str(out)]) == 0
    program = load_bundle("gesture").program
    xs = frames(program, 12, 1)
    back = nir.read(out, type_check=False)
    assert back.metadata["program_sha256"] == program.sha256
    assert np.array_equal(played(back, xs), run_sequence(program, xs))


@pytest.mark.parametrize("name", ["gesture", "keyword", "keyword_portable"])
def test_what_is_exported_is_read_back(name: str) -> None:
    """Taps and delays are maps that a Scale adds up, also where the sums are the output."""
    program = load_bundle(name).program
    net = read_nir(nir_graph(program)[0], step_us=program.step_us)
    xs = load_bundle(name).parity["x"]
    found, wanted = net.run(xs)[net.stages[-1].name], run_sequence(program, xs)
    if name == "gesture":
        assert np.array_equal(found, wanted)
    else:  # leaks of potentials are rounded in the program alone
        assert np.mean(found.sum(0).argmax() == wanted.sum(0).argmax()) == 1
        assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.98


def test_what_a_reader_would_compute_otherwise_is_said(tmp_path: Path, capsys) -> None:
    assert run_line(["export", "keyword", "--to", "nir", "--out", str(tmp_path / "k.nir")]) == 0
    said = capsys.readouterr().out
    assert "hear: potentials are rounded towards 0" in said
    assert run_line(["export", "mnist", "--to", "nir", "--out", str(tmp_path / "m.nir")]) == 0
    assert "fires once" in capsys.readouterr().out


def doubled(*nodes: Any) -> Program:
    """Two maps of spikes of x, a and b, and nodes behind them."""
    rng = np.random.default_rng(0)
    tensors = {
        name: rng.integers(-5, 9, shape).astype(np.int8)
        for name, shape in (("wa", (3, 2, 3, 3)), ("wb", (3, 2, 3, 3)), ("w9", (4, 9, 3, 3)))
    }
    tensors |= {"theta": np.full(3, 9, np.int32), "theta4": np.full(4, 9, np.int32)}
    a, b = (Layer(n, "x", f"w{n}", threshold="theta", padding=1) for n in "ab")
    s = Layer("s", "x", "wa", padding=1)
    return Program("doubled", 1000, (2, 4, 4), 3, (a, b, s, *nodes), nodes[-1].name, tensors)


@pytest.mark.parametrize("joined", [("a", "a", "b"), ("a", "b", "a"), ("b", "b", "b")])
def test_what_is_joined_twice_is_read_twice(joined: tuple[str, ...]) -> None:
    program = doubled(Concat("c", joined), Layer("o", "c", "w9", threshold="theta4", padding=1))
    xs = frames(program, 25, 0)
    assert np.array_equal(played(nir_graph(program)[0], xs), run_sequence(program, xs))


def test_what_nir_cannot_hold_is_named() -> None:
    with pytest.raises(BundleError, match="o: adds one value twice"):
        nir_graph(doubled(Add("o", ("s", "s"), "theta")))
    with pytest.raises(BundleError, match="c: NIR has no output of maps that were joined"):
        nir_graph(doubled(Concat("c", ("a", "b"))))
    with pytest.raises(BundleError, match="up_deep2: NIR has no node for kind 'upsample'"):
        nir_graph(load_bundle("flow").program)
