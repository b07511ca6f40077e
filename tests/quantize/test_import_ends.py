"""What feeds an imported network: recordings, sound or images; and how its output decides."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

nir = pytest.importorskip("nir")
pytest.importorskip("onnx")

from edgesnn.app import load_app, sample_path  # noqa: E402
from edgesnn.bundle import load_bundle  # noqa: E402
from edgesnn.cli import import_net  # noqa: E402
from edgesnn.cli.main import run_line  # noqa: E402

RNG = np.random.default_rng(3)


def dense(path: Path, features: int, classes: int = 3, weights: Any = None) -> str:
    """Write a layer of neurons on features; without weights each class sees its own part."""
    if weights is None:
        weights = np.zeros((classes, features), np.float32)
        for one, part in zip(weights, np.array_split(np.arange(features), classes), strict=True):
            one[part] = 1.0
    nodes = {
        "input": nir.Input({"input": np.array([features])}),
        "fc": nir.Linear(weights.astype(np.float32)),
        "if": nir.IF(
            r=np.ones(classes, np.float32),
            v_threshold=np.full(classes, 2.0, np.float32),
            v_reset=np.zeros(classes, np.float32),
        ),
        "output": nir.Output({"output": np.array([classes])}),
    }
    names = list(nodes)
    nir.write(path, nir.NIRGraph(nodes, list(zip(names, names[1:], strict=False))))
    return str(path)


def imported(tmp_path: Path, features: int, *words: str) -> str:
    out = str(tmp_path / "mine.json")
    assert run_line(["import", dense(tmp_path / "a.nir", features), "--out", out, *words]) == 0
    return out


def last(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    lines = capsys.readouterr().out.splitlines()
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def test_an_image_is_one_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bright bar in the lower third: the third class, whose spikes are counted over the trial."""
    words = ["--input", "image:28x28", "--readout", "trial", "--steps", "8"]
    out = imported(tmp_path, 784, *words)
    assert load_app(out).sources == ("--webcam", "--file")
    bundle = load_bundle(out)
    assert bundle.latency is not None and (bundle.latency.size, bundle.latency.steps) == (28, 8)
    assert bundle.program.input_shape == (2, 28, 28)
    picture = np.zeros((28, 28), np.uint8)
    picture[22:26, 4:24] = 255
    cv2.imwrite(str(tmp_path / "bar.png"), picture)
    capsys.readouterr()
    assert run_line(["run", out, "--file", str(tmp_path / "bar.png"), "--json"]) == 0
    assert last(capsys)["decision"] in ("class 1", "class 2")  # ink is centred, and fills


