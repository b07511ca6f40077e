import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import programs
import pytest

from edgesnn.app import load_app, sample_path
from edgesnn.bundle import Bundle
from edgesnn.cli.main import run_line
from edgesnn.errors import InputError
from edgesnn.events import Source, events_from_arrays
from edgesnn.measure.compare import compared
from edgesnn.measure.operations import count_work, fan_out, neurobench
from edgesnn.measure.profile import COUNTED, STAGES, StageMeter, profile, side
from edgesnn.program import Add, Fire, Integrate, Layer, Program
from edgesnn.quantize.save import save_bundle
from edgesnn.sources.files import open_file
from edgesnn.sources.npz_write import npz_from_events


def operations(program: Program, layer: Layer, active: np.ndarray, *, dense: bool) -> int:
    return int(fan_out(program, layer, dense=dense)[active].sum())


def small(weight: np.ndarray, **how: object) -> Program:
    """One spiking convolution of x, a 0/1 image of one channel, 4 x 4; threshold 1."""
    tensors = {"w": weight.astype(np.int8), "theta": np.ones(len(weight), np.int32)}
    layer = Layer("spikes", "x", "w", threshold="theta", **how)  # type: ignore[arg-type]
    return Program("small", 1000, (1, 4, 4), 1, (layer,), "spikes", tensors)


def brute_force(program: Program, layer: Layer, active: np.ndarray, dense: bool) -> int:
    """Count pairs one by one."""
    weight = program.tensors[layer.weight]
    outputs, per_group, height, width = weight.shape
    rows, columns = active.shape[1:]
    pad, total = layer.padding, 0
    for o in range(outputs):
        group = o // (outputs // layer.groups)
        for y in range(0, rows + 2 * pad - height + 1, layer.stride):
            for x in range(0, columns + 2 * pad - width + 1, layer.stride):
                for c in range(per_group):
                    for i in range(height):
                        for j in range(width):
                            row, column = y + i - pad, x + j - pad
                            if 0 <= row < rows and 0 <= column < columns:
                                seen = active[group * per_group + c, row, column]
                                total += int(seen and (dense or weight[o, c, i, j] != 0))
    return total


def test_every_spike_is_counted_whoever_makes_it() -> None:
    """Neurons that give several a step, that compare an Add, and two of them on one layer."""
    weight = np.full((4, 16), 3, np.int8)
    tensors = {"w": weight, "theta": np.full(4, 20, np.int32), "none": np.zeros(4, np.int32)}
    sums = Layer("h", "x", "w", op="linear")
    lit = np.ones((1, 4, 4), np.uint8)  # 48 a neuron
    for nodes, spikes, share in (
        ((sums, Integrate("n", "h", "theta", "none", reset="subtract", most=15)), 8.0, 1.0),
        ((sums, Add("n", ("h", "h"), "theta")), 4.0, 1.0),
        ((sums, Fire("f", "h", "theta"), Fire("n", "h", "theta")), 8.0, 1.0),
    ):
        program = Program("p", 1000, (1, 4, 4), 1, nodes, "n", tensors)
        (work,), over_time = count_work(program, [lit])
        assert (work.spikes, work.rate) == (spikes, share) and over_time == {"h": [int(spikes)]}
        assert neurobench(program, [work], over_time)["ActivationSparsity"] == 1 - share


def test_a_network_that_is_reset_is_counted_from_its_initial_state() -> None:
    """Neurons that fire once would stay fired for ever."""
    tensors = {"w": np.ones((4, 16), np.int8), "theta": np.full(4, 10, np.int32)}
    nodes = (Layer("h", "x", "w", op="linear"), Fire("f", "h", "theta"))
    program = Program("p", 1000, (1, 4, 4), 1, nodes, "f", tensors)
    lit = np.ones((1, 4, 4), np.uint8)
    assert count_work(program, [lit] * 4)[1] == {"h": [4, 0, 0, 0]}
    begins = [True, False, True, False]
    assert count_work(program, [lit] * 4, begins)[1] == {"h": [4, 0, 4, 0]}


def test_digits_are_counted_trial_by_trial() -> None:
    """What a picture costs does not depend on how many are played."""
    few, many = (profiled("mnist", sample_path(load_app("digits")), steps=n) for n in (400, 1600))
    assert few["counted_steps"] < many["counted_steps"] <= COUNTED
    assert many["spikes_per_step"] == pytest.approx(few["spikes_per_step"], rel=0.2)
    for report in (few, many):
        assert report["network_steps_per_decision"] < 0.2 * report["steps_per_decision"]


