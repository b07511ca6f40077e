"""A short training with rounded weights: what it computes, and what it repairs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgesnn.cli.main import run_line  # noqa: E402
from edgesnn.errors import InputError  # noqa: E402
from edgesnn.hardware.reference import run_sequence  # noqa: E402
from edgesnn.quantize.float_net import FloatNet  # noqa: E402
from edgesnn.quantize.float_stages import (  # noqa: E402
    Before,
    Enlarged,
    Joined,
    Neurons,
    Pooled,
    Stage,
    Weighted,
)
from edgesnn.quantize.from_float import converted  # noqa: E402
from edgesnn.quantize.tune import _Network, tuned  # noqa: E402

CLASSES, STEPS = 4, 30
Clip = tuple[np.ndarray, int]


def clips(count: int, seed: int) -> list[Clip]:
    """Each class is a pattern of rates over 31 inputs, which differ a little; one is silent."""
    rates = np.random.default_rng(9).random((CLASSES, 32)) * 0.25 + 0.1
    rates[:, 0] = 0
    rng, found = np.random.default_rng(seed), []
    for n in range(count):
        seen = rng.random((STEPS, 32)) < rates[n % CLASSES]
        found.append((seen.reshape(STEPS, 2, 1, 16).astype(np.uint8), n % CLASSES))
    return found


def spoilt() -> FloatNet:
    """Weights that know the patterns, and one large one for the silent input: a coarse unit."""
    rates = np.random.default_rng(9).random((CLASSES, 32))
    first = np.random.default_rng(1).normal(0, 0.2, (24, 32)) + np.repeat(rates - 0.5, 6, axis=0)
    first[:, 0] = 60.0
    second = np.kron(np.eye(CLASSES), np.ones((1, 6))) - 0.2
    stages: tuple[Stage, ...] = (
        Weighted("a", "x", first, np.zeros(24)),
        Neurons("na", ("a",), np.full(24, 1.0), keep=0.9, reset="subtract"),
        Weighted("b", "na", second, np.zeros(CLASSES)),
        Neurons("nb", ("b",), np.full(CLASSES, 2.0), keep=0.95, reset="subtract"),
    )
    return FloatNet((2, 1, 16), stages, "spoilt")


def right(net: FloatNet, on: list[Clip]) -> float:
    """Share of right answers of the integer program."""
    program = converted(net, name="t", step_us=1000, highest=1).program
    return float(np.mean([run_sequence(program, x).sum(0).argmax() == c for x, c in on]))


def test_training_repairs_what_a_coarse_unit_broke() -> None:
    net, told = spoilt(), []
    before = right(net, clips(200, 2))
    after = tuned(net, clips(400, 1), epochs=6, tell=told.append)
    assert len(told) == 6 and told[-1].startswith("epoch 6 of 6: loss ")
    assert before < 0.7 < 0.85 < right(after, clips(200, 2))
    again = tuned(net, clips(400, 1), epochs=6, tell=told.append)
    for one, other in zip(after.stages, again.stages, strict=True):
        if isinstance(one, Weighted) and isinstance(other, Weighted):
            assert np.array_equal(one.weight, other.weight)  # seeds are fixed


@pytest.mark.parametrize("most", [1, 3])
def test_what_is_trained_is_what_the_integers_compute(most: int) -> None:
    """Every stage, against the float network with the rounded weights."""
    rng = np.random.default_rng(0)
    stages: tuple[Stage, ...] = (
        Weighted("a", "x", rng.normal(0, 0.5, (4, 2, 3, 3)), rng.normal(0, 0.1, 4), padding=1),
        Neurons("na", ("a",), np.ones(4), np.linspace(0.5, 1, 4), 0.9, most=most),
        Pooled("p", "na", 2, "mean"),
        Pooled("s", "na", 2, "sum"),
        Weighted("b", "p", rng.normal(0, 0.9, (4, 4, 1, 1)), np.zeros(4), delays=2),
        Weighted("c", "s", rng.normal(0, 0.4, (4, 1, 1, 1)), np.zeros(4), groups=4),
        Neurons("nb", ("b", "c"), np.ones(4), 0.8, reset="subtract", synapse=0.5),
        Enlarged("e", "nb", 2),
        Weighted("d", "e", rng.normal(0, 0.4, (4, 4, 3, 3)), np.zeros(4), padding=1),
        Neurons("nd", ("d",), np.ones(4), reset="none", keep=0.0),
        Weighted("f", "e", rng.normal(0, 0.9, (4, 4, 1, 1)), np.zeros(4)),
        Neurons("nf", ("f",), np.ones(4)),
        Joined("j", ("nd", "nf"), "iand"),
        Weighted("g", "j", rng.normal(0, 0.5, (3, 256)), np.zeros(3)),
    )
    net = FloatNet((2, 8, 8), stages, "all")
    xs = (rng.random((20, 2, 8, 8)) < 0.3).astype(np.uint8)
    made = _Network(net)
    with torch.no_grad():
        found = made.sums(torch.from_numpy(xs[:, None]).float())[0].numpy()
        rounded = {name: w.double().numpy() for name, w in made._rounded().items()}
    stages = tuple(
        replace(s, weight=rounded[s.name]) if isinstance(s, Weighted) else s for s in stages
    )
    wanted = FloatNet((2, 8, 8), stages, "rounded").run(xs)["g"].sum(0)
    assert np.abs(wanted).max() > 1 and np.allclose(found, wanted, rtol=0.02, atol=0.5)
    program = converted(net, name="all", step_us=1000, highest=1).program
    scores = run_sequence(program, xs).sum(0).ravel()
    assert np.corrcoef(scores, wanted.ravel())[0, 1] > 0.99


def test_recurrent_networks_are_not_tuned() -> None:
    net = spoilt()
    loop = (Before("again", "na", (24,)), *net.stages)
    with pytest.raises(InputError, match="again closes a loop: recurrent networks are not tuned"):
        tuned(replace(net, stages=loop), clips(4, 0), epochs=1)


def test_what_cannot_be_trained_on_is_named() -> None:
    for on in ([], [(clips(1, 0)[0][0], CLASSES)]):
        with pytest.raises(InputError, match="recordings of classes 0 to 3, at least one"):
            tuned(spoilt(), on, epochs=1)


def test_a_channel_of_no_gain_stays_one() -> None:
    first, neurons, *rest = spoilt().stages
    gain = np.ones(24)
    gain[3] = 0
    net = replace(spoilt(), stages=(first, replace(neurons, gain=gain), *rest))  # type: ignore[type-var]
    for stage in tuned(net, clips(40, 1), epochs=1).stages:
        assert not isinstance(stage, Weighted) or np.isfinite(stage.weight).all()


def test_the_command_trains_before_it_converts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nir = pytest.importorskip("nir")
    pytest.importorskip("onnx")
    net = spoilt()
    first, _, second, _ = net.stages
    assert isinstance(first, Weighted) and isinstance(second, Weighted)
    nodes: dict[str, Any] = {"input": nir.Input({"input": np.array([32])})}
    for name, weighted, theta in (("a", first, 1.0), ("b", second, 2.0)):
        nodes[name] = nir.Linear(weighted.weight.astype(np.float32))
        n = len(weighted.weight)
        nodes[f"if_{name}"] = nir.IF(
            r=np.ones(n, np.float32), v_threshold=np.full(n, theta, np.float32)
        )
    nodes["output"] = nir.Output({"output": np.array([CLASSES])})
    names = list(nodes)
    nir.write(tmp_path / "a.nir", nir.NIRGraph(nodes, list(zip(names, names[1:], strict=False))))
    for folder, seed in (("train", 1), ("test", 2)):
        written(tmp_path / folder, clips(80, seed))
    options = ["--input", "events:16x1", "--highest", "1", "--reset", "subtract", "--json"]
    options += ["--calibrate", str(tmp_path / "test")]
    right = {}
    for out, more in (("plain", []), ("tuned", ["--tune", str(tmp_path / "train")])):
        words = ["import", str(tmp_path / "a.nir"), "--out", str(tmp_path / f"{out}.json")]
        assert run_line([*words, *options, *more]) == 0
        told = capsys.readouterr()
        report = json.loads(told.out)
        right[out] = report["answers"]["integer_right"]
        said = "weights were trained on 80 recordings, 3 times through"
        assert (said in report["approximations"]) == bool(more)
        assert ("epoch 3 of 3: loss" in told.err) == bool(more)
    assert right["tuned"] > right["plain"]
    words = ["import", str(tmp_path / "a.nir"), "--out", str(tmp_path / "no.json"), *options]
    assert run_line([*words, "--tune", str(tmp_path / "train"), "--weights", "14"]) != 0
    assert "--tune trains weights of 8 bits" in capsys.readouterr().err


def written(folder: Path, on: list[Clip]) -> None:
    """Write clips as recordings of 1 ms steps, with labels.csv."""
    folder.mkdir()
    lines = ["file,label"]
    for number, (xs, label) in enumerate(on):
        t, p, y, x = np.nonzero(xs)
        columns = {"t": 1000 * t + 500, "x": x, "y": y, "p": p}
        np.savez(folder / f"{number}.npz", **columns, width=16, height=1)
        lines.append(f"{number}.npz,{label}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
