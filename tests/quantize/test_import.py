"""Networks of other frameworks: read, converted, compared; what cannot be carried over is named."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

nir = pytest.importorskip("nir")
pytest.importorskip("onnx")

from edgesnn.backend import backend  # noqa: E402
from edgesnn.bundle import load_bundle  # noqa: E402
from edgesnn.cli.main import run_line  # noqa: E402
from edgesnn.errors import InputError  # noqa: E402
from edgesnn.events import events_from_arrays  # noqa: E402
from edgesnn.hardware.reference import run_sequence  # noqa: E402
from edgesnn.program import Integrate, Pool  # noqa: E402
from edgesnn.quantize.agreement import compared  # noqa: E402
from edgesnn.quantize.float_net import FloatNet  # noqa: E402
from edgesnn.quantize.float_stages import Neurons, Pooled, Weighted  # noqa: E402
from edgesnn.quantize.from_float import converted  # noqa: E402
from edgesnn.quantize.nir_read import read_nir  # noqa: E402
from edgesnn.sources.bs2 import bs2_from_events  # noqa: E402

SHAPE = (2, 8, 8)


def whole(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Weights that are integers already; 127 in each row, so that the unit is 1."""
    weight = rng.integers(-60, 61, shape).astype(np.float32)
    weight.reshape(shape[0], -1)[:, 0] = 127
    return weight


def graph(path: Path, change: Callable[[dict[str, Any]], None] | None = None) -> Path:
    """Write conv, IF, sum pool, conv, LIF, flatten, affine, IF."""
    rng = np.random.default_rng(0)

    def neurons(shape: tuple[int, ...], theta: float) -> dict[str, np.ndarray]:
        return {
            "r": np.ones(shape, np.float32),
            "v_threshold": np.full(shape, theta, np.float32),
            "v_reset": np.zeros(shape, np.float32),
        }

    nodes: dict[str, Any] = {
        "input": nir.Input({"input": np.array(SHAPE)}),
        "conv": nir.Conv2d((8, 8), whole(rng, 4, 2, 3, 3), 1, 1, 1, 1, np.zeros(4, np.float32)),
        "if1": nir.IF(**neurons((4, 8, 8), 150.0)),
        "pool": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "conv2": nir.Conv2d((4, 4), whole(rng, 3, 4, 3, 3), 1, 1, 1, 1, np.full(3, 5, np.float32)),
        "lif": nir.LIF(
            tau=np.full((3, 4, 4), 4e-3, np.float32),
            v_leak=np.zeros((3, 4, 4), np.float32),
            **{**neurons((3, 4, 4), 200.0), "r": np.full((3, 4, 4), 4, np.float32)},
        ),
        "flatten": nir.Flatten({"input": np.array([3, 4, 4])}, 0, -1),
        "fc": nir.Affine(whole(rng, 5, 48), np.zeros(5, np.float32)),
        "if2": nir.IF(**neurons((5,), 300.0)),
        "output": nir.Output({"output": np.array([5])}),
    }
    names = list(nodes)
    parts: dict[str, Any] = {"nodes": nodes, "edges": list(zip(names, names[1:], strict=False))}
    if change is not None:
        change(parts)
    nir.write(path, nir.NIRGraph(parts["nodes"], parts["edges"], type_check=False))
    return path


