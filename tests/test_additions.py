"""Every addition that docs/architecture.md tells of, done from outside: one file and one line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import programs
import pytest

pytest.importorskip("onnx")

from edgesnn import app as apps  # noqa: E402
from edgesnn.backend import BACKENDS  # noqa: E402
from edgesnn.bundle import load_bundle  # noqa: E402
from edgesnn.cli.main import run_line  # noqa: E402
from edgesnn.decide import readouts  # noqa: E402
from edgesnn.options import Option  # noqa: E402
from edgesnn.program import KINDS, Layer, Program  # noqa: E402
from edgesnn.quantize.save import save_bundle  # noqa: E402
from edgesnn.senses.encoder import EncoderSpec  # noqa: E402
from edgesnn.sinks import catalog as sinks  # noqa: E402
from edgesnn.sources import catalog as sources  # noqa: E402

Line = Callable[..., tuple[int, str, str]]

TASK = """
from edgesnn.app import App
APP = App("toy", "Counts left and right.", {model!r}, "sample.bag", sources=("--file", "--demo"),
          evaluation="addition_toy.evaluation", training="addition_toy.command")
"""
EVALUATION = """
from edgesnn.app import Evaluation
from edgesnn.options import Option

def report(bundle, model, data, rule, given):
    return {"accuracy": 1.0, "n": given["takes"], "file": data.name}

def show(bundle, report, given):
    print(f"{report['n']} of {report['n']} right on {report['file']}")

OPTIONS = (Option("--takes", "How many.", int, default=3),)
EVALUATION = Evaluation("Any folder.", report, show, OPTIONS)
"""
COMMAND = """
from edgesnn.app import Training
from edgesnn.options import Option

def train(out, card, given):
    import test_additions_help
    return test_additions_help.made(out, {**card, "rounds": given["rounds"], "accuracy": []})

TRAINING = Training((Option("--rounds", "How often.", int, default=1, least=1),), train)
"""
BAG = """
import numpy as np
from edgesnn.events import events_from_arrays
from edgesnn.sources.found import Found

def events_from_bag(path, size, unit):
    t, x, y, p = np.loadtxt(path, dtype=np.int64, ndmin=2).T
    return Found(events_from_arrays(t, x, y, p), size or (8, 8))
"""
NOISE = """
import time
import numpy as np
from edgesnn.events import Packet, events_from_arrays
from edgesnn.sources.device import Device

class Noise:
    name, size, can_wait = "noise", (8, 8), True
    def __init__(self, count):
        self.left, self.t = count, 0
    def read(self):
        if not self.left:
            return None
        self.left, self.t = self.left - 1, self.t + 1000
        at = np.array([self.t])
        return Packet(events_from_arrays(at, at % 8, at % 8, at % 2), self.t, time.monotonic_ns())
    def close(self):
        self.left = 0

def open_live(value, wanted):
    assert wanted.bundle.program.name == "toy"
    return Noise(value)

def listed():
    return [Device("camera", "Noise maker", "--noise 5")]
"""
TOPIC = """
class Topic:
    def __init__(self, path):
        self.path = path
    def open(self, info, monitor):
        self.path.write_text("open\\n")
    def packet(self, packet): ...
    def decision(self, decision): ...
    def close(self, summary):
        with self.path.open("a") as file:
            file.write(f"{summary.events} events\\n")

def open_sink(value, run):
    return Topic(value)
"""
BACKEND = """
from edgesnn.hardware.reference import Reference

def load(bundle, *, threads=1):
    return Reference(bundle.program)
"""
NEGATE = '''
from dataclasses import dataclass
from typing import Literal
import numpy as np
from edgesnn.program.node import Node, Value

@dataclass(frozen=True, slots=True)
class Invert(Node):
    """S[t] = 1 - s[t]."""
    name: str
    input: str
    kind: Literal["invert"] = "invert"
    @property
    def reads(self):
        return (self.input,)
    def value(self, tensors, given):
        return Value(given[0].shape, 0, 1, "uint8")
    def run(self, known, given, state):
        return (1 - given[0]).astype(np.uint8), {}
    def write(self, graph, known, sources, out):
        one = graph.scalar(1, "uint8")
        return graph.add("Sub", [one, *sources], out)
'''
READOUT = """
from dataclasses import dataclass
import numpy as np
from edgesnn.decide.decision import NOTHING, Decision

@dataclass(frozen=True)
class LoudestSpec:
    labels: tuple[str, ...]
    least: int
    def policy(self):
        return f"the largest y from {self.least} on"

