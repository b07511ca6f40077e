import hashlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import programs
import pytest
from contract_backends import BUILT

import edgesnn
from edgesnn.bundle import list_bundles, load_bundle
from edgesnn.cli.commands import COMMANDS
from edgesnn.cli.main import run_line, with_bare_devices
from edgesnn.events import events_from_arrays
from edgesnn.quantize.save import save_bundle
from edgesnn.sources.npz_write import npz_from_events
from edgesnn.sources.reading import read_events

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a bundle of the gesture network's shape with random weights."""
    folder = tmp_path_factory.mktemp("bundle")
    hasty = replace(programs.READOUT, scale=500.0, enter=0.5)  # decides, whatever it is shown
    save_bundle(
        folder,
        "gesture",
        programs.gesture_shaped(),
        programs.ENCODER,
        hasty,
        {"task": "none"},
    )
    return str(folder / "gesture.json")


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a recording of half a second, 100,000 events a second."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 500_000, 50_000))
    x, y, p = rng.integers(0, 128, 50_000), rng.integers(20, 70, 50_000), rng.integers(0, 2, 50_000)
    path = tmp_path_factory.mktemp("clip") / "noise.npz"
    npz_from_events(path, events_from_arrays(t, x, y, p), (128, 128))
    return str(path)


@pytest.fixture
def line(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run one line in this process; return exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = run_line(arguments)
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "edgesnn", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def one_sentence(told: str) -> str:
    assert told.startswith("edgesnn: ") and told.count("\n") == 1, told
    return told


def test_version_and_help_teach(line: Run) -> None:
    assert line("--version") == (0, f"edgesnn {edgesnn.__version__}\n", "")
    code, out, _ = line("run", "--help")
    assert code == 0
    assert "edgesnn run gesture --camera DXA00093" in out and "Examples" in out
    code, out, err = line()
    assert (code, err) == (2, "") and "edgesnn run gesture" in out


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (("run", "nose"), "there is no app 'nose'; the apps here are: gesture"),
        (("profile", "nose"), "there is no app 'nose'"),
        (("sing",), "No such command 'sing'"),
        (("run", "gesture", "--webcam", "first"), "is neither the number of a camera"),
        (("run", "gesture", "--file", "a.npz", "--demo"), "--file and --demo are 2 sources"),
        (("run", "gesture", "--camera", "--webcam", "0", "--demo"), "are 3 sources"),
        (("run", "gesture", "--demo", "--speed", "2"), "--speed is for recordings and --demo is"),
        (("run", "gesture", "--camera", "--loop"), "--loop is for recordings and --camera is live"),
        (("run", "gesture", "--speed", "fast"), "--speed fast is no speed"),
        (("run", "gesture", "--speed", "0"), "--speed 0 is no speed"),
        (("run", "flow", "--exit", "margin:0.5"), "motion is told in every step"),
        (("run", "gesture", "--speed", "1e7"), "give a number from a millionth to a million"),
        (("run", "gesture", "--sensor", "128"), "--sensor 128 is no size"),
        (("profile", "gesture", "--live", "--steps", "9"), "--live runs for --duration seconds"),
        (("profile", "gesture", "--compare", "events", "--steps", "9"), "leave --steps out"),
        (("profile", "gesture", "--speed", "2"), "--speed is for --live"),
        (("profile", "gesture", "--loop"), "--loop is for --live"),
        (("train", "keyword", "--out", "a", "--data", ".", "--epochs", "1"), "--epochs"),
        (("train", "digits", "--out", "a", "--data", ".", "--seed", "9" * 20), "--seed"),
        (("run", "gesture", "--duration", "-1"), "--duration -1 is no time"),
        (("run", "gesture", "--record", "a.mp4"), "must end in .aedat4 or .npz"),
        (("run", "gesture", "--model", "nowhere"), "nowhere"),
        (("eval", "gesture"), "Missing option '--data'"),
        (("train", "gesture", "--out", "a"), "there is nothing to train on"),
        (("train", "gesture", "--out", "a", "--data", "nowhere"), "--data nowhere is not a folder"),
    ],
)
def test_bad_lines_get_one_sentence(line: Run, typed: tuple[str, ...], found: str) -> None:
    code, out, err = line(*typed)
    assert (code, out) == (2, "")
    sentence = err.splitlines()[-1]
    assert sentence.startswith("edgesnn: ") and found in sentence