def inputs(steps: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return ((rng.random((steps, *SHAPE)) < 0.15) * rng.integers(1, 4, (steps, *SHAPE))).astype(
        np.uint8
    )


def test_integers_are_carried_over_exactly(tmp_path: Path) -> None:
    """Weights of whole numbers, a leak of 3/4 and gains of 1: every spike is the float one's."""
    net = read_nir(graph(tmp_path / "a.nir"), step_us=1000)
    made = converted(net, name="a", step_us=1000, highest=3)
    xs = inputs(120)
    told = compared(net, made, [xs])
    assert [layer.agreement for layer in told.layers if layer.agreement is not None] == [1.0] * 3
    assert made.approximations == ()
    out = run_sequence(made.program, xs)
    assert out.any() and np.array_equal(out, net.run(xs)[net.stages[-1].name])


def test_each_reset_and_convention(tmp_path: Path) -> None:
    path = graph(tmp_path / "a.nir")
    plain = read_nir(path, step_us=1000)
    lower = read_nir(path, step_us=1000, reset="subtract")
    exact = read_nir(path, step_us=1000, convention="rockpool")
    (leak,) = [s for s in plain.stages if isinstance(s, Neurons) and s.keep < 1]
    (other,) = [s for s in exact.stages if isinstance(s, Neurons) and s.keep < 1]
    assert (leak.keep, leak.gain) == pytest.approx((0.75, 1.0))
    assert other.keep == pytest.approx(np.exp(-0.25)) and other.gain == pytest.approx(
        4 * 0.25 / np.exp(-0.25)
    )
    assert {s.reset for s in lower.stages if isinstance(s, Neurons)} == {"subtract"}
    for net in (lower, exact):
        made = converted(net, name="a", step_us=1000, highest=3)
        told = compared(net, made, [inputs(120)])
        assert min(layer.agreement for layer in told.layers if layer.agreement is not None) > 0.99
    assert any("a leak of 0.778801 a step became 3190 / 4096" in s for s in made.approximations)


@pytest.mark.parametrize("seed", range(4))
def test_random_float_networks_agree_nearly_everywhere(seed: int) -> None:
    rng = np.random.default_rng(seed)
    net = FloatNet(
        SHAPE,
        (
            Weighted("a", "x", rng.normal(0, 0.5, (6, 2, 3, 3)), rng.normal(0, 0.05, 6), padding=1),
            Neurons("na", ("a",), np.ones(6), keep=0.8, reset="subtract"),
            Pooled("p", "na", 2, "mean"),
            Weighted("b", "p", rng.normal(0, 0.6, (6, 6, 3, 3)), np.zeros(6), padding=1, stride=2),
            Weighted("c", "na", rng.normal(0, 0.2, (6, 1, 4, 4)), np.zeros(6), stride=4, groups=6),
            Neurons("nb", ("b", "c"), np.full(6, 0.9), strict=True),
            Weighted("d", "nb", rng.normal(0, 0.5, (5, 24)), np.zeros(5)),
        ),
        "random",
    )
    made = converted(net, name="r", step_us=1000, highest=3)
    told = compared(net, made, [inputs(150, seed)])
    assert all(layer.agreement > 0.97 for layer in told.layers if layer.agreement is not None)
    xs = inputs(60, 9)
    scores = run_sequence(made.program, xs).sum(0)
    wanted = net.run(xs)["d"].sum(0)
    assert np.corrcoef(scores, wanted)[0, 1] > 0.98


def test_every_backend_runs_an_imported_network(tmp_path: Path) -> None:
    run_line(
        ["import", str(graph(tmp_path / "a.nir")), "--out", str(tmp_path / "mine.json"), "--json"]
    )
    bundle = load_bundle(tmp_path / "mine.json")
    xs = inputs(60)
    wanted = run_sequence(bundle.program, xs)
    for name in ("onnx_cpu", "reference"):
        stream = backend(name).load(bundle).stream()
        assert all(np.array_equal(stream.step(x), y) for x, y in zip(xs, wanted, strict=True))
    assert any(isinstance(n, Integrate) for n in bundle.program.nodes)
    assert any(isinstance(n, Pool) for n in bundle.program.nodes)


def recordings(folder: Path, count: int = 3) -> Path:
    """Write labelled recordings of an 8 x 8 sensor."""
    folder.mkdir()
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "label"])
        for i in range(count):
            rng = np.random.default_rng(i)
            t = np.sort(rng.integers(0, 60_000, 900))
            x, y, p = rng.integers(0, 8, 900), rng.integers(0, 8, 900), rng.integers(0, 2, 900)
            bs2_from_events(folder / f"{i}.bs2", events_from_arrays(t, x, y, p))
            table.writerow([f"{i}.bs2", i])
    return folder