class Loudest:
    nothing, answers = "hush", False
    def __init__(self, spec, *, rule):
        self.spec = spec
        self.reset()
    def reset(self):
        self.held = Decision(0, NOTHING, self.nothing, 1.0, 0.0)
        self.probabilities = np.full(len(self.spec.labels), 1 / len(self.spec.labels))
    def best(self):
        return self.held.index
    def turn(self, events):
        return "step"
    def update(self, y, events, t_us):
        index = int(y.argmax())
        if y[index] < self.spec.least or index == self.held.index:
            return None
        self.held = Decision(t_us, index, self.spec.labels[index], 1.0, 0.0)
        return self.held
    def finish(self, t_us):
        return None
"""


def toy_program() -> Program:
    """Events left and right of the middle, counted: 8 x 8 cells, two classes."""
    left = np.zeros((2, 2, 8, 8), np.int8)
    left[0, :, :, :4] = left[1, :, :, 4:] = 1
    tensors = {"w": left.reshape(2, -1)}
    nodes = (Layer("y", "x", "w", op="linear"),)
    return Program("toy", 1000, (2, 8, 8), 7, nodes, "y", tensors)


def made(folder: Path, card: dict[str, object]) -> object:
    encoder = EncoderSpec((8, 8), tuple(min(n, 7) for n in range(256)))
    readout = replace(programs.READOUT, labels=("left", "right"), scale=1.0, quiet_events=0)
    return save_bundle(folder, "toy", toy_program(), encoder, readout, card)


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path, where additions lie; and the helper that their training imports."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "test_additions_help", sys.modules[__name__])
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("addition_")]:
        del sys.modules[name]


@pytest.fixture
def line(capsys: pytest.CaptureFixture[str]) -> Line:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = run_line(arguments)
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture
def toy(outside: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A task from outside, with a format of recordings of its own; the folder of its bundle."""
    made(outside / "bundle", {"task": "counts", "licence": "none"})
    folder = outside / "addition_toy"
    folder.mkdir()
    (folder / "__init__.py").write_text(TASK.format(model=str(outside / "bundle" / "toy.json")))
    (folder / "evaluation.py").write_text(EVALUATION)
    (folder / "command.py").write_text(COMMAND)
    rows = [(t, 1 if t < 20_000 else 6, 2, t % 2) for t in range(0, 40_000, 100)]
    (folder / "sample.bag").write_text("\n".join(" ".join(map(str, row)) for row in rows))
    (outside / "addition_bag.py").write_text(BAG)
    monkeypatch.setitem(apps.APPS, "toy", "addition_toy")
    monkeypatch.setitem(sources.FORMATS, ".bag", "addition_bag:events_from_bag")
    return outside / "bundle"


def test_a_task_and_a_format_run(toy: Path, line: Line) -> None:
    code, out, err = line("run", "toy", "--speed", "max", "--json")
    told = [json.loads(text) for text in out.splitlines()]
    assert code == 0 and "bundled recording sample.bag" in err
    assert [message["label"] for message in told[:-1]] == ["left", "right"]
    assert told[-1]["events"] == 400 and told[-1]["model"] == "toy"
    assert line("run", "toy", "--camera")[0] == 2


def test_a_task_is_measured_by_its_own_options(toy: Path, line: Line) -> None:
    code, out, _ = line("eval", "toy", "--data", str(toy), "--takes", "7")
    assert (code, out) == (0, "7 of 7 right on bundle\n")
    assert json.loads(line("eval", "toy", "--data", str(toy), "--json")[1])["n"] == 3
    shown = line("eval", "toy", "--help")[1]
    assert "--takes" in shown and "--carry-state" not in shown
    code, _, err = line("eval", "toy", "--data", str(toy), "--carry-state")
    assert code == 2 and "No such option: --carry-state" in err
    assert "toy" in line("eval", "--help")[1]


def test_a_task_trains_with_its_own_options(toy: Path, line: Line, tmp_path: Path) -> None:
    code, out, _ = line("train", "toy", "--out", str(tmp_path / "out"), "--rounds", "2")
    assert code == 0 and "edgesnn run toy --model" in out
    assert load_bundle(tmp_path / "out" / "toy.json").card["rounds"] == 2
    code, _, err = line("train", "toy", "--out", str(tmp_path / "out"), "--epochs", "2")
    assert code == 2 and "No such option: --epochs" in err
    assert line("train", "toy", "--out", str(tmp_path), "--rounds", "0")[0] == 2