def test_sound_is_heard_by_as_many_bands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--input", "sound", "--step-us", "10000", "--readout", "spikes"]
    hears = np.array([[1.0] * 24, [0.01] * 24])  # the first class any sound, the second hardly
    out, net = str(tmp_path / "mine.json"), dense(tmp_path / "a.nir", 24, 2, hears)
    assert run_line(["import", net, "--out", out, *words]) == 0
    bundle = load_bundle(out)
    assert bundle.hearing is not None and (bundle.hearing.bands, bundle.hearing.hop) == (24, 80)
    capsys.readouterr()
    sample = str(sample_path(load_app("keyword")))
    assert run_line(["run", out, "--file", sample, "--json", "--speed", "max"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1]["events"] > 100
    assert any(line.get("label", "").startswith("class ") for line in lines)
    assert load_app(out).sources == ("--mic", "--stdin", "--file")
    assert run_line(["run", out, "--webcam", "0"]) == 2
    assert "takes no --webcam; it takes --mic, --stdin, --file" in capsys.readouterr().err
    (tmp_path / "labels.csv").write_text("file,label\na.wav,0\n")
    assert run_line(["eval", out, "--data", str(tmp_path)]) == 2
    assert "takes sound, and a folder of recordings of events" in capsys.readouterr().err


def test_recordings_are_judged_by_trials(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One trial from the first event on: what comes after it is of another."""
    out = imported(tmp_path, 30, "--input", "events:6x5", "--readout", "trial", "--steps", "40")
    n = 60
    for number, row in enumerate((0, 4)):  # the first class looks above, the last below
        columns = {"t": np.arange(n) * 1000, "x": RNG.integers(0, 6, n), "y": np.full(n, row)}
        np.savez(tmp_path / f"{number}.npz", **columns, p=np.ones(n, int), width=6, height=5)
    (tmp_path / "labels.csv").write_text("file,label\n0.npz,0\n1.npz,2\n")
    capsys.readouterr()
    assert run_line(["eval", out, "--data", str(tmp_path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["correct"] == 2 and all(row["decided_at_us"] for row in report["per_file"])


@pytest.mark.parametrize("kind", ["npz", "onnx", "parity.npz", "json"])
def test_no_file_of_the_users_is_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    own = tmp_path / f"mine.{kind}"
    own.write_bytes(b"a recording")
    out = str(tmp_path / "mine.json")
    assert run_line(["import", dense(tmp_path / "a.nir", 30), "--out", out]) != 0
    assert f"mine.{kind} is there already" in capsys.readouterr().err
    assert own.read_bytes() == b"a recording" and len(list(tmp_path.iterdir())) == 2


def test_an_import_that_is_stopped_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while the recordings are judged, which is the last that is done before it is written."""
    (tmp_path / "data").mkdir()
    columns = {"t": np.arange(9) * 1000, "x": np.arange(9) % 6, "y": np.full(9, 2)}
    np.savez(tmp_path / "data" / "0.npz", **columns, p=np.ones(9, int), width=6, height=5)
    (tmp_path / "data" / "labels.csv").write_text("file,label\n0.npz,0\n")

    def stop(*given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(import_net, "answers_on", stop)
    words = ["--input", "events:6x5", "--calibrate", str(tmp_path / "data")]
    net, out = dense(tmp_path / "a.nir", 30), str(tmp_path / "mine.json")
    with contextlib.suppress(KeyboardInterrupt):
        assert run_line(["import", net, "--out", out, *words]) != 0
    assert {path.name for path in tmp_path.iterdir()} == {"a.nir", "data"}


@pytest.mark.parametrize("channels", [1, 2])
def test_features_are_the_pixels_of_a_sensor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], channels: int
) -> None:
    """ON events below, where the last class looks; with OFF and ON as well."""
    out = imported(tmp_path, 6 * 5 * channels, "--input", "events:6x5")
    assert load_bundle(out).program.input_shape == (2, 5, 6)
    n = 400
    columns = {"t": np.arange(n) * 1000, "x": RNG.integers(0, 6, n)}
    np.savez(tmp_path / "a.npz", **columns, y=np.full(n, 4), p=np.ones(n, int), width=6, height=5)
    capsys.readouterr()
    words = ["run", out, "--file", str(tmp_path / "a.npz"), "--json", "--speed", "max"]
    assert run_line(words) == 0
    assert last(capsys)["decision"] == "class 2"


@pytest.mark.parametrize(
    ("features", "words", "said"),
    [
        (30, ["--input", "events:7x5"], "takes 30 features; 7 x 5 pixels are 35, or 70"),
        (30, ["--input", "smell"], "--input smell is none; give events, events:WxH, sound"),
        (30, ["--input", "image"], "is for square images; mine takes 30 x 1 (features: --input"),
        (24, ["--input", "sound"], "--step-us 1234 is no whole number of samples at 8000 Hz"),
        (30, ["--readout", "guess"], "--readout guess is none; give evidence, spikes, trial"),
        (30, ["--input", "sound", "--calibrate", "."], "--calibrate takes recordings of events"),
        (36, ["--input", "image:6x6", "--steps", "0"], "--steps"),
        (36, ["--input", "image:6"], "--input image:6 is none; give events"),
        (36, ["--steps", "9"], "--steps is of --readout trial or --input image"),
        (36, ["--tune", ".", "--calibrate", "."], "--tune and --calibrate name one folder"),
        (36, ["--calibrate", "nowhere"], "there is no folder nowhere"),
        (36, ["--epochs", "2"], "--epochs is of --tune DIR, which is not given"),
    ],
)
def test_ends_that_do_not_fit_are_named(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    features: int,
    words: list[str],
    said: str,
) -> None:
    out = tmp_path / "mine.json"
    line = ["import", dense(tmp_path / "a.nir", features), "--out", str(out), "--step-us", "1234"]
    assert run_line([*line, *words]) != 0
    assert said in capsys.readouterr().err and not out.exists()


def test_more_bits_that_do_not_fit_leave_eight(tmp_path: Path) -> None:
    """Finer weights of very many inputs could leave the range in which graphs are exact."""
    weights = RNG.normal(0, 0.05, (4, 20_000)).astype(np.float32)
    weights[:, 0] = 5.0
    net = dense(tmp_path / "a.nir", 20_000, 4, weights)
    assert run_line(["import", net, "--out", str(tmp_path / "auto.json")]) == 0
    assert run_line(["import", net, "--out", str(tmp_path / "b.json"), "--weights", "14"]) != 0