def test_operations_by_hand() -> None:
    weight = np.ones((2, 1, 3, 3))
    weight[1, 0, 1, 1] = 0
    program = small(weight, padding=1)
    (layer,) = program.nodes
    assert isinstance(layer, Layer)
    one = np.zeros((1, 4, 4), bool)
    one[0, 1, 1] = True  # lies under nine kernel positions of each of the two filters
    assert operations(program, layer, one, dense=True) == 18
    assert operations(program, layer, one, dense=False) == 17
    corner = np.zeros((1, 4, 4), bool)
    corner[0, 0, 0] = True
    assert operations(program, layer, corner, dense=False) == 4 + 3
    assert operations(program, layer, np.zeros((1, 4, 4), bool), dense=True) == 0


@pytest.mark.parametrize(("stride", "padding", "groups"), [(1, 0, 1), (2, 1, 2), (3, 2, 4)])
def test_operations_equal_counting_one_by_one(stride: int, padding: int, groups: int) -> None:
    rng = np.random.default_rng(stride)
    weight = rng.integers(-1, 2, (4, 4 // groups, 3, 3)).astype(np.int8)
    layer = Layer("sums", "x", "w", stride=stride, padding=padding, groups=groups)
    program = Program("grouped", 1000, (4, 7, 6), 1, (layer,), "sums", {"w": weight})
    active = rng.random((4, 7, 6)) < 0.4
    for dense in (True, False):
        assert operations(program, layer, active, dense=dense) == brute_force(
            program, layer, active, dense
        )


def test_linear_layers_and_several_filters() -> None:
    weight = np.array([[1, 0, 2], [0, 0, 3]], np.int8)
    layer = Layer("sums", "x", "w", op="linear")
    program = Program("linear", 1000, (3, 1, 1), 9, (layer,), "sums", {"w": weight})
    active = np.array([True, True, False]).reshape(3, 1, 1)
    assert operations(program, layer, active, dense=True) == 4
    assert operations(program, layer, active, dense=False) == 1
    twice = Layer("sums", "x", "w", taps="t", op="linear")
    tensors = {"w": np.hstack([weight, weight]), "t": np.eye(2, dtype=np.int8)}
    program = Program("delays", 1000, (3, 1, 1), 9, (twice,), "sums", tensors)
    assert operations(program, twice, active, dense=False) == 2


def test_work_is_counted_over_time() -> None:
    program = small(np.ones((1, 1, 1, 1)))
    lit, dark = np.ones((1, 4, 4), np.uint8), np.zeros((1, 4, 4), np.uint8)
    (work,), over_time = count_work(program, [lit, dark, dark, dark])
    assert over_time == {"spikes": [16, 0, 0, 0]}
    assert (work.kind, work.dense, work.effective) == ("ACs", 16.0, 4.0)
    assert (work.spikes, work.rate) == (4.0, 0.25)
    (work,), _ = count_work(replace(program, input_high=7), [lit])
    assert (work.kind, work.effective) == ("MACs", 16.0)
    (work,), _ = count_work(program, [])
    assert (work.effective, work.dense) == (0.0, 16.0)


def test_the_probe_keeps_copies_of_the_first_inputs_only() -> None:
    meter, x = StageMeter(), np.zeros((2, 4, 4), np.uint8)
    for number in range(COUNTED + 5):
        x[:] = number % 7
        meter.step(x, np.zeros(1, np.int32), number % 9 == 0)
    assert (len(meter.inputs), meter.steps) == (COUNTED, COUNTED + 5)
    assert meter.begins == [number % 9 == 0 for number in range(COUNTED)]
    assert len(meter.inputs) == COUNTED and meter.inputs[3].max() == 3
    meter.stage("step", 5000)
    assert meter.stages["step"].count == 1 and meter.stages["read"].count == 0


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("profile")
    given = (programs.gesture_shaped(), programs.ENCODER, programs.READOUT, {"task": "none"})
    save_bundle(folder, "gesture", *given)
    t = np.arange(0, 250_000, 50)
    clip = folder / "clip.npz"
    npz_from_events(clip, events_from_arrays(t, t % 128, t // 7 % 128, t % 2), (128, 128))
    return str(folder / "gesture.json"), clip


def profiled(model: str, clip: Path, **settings: int) -> dict[str, Any]:
    def opened(bundle: Bundle) -> Source:
        return open_file(clip, bundle, speed=math.inf, loop=True)

    return profile(lambda: model, opened, **settings)


def test_a_profile_covers_every_stage(things: tuple[str, Path]) -> None:
    report = json.loads(json.dumps(profiled(*things, steps=220)))
    assert report["steps"] == 220 and report["step_us"] == 25_000
    assert tuple(report["stages_us"]) == STAGES
    for values in report["stages_us"].values():
        assert 0 < values["p50"] <= values["p99"] <= values["p999"] <= values["max"]
    assert report["steps_per_second"] == pytest.approx(report["realtime_factor"] * 40)
    assert 0 < report["startup_ms"]["load"] < report["startup_ms"]["first_step"]
    assert report["peak_memory_bytes"] > 10 * 2**20
    assert report["counted_steps"] == COUNTED
    totals = report["operations_per_step"]
    assert 0 < totals["effective_ACs"] < totals["dense_ACs"] == 5_277_312
    assert 0 < totals["effective_MACs"] < totals["dense_MACs"]
    assert [layer["name"] for layer in report["layers"]][:2] == ["motion", "near1"]


def test_neurobench_keys_by_hand() -> None:
    weight = np.ones((2, 1, 3, 3))
    weight[1, 0, :, 0] = 0
    program = small(weight, padding=1)
    lit, dark = np.ones((1, 4, 4), np.uint8), np.zeros((1, 4, 4), np.uint8)
    layers, over_time = count_work(program, [lit, dark])
    found = neurobench(program, layers, over_time)
    assert found["ConnectionSparsity"] == round(3 / 18, 4)
    assert found["ActivationSparsity"] == 1 - over_time["spikes"][0] / 64
    assert found["Footprint"] == 18 + 8  # weights, thresholds: it has no state
    assert found["SynapticOperations"]["Dense"] == 200


def test_neurobench_agrees_with_its_package() -> None:
    """One convolution and one matrix, weights with zeros, random spikes."""
    torch = pytest.importorskip("torch")
    macs = pytest.importorskip("neurobench.metrics.utils.layers").single_layer_MACs
    rng = np.random.default_rng(0)
    weight = rng.integers(-1, 2, (2, 1, 3, 3))
    program = small(weight, padding=1)
    x = rng.integers(0, 2, (1, 4, 4)).astype(np.uint8)
    (layer,), _ = count_work(program, [x])
    peer = torch.nn.Conv2d(1, 2, 3, padding=1, bias=False)
    peer.weight.data = torch.from_numpy(weight).float()
    given = torch.from_numpy(x).float()[None]
    assert layer.effective == macs(given, peer)[0]
    assert layer.dense == macs(given, peer, total=True)[0]


def test_two_backends_are_compared_step_by_step(things: tuple[str, Path]) -> None:
    model, clip = things

    def opened(bundle: Bundle) -> Source:
        return open_file(clip, bundle, speed=math.inf, loop=True)

    a, b = (side(model, opened, name) for name in ("reference", "onnx_cpu"))
    found = json.loads(json.dumps(compared(a, b, blocks=12)))
    assert found["same_outputs"] is True and found["blocks"] == 12
    assert 0 < found["low"] <= found["ratio"] <= found["high"] < 1  # NumPy is the slow one
    assert (found["a"]["backend"], found["b"]["backend"]) == ("reference", "onnx_cpu")


def test_compare_and_live_commands(
    things: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    model, clip = things
    typed = ["profile", "gesture", "--model", model, "--file", str(clip)]
    assert run_line([*typed, "--backend", "reference", "--compare", "onnx_cpu"]) == 0
    out = capsys.readouterr().out
    assert "the same sums in every step" in out and "reference" in out and "times" in out
    assert run_line([*typed, "--live", "--duration", "0.3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["live"]["latency_us"]["p50"] > 0 and told["live"]["dropped"] == 0
    assert told["steps"] == 10


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (["--demo"], "--demo is live; give --live with it"),
        (["--live", "--compare", "reference"], "leave one of them out"),
        (["--rounds", "0", "--compare", "reference"], "leave one of them out"),
        (["--duration", "3"], "--duration is for --live"),
        (["--live", "--duration", "-1"], "is no time to run"),
        (["--compare", "nowhere"], "nowhere"),
        (["--plot", "a.pdf"], "must end in .png or .svg"),
        (["--plot", "nowhere/a.svg"], "there is no folder nowhere"),
    ],
)
def test_what_a_profile_refuses(
    typed: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(["profile", "gesture", *typed]) == 2
    assert sentence in capsys.readouterr().err


def test_pictures_of_a_profile(things: tuple[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    model, clip = things
    for kind, begins in (("svg", b"<?xml"), ("png", b"\x89PNG")):
        path = tmp_path / f"a.{kind}"
        typed = ["profile", "gesture", "--model", model, "--file", str(clip), "--steps", "60"]
        assert run_line([*typed, "--plot", str(path)]) == 0
        assert path.read_bytes().startswith(begins)
    drawn = (tmp_path / "a.svg").read_text()
    assert "near1" in drawn and "readout" in drawn


def test_the_profile_command(things: tuple[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    model, clip = things
    typed = ["profile", "gesture", "--steps", "30", "--model", model]
    assert run_line([*typed, "--file", str(clip)]) == 0
    out = capsys.readouterr().out
    for told in (*STAGES, "p99.9 us", "near1", "steps per second", "start-up", "peak memory"):
        assert told in out


def test_a_model_that_is_not_there(things: tuple[str, Path]) -> None:
    with pytest.raises(InputError, match="nowhere"):
        profiled("nowhere", things[1])