def test_a_task_is_profiled_and_listed(toy: Path, line: Line) -> None:
    code, out, _ = line("profile", "toy", "--steps", "50", "--json")
    assert code == 0 and json.loads(out)["steps"] == 50
    listed = json.loads(line("models", "--json")[1])
    assert {str(toy / "toy.json"), "gesture"} <= {model["name"] for model in listed}


def test_a_live_source_is_one_line(
    toy: Path, outside: Path, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    (outside / "addition_noise.py").write_text(NOISE)
    option = Option("--noise", "So many events.", int, metavar="N", least=1)
    entry = sources.Live(option, "addition_noise", like="--demo")
    for place in ("cli.source", "app"):
        monkeypatch.setattr(f"edgesnn.{place}.LIVE", (*sources.LIVE, entry))
    monkeypatch.setattr("edgesnn.sources.devices.LIVE", (entry,))
    code, out, _ = line("run", "toy", "--noise", "30", "--json")
    assert code == 0 and json.loads(out.splitlines()[-1])["events"] == 30
    assert line("run", "toy", "--noise", "0")[0] == 2
    assert line("run", "keyword", "--noise", "3")[0] == 2
    assert "Noise maker: edgesnn run gesture --noise 5" in line("devices")[1]


def test_a_sink_is_one_line(
    toy: Path, outside: Path, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    (outside / "addition_topic.py").write_text(TOPIC)
    entry = sinks.Asked(Option("--topic", "Where to.", Path, metavar="PATH"), "addition_topic")
    for place in ("edgesnn.sinks.catalog.SINKS", "edgesnn.cli.run.SINKS"):
        monkeypatch.setattr(place, (*sinks.SINKS[:3], entry))
    kept = outside / "topic.txt"
    code, _, _ = line("run", "toy", "--speed", "max", "--json", "--topic", str(kept))
    assert code == 0 and kept.read_text() == "open\n400 events\n"


def test_a_backend_is_one_line(
    toy: Path, outside: Path, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    (outside / "addition_backend.py").write_text(BACKEND)
    monkeypatch.setitem(BACKENDS, "mine", "addition_backend")
    code, out, _ = line("run", "toy", "--speed", "max", "--json", "--backend", "mine")
    assert code == 0 and json.loads(out.splitlines()[-1])["backend"] == "mine"
    assert "mine, or auto" in " ".join(line("run", "--help")[1].split())


def test_a_node_kind_is_one_line(
    toy: Path, outside: Path, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reference, ONNX and the bundle on disk know it."""
    import importlib

    (outside / "addition_invert.py").write_text(NEGATE)
    kind = importlib.import_module("addition_invert").Invert
    monkeypatch.setitem(KINDS, "invert", kind)
    program = toy_program()
    nodes = (kind("off", "x"), replace(program.nodes[0], input="off"))
    inverted = replace(program, nodes=nodes, input_high=1)
    bundle = load_bundle(toy / "toy.json")
    spikes = replace(bundle.encoder, levels=(0, *[1] * 255))
    save_bundle(outside / "inverted", "toy", inverted, spikes, bundle.readout, {})
    again = load_bundle(outside / "inverted" / "toy.json")
    assert again.program == inverted
    path = str(outside / "inverted" / "toy.json")
    told = [
        line("run", "toy", "--speed", "max", "--json", "--backend", name, "--model", path)[1]
        for name in ("reference", "onnx_cpu")
    ]
    labels = [[json.loads(text).get("label") for text in out.splitlines()] for out in told]
    assert labels[0] == labels[1] and labels[0][0] == "right"


def test_a_readout_is_one_line(
    toy: Path, outside: Path, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    (outside / "addition_loudest.py").write_text(READOUT)
    module = importlib.import_module("addition_loudest")
    kind = readouts.ReadoutKind(module.LoudestSpec, module.Loudest)
    monkeypatch.setitem(readouts.READOUTS, "loudest", kind)
    bundle = load_bundle(toy / "toy.json")
    spec = module.LoudestSpec(("left", "right"), 5)
    save_bundle(outside / "loud", "toy", bundle.program, bundle.encoder, spec, {})
    path = str(outside / "loud" / "toy.json")
    code, out, _ = line("run", "toy", "--speed", "max", "--json", "--model", path)
    assert code == 0
    assert [json.loads(text).get("label") for text in out.splitlines()] == ["left", "right", None]