def test_narrow_terminals_lose_no_name_and_no_number(
    line: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {}
    for columns in ("200", "30", "0"):
        monkeypatch.setenv("COLUMNS", columns)
        told[columns] = set(line("models")[1].split())
    assert {*list_bundles(), "99.4", "112"} <= told["30"]
    assert {*list_bundles(), "99.4", "112"} <= told["0"]


def test_a_training_is_not_begun_where_another_lies(line: Run, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "last.pt").write_bytes(b"hours of work")
    for out in (tmp_path, tmp_path / "first"):
        code, _, err = line("train", "flow", "--out", str(out), "--updates", "1")
        assert code == 2 and f"--out {out} holds a training" in err
    assert (tmp_path / "first" / "last.pt").read_bytes() == b"hours of work"


def test_laps_in_a_recording_are_said(line: Run, model: str, clip: str, tmp_path: Path) -> None:
    out = str(tmp_path / "a.npz")
    words = ("--model", model, "--file", clip, "--speed", "max", "--duration", "2", "--record", out)
    assert "laps" not in line("run", "gesture", *words)[2]
    assert "laps one after the other" in line("run", "gesture", "--loop", *words)[2]


def test_bad_files_get_one_sentence(line: Run, model: str, clip: str, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not events")
    short = tmp_path / "short.npz"
    short.write_bytes(Path(clip).read_bytes()[:5000])
    for path, found in ((text, "notes.txt"), (short, "short.npz"), (tmp_path / "no.bs2", "no.bs2")):
        code, out, err = line("run", "gesture", "--json", "--model", model, "--file", str(path))
        assert (code, out) == (2, "") and found in one_sentence(err)


def test_a_small_sensor_and_an_unknown_backend(line: Run, model: str, tmp_path: Path) -> None:
    t = np.arange(0, 100_000, 100)
    small = tmp_path / "small.npz"
    npz_from_events(small, events_from_arrays(t, t % 64, t % 64, t % 2), (64, 64))
    typed = ["run", "gesture", "--json", "--model", model, "--file", str(small)]
    code, out, err = line(*typed)
    assert (code, out) == (2, "") and "64 x 64" in one_sentence(err)
    code, out, err = line(*typed, "--backend", "abacus")
    assert (code, out) == (2, "") and "no backend 'abacus'" in one_sentence(err)


def test_a_damaged_bundle_is_not_run(line: Run, model: str, clip: str, tmp_path: Path) -> None:
    for path in Path(model).parent.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    damaged = tmp_path / "gesture.onnx"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\0")
    bundle = str(tmp_path / "gesture.json")
    code, out, err = line("run", "gesture", "--json", "--model", bundle, "--file", clip)
    assert (code, out) == (2, "") and "gesture.onnx" in one_sentence(err)


def test_no_camera_and_no_display(
    line: Run, model: str, clip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = line("run", "gesture", "--json", "--model", model, "--camera", "NONESUCH")
    assert (code, out) == (2, "") and "camera" in one_sentence(err)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    code, out, err = line("run", "gesture", "--json", "--view", "--model", model, "--file", clip)
    assert (code, out) == (2, "") and "--view needs a display" in one_sentence(err)


def test_a_camera_may_be_named_or_not() -> None:
    assert with_bare_devices(["run", "gesture", "--camera"])[-1] == "--camera="
    assert with_bare_devices(["--camera", "--json"]) == ["--camera=", "--json"]
    assert with_bare_devices(["--camera", "DXA00093", "--json"])[1] == "DXA00093"


def test_json_is_all_there_is_on_stdout(line: Run, model: str, clip: str) -> None:
    typed = ("run", "gesture", "--json", "--speed", "max", "--model", model, "--file", clip)
    code, out, err = line(*typed)
    assert (code, err) == (0, "")
    *decisions, summary = [json.loads(told) for told in out.splitlines()]
    assert {told["type"] for told in decisions} == {"decision"}
    assert summary["type"] == "summary" and summary["source"] == "file:noise.npz"
    assert summary["events"] == 50_000 and summary["steps"] == 20
    code, other, _ = line(*typed, "--backend", "reference")
    told = [{**json.loads(text), "latency_us": 0} for text in other.splitlines()[:-1]]
    assert code == 0 and told == [{**told, "latency_us": 0} for told in decisions]


def test_duration_cuts_event_time(line: Run, model: str, clip: str) -> None:
    typed = ("run", "gesture", "--json", "--speed", "max", "--loop", "--duration", "2")
    code, out, _ = line(*typed, "--model", model, "--file", clip)
    assert code == 0 and json.loads(out.splitlines()[-1])["steps"] == 80


def test_the_sample_plays_when_no_source_is_named(line: Run, model: str) -> None:
    code, out, err = line("run", "gesture", "--json", "--speed", "max", "--model", model)
    assert code == 0 and "no source given, playing the bundled recording" in err
    assert json.loads(out.splitlines()[-1])["steps"] == 58


def test_plain_lines_where_there_is_no_terminal(line: Run, model: str, clip: str) -> None:
    code, out, _ = line("run", "gesture", "--speed", "max", "--model", model, "--file", clip)
    assert code == 0 and "\x1b" not in out
    chosen = "events" if "events" in BUILT else "onnx_cpu"
    assert out.startswith(f"edgesnn gesture: file:noise.npz (128x128), {chosen}, 25 ms steps\n")
    assert "  events   50,000, 0 dropped, 0 late\n" in out


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_signals_end_cleanly(model: str, clip: str, tmp_path: Path, number: int, code: int) -> None:
    kept = tmp_path / "kept.aedat4"
    typed = ["run", "gesture", "--json", "--loop", "--model", model, "--record", str(kept)]
    running = start(*typed, "--file", clip)
    assert running.stdout is not None
    first = running.stdout.readline()
    time.sleep(0.3)
    running.send_signal(number)
    out, err = running.communicate(timeout=20)
    assert (running.returncode, err) == (code, "")
    assert json.loads(first)["type"] == "decision"
    summary = json.loads(out.splitlines()[-1])
    assert summary["type"] == "summary" and summary["steps"] > 0
    events, size = read_events(kept)
    assert size == (128, 128) and len(events) >= summary["events"] > 0


def test_a_reader_that_leaves_ends_the_run_in_silence(model: str, clip: str) -> None:
    running = start("run", "gesture", "--json", "--loop", "--model", model, "--file", clip)
    assert running.stdout is not None and running.stderr is not None
    running.stdout.readline()
    running.stdout.close()
    stuck = threading.Timer(20, running.kill)
    stuck.start()
    assert running.stderr.read() == ""
    assert running.wait() == 0
    stuck.cancel()
    running.stderr.close()


def test_eval_prints_a_table_or_json(line: Run, model: str, clip: str, tmp_path: Path) -> None:
    (tmp_path / "noise.npz").write_bytes(Path(clip).read_bytes())
    (tmp_path / "labels.csv").write_text("file,label,name\nnoise.npz,3,right arm clockwise\n")
    typed = ("eval", "gesture", "--data", str(tmp_path), "--model", model)
    code, out, _ = line(*typed, "--json")
    report = json.loads(out)
    assert code == 0 and report["n"] == 1 and len(report["confusion"]) == 11
    code, out, _ = line(*typed, "--carry-state")
    assert code == 0 and "noise.npz" in out and "(state carried over)" in out


def test_models_lists_what_is_installed(
    line: Run, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgesnn.bundle.list_bundles", lambda: [model])
    code, out, _ = line("models", "--json")
    (found,) = json.loads(out)
    assert code == 0 and found["task"] == "none" and found["name"] == model
    assert found["params"] == found["bytes"] - 3 * sum(
        tensor.size for tensor in programs.gesture_shaped().tensors.values() if tensor.itemsize == 4
    )
    code, out, _ = line("models")
    assert code == 0 and f"{found['bytes'] / 1e3:,.0f}" in out and "models --json" in out


def test_devices_says_how_to_use_each(line: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgesnn.sources.device import Device

    found = [Device("camera", "DVXplorer", "--camera DXA00093"), Device("missing", "none", "")]
    monkeypatch.setattr("edgesnn.sources.devices.list_devices", lambda: found)
    wanted = (
        "DVXplorer: edgesnn run gesture --camera DXA00093\nnone\n"
        "no microphone found; edgesnn run keyword --file PATH needs none\n"
    )
    code, out, err = line("devices")
    assert (code, err) == (0, "") and out.startswith(wanted + "networks run on ")
    mic = Device("microphone", "Built-in (level -40 dB)", "--mic 2")
    monkeypatch.setattr("edgesnn.sources.devices.list_devices", lambda: [mic])
    told = line("devices")[1]
    assert "--demo needs none" in told
    assert "Built-in (level -40 dB): edgesnn run keyword --mic 2\n" in told
    assert "no microphone" not in told


@pytest.mark.parametrize("package", ["torch", "onnx"])
def test_training_without_its_packages_names_the_pip_line(
    line: Run, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == package else found(name)
    )
    typed = ("train", "gesture", "--out", str(tmp_path), "--data", str(tmp_path))
    code, out, err = line(*typed)
    assert (code, out) == (2, "")
    assert f"needs {package}" in err and 'pip install ".[train]"' in one_sentence(err)


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGESNN_DEBUG", "1")
    with pytest.raises(edgesnn.InputError, match="no app 'nose'"):
        run_line(["run", "nose"])


DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_manual_names_every_command_and_option_of_run(line: Run) -> None:
    manual = (DOCS / "cli.md").read_text()
    for command in COMMANDS:
        assert f"`edgesnn {command}" in manual
    told = set(re.findall(r"--[a-z]+", line("run", "--help")[1])) - {"--help"}
    documented = set(re.findall(r"--[a-z]+", manual))
    assert told - documented == {"--backend", "--threads", "--model"}


def test_the_json_page_shows_the_real_fields(line: Run, model: str, clip: str) -> None:
    page = (DOCS / "json.md").read_text()
    shown = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    typed = ("run", "gesture", "--json", "--speed", "4", "--model", model, "--file", clip)
    told = [json.loads(text) for text in line(*typed)[1].splitlines()]
    field = ("run", "flow", "--json", "--speed", "4", "--duration", "0.05")
    seen = json.loads(line(*field)[1].splitlines()[0])
    for documented, real in zip(shown, (told[0], seen, told[-1]), strict=True):
        assert list(documented) == list(real)
        for name, value in documented.items():
            assert type(value) is type(real[name]), name
    assert list(shown[2]["latency_us"]) == list(told[-1]["latency_us"])


def test_one_model_is_told_by_name_or_path(line: Run, model: str) -> None:
    for name in ("gesture", model):
        (only,) = json.loads(line("models", "--json", "--model", name)[1])
        assert only["name"] == name
    assert line("models", "--model", "gesture", "--verify")[2].startswith("1 model computes")
    assert line("models", "--model", "nowhere")[0] == 2


def test_models_prints_the_whole_card_and_verifies(line: Run) -> None:
    code, out, err = line("models", "--json", "--verify")
    found = {model["name"]: model for model in json.loads(out)}
    assert code == 0 and "7 models compute what their parity vectors say" in err
    for name, model in found.items():
        assert model["card"] == load_bundle(name).card and model["card"]["limits"]


def test_a_graph_of_another_program_is_refused_whatever_its_hash(line: Run, tmp_path: Path) -> None:
    """The description's hash of the graph is updated by hand."""
    for name, seed in (("one", 0), ("other", 1)):
        given = (programs.gesture_shaped(seed), programs.ENCODER, programs.READOUT, {})
        save_bundle(tmp_path / name, "gesture", *given)
    graph = (tmp_path / "other" / "gesture.onnx").read_bytes()
    (tmp_path / "one" / "gesture.onnx").write_bytes(graph)
    path = tmp_path / "one" / "gesture.json"
    description = json.loads(path.read_text())
    description["sha256"]["onnx"] = hashlib.sha256(graph).hexdigest()
    path.write_text(json.dumps(description))
    code, _, err = line("run", "gesture", "--speed", "max", "--model", str(path))
    assert code == 2 and "graph" in one_sentence(err)