def test_the_command_tells_writes_and_what_it_wrote_runs(tmp_path: Path, capsys) -> None:
    names = tmp_path / "labels.txt"
    names.write_text("a\nb\nc\nd\ne\n", "utf-8-sig")  # as editors on Windows write it
    out = tmp_path / "mine.json"
    line = ["import", str(graph(tmp_path / "a.nir")), "--out", str(out), "--labels", str(names)]
    data = recordings(tmp_path / "data")
    assert run_line([*line, "--calibrate", str(data), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["answers"]["n"] == 3 and report["answers"]["same_answer"] == 1
    assert [row["spikes_equal"] for row in report["layers"] if row["worst_bound"]] == [1.0] * 3
    assert load_bundle(out).readout.labels == ("a", "b", "c", "d", "e")
    assert run_line(line) == 2 and "is there already" in capsys.readouterr().err
    for path in tmp_path.glob("mine.*"):
        path.unlink()
    assert run_line(line) == 0
    assert f"edgesnn run {out} --file RECORDING" in capsys.readouterr().out
    clip = str(data / "0.bs2")
    played = ["run", str(out), "--file", clip, "--speed", "max", "--json", "--sensor", "8x8"]
    assert run_line(played) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["model"] == "mine"
    assert run_line(["eval", str(out), "--data", str(data), "--sensor", "8x8", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 3
    refused(["run", str(out)], "has no recording of its own", capsys)


def refused(line: list[str], message: str, capsys) -> None:
    """One sentence on standard error that says it, and exit code 2."""
    assert run_line(line) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and re.search(message, said[0]), said


def set_node(name: str, **fields: Any) -> Callable[[dict[str, Any]], None]:
    def change(parts: dict[str, Any]) -> None:
        for field, value in fields.items():
            setattr(parts["nodes"][name], field, value)

    return change


def replaced(name: str, node: Any) -> Callable[[dict[str, Any]], None]:
    def change(parts: dict[str, Any]) -> None:
        parts["nodes"][name] = node

    return change


def circle(parts: dict[str, Any]) -> None:
    parts["edges"].append(("if1", "conv"))


def two_outputs(parts: dict[str, Any]) -> None:
    parts["nodes"]["other"] = nir.Output({"output": np.array([5])})
    parts["edges"].append(("if2", "other"))


ONES = np.ones(5, np.float32)
REFUSED = {
    "circle": (circle, "conv closes a loop; it must read those"),
    "outputs": (two_outputs, "has 2 nodes of output"),
    "nan": (set_node("fc", weight=np.full((5, 48), np.nan, np.float32)), "not finite"),
    "threshold": (set_node("if2", v_threshold=-ONES), "must be above 0"),
    "reset": (set_node("if2", v_reset=ONES), "starts from 1 after a spike and rests at 0"),
    "mixed": (
        set_node("if1", v_threshold=np.arange(1, 257, dtype=np.float32).reshape(4, 8, 8)),
        "differs within a channel",
    ),
    "dilated": (set_node("conv", dilation=np.array([2, 2])), "dilated kernels"),
    "overlap": (set_node("pool", stride=np.array([1, 1])), "they must not overlap"),
    "shape": (set_node("fc", weight=np.ones((5, 47), np.float32)), "takes 47 inputs"),
    "tau": (set_node("lif", tau=np.full((3, 4, 4), 1e-4, np.float32)), "take shorter steps"),
    "scale": (
        replaced("flatten", nir.Scale(np.arange(48, dtype=np.float32))),
        "Scale.: scale differs between neurons",
    ),
    "potentials": (
        replaced("if2", nir.LI(tau=ONES, r=ONES, v_leak=ONES)),
        "LI.: rests at 1; 0 is carried over",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_carried_over_is_named_and_nothing_written(
    tmp_path: Path, name: str, capsys
) -> None:
    change, message = REFUSED[name]
    path, out = graph(tmp_path / "a.nir", change), tmp_path / "mine.json"
    refused(["import", str(path), "--out", str(out)], message, capsys)
    assert not list(tmp_path.glob("mine*"))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.95])
def test_damaged_files_are_one_sentence(tmp_path: Path, share: float) -> None:
    path = graph(tmp_path / "a.nir")
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError) as caught:
        read_nir(path, step_us=1000)
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [("a,1\nb\nc\nd\ne\n", "has a comma"), ("a\nb\n", "names 2 classes; the network has 5")],
)
def test_labels_that_are_none(tmp_path: Path, monkeypatch, text, message, capsys) -> None:
    path = graph(tmp_path / "a.nir")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.txt").write_text(text)
    line = ["import", str(path), "--out", "mine.json", "--labels", "labels.txt"]
    refused(line, message, capsys)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--out", "a.txt"], "give NAME.json"),
        (["--labels", "/dev/null"], "--labels /dev/null is a pipe or a device; copy it to a file"),
        (["--out", "a b.json"], "give NAME.json"),
        (["--reset", "half"], "--reset half is none"),
        (["--convention", "ours"], "--convention ours is none"),
        (["--labels", "none.txt"], "there is no file none.txt"),
        (["--calibrate", "."], "has no labels.csv"),
    ],
)
def test_options_that_are_none(
    tmp_path: Path, monkeypatch, typed: list[str], message: str, capsys
) -> None:
    path = graph(tmp_path / "a.nir")
    monkeypatch.chdir(tmp_path)
    out = [] if "--out" in typed else ["--out", "mine.json"]
    refused(["import", str(path), *out, *typed], message, capsys)
