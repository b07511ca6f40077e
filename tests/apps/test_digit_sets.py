"""Index files of N-MNIST recordings, and the evaluation that reads them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from contract_backends import EVERY_BACKEND
from written import idx

from edgesnn.apps.digits.sets import read_index
from edgesnn.apps.digits.trials import evaluate_digits
from edgesnn.backend import backend
from edgesnn.bundle import load_bundle
from edgesnn.cli.main import run_line
from edgesnn.decide.exit_rule import EXACT, NEVER, ExitRule
from edgesnn.errors import InputError
from edgesnn.events import events_from_arrays
from edgesnn.sources.bs2 import bs2_from_events
from edgesnn.sources.idx import read_idx

SAMPLE = Path(__file__).parents[2] / "apps" / "digits" / "sample_digits.idx3-ubyte.gz"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Ten images of the sample, 0 to 9, as a test set."""
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(read_idx(SAMPLE, 3)[:10]))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.arange(10)))
    return tmp_path


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Three recordings of 300 ms of noise, two suffixes, and an index."""
    rng = np.random.default_rng(0)
    for name in ("1.bs2", "2.bin", "3.bs2"):
        t = np.sort(rng.integers(0, 300_000, 3000))
        x, y = rng.integers(0, 34, (2, 3000))
        bs2_from_events(tmp_path / name, events_from_arrays(t, x, y, rng.integers(0, 2, 3000)))
    (tmp_path / "index.txt").write_text("#sample #class\n1\t5\n\n2 0\n3.bs2   9\n")
    return tmp_path


def test_an_index_names_recordings_with_or_without_suffix(recordings: Path) -> None:
    wanted = [("1.bs2", 5), ("2.bin", 0), ("3.bs2", 9)]
    for where in (recordings, recordings / "index.txt"):
        assert [(path.name, label) for path, label in read_index(where, 10)] == wanted


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("1 five\n", "line 1: '1 five' is not `name label`"),
        ("1 5\n2 10\n", "line 2: '2 10' is not `name label` with a label from 0 to 9"),
        ("4 1\n", "line 1: there is no .*4 .nor with .bs2 or .bin."),
        ("# nothing\n", "names no recording"),
    ],
)
def test_wrong_lines_are_named(recordings: Path, text: str, match: str) -> None:
    (recordings / "index.txt").write_text(text)
    with pytest.raises(InputError, match=f"index.txt.*{match}"):
        read_index(recordings, 10)


def test_none_or_several_index_files_are_an_error(recordings: Path) -> None:
    (recordings / "other.txt").write_text("1 5\n")
    with pytest.raises(InputError, match="needs one index file.*found index.txt, other.txt"):
        read_index(recordings, 10)
    (recordings / "index.txt").unlink()
    (recordings / "other.txt").unlink()
    with pytest.raises(InputError, match="found none"):
        read_index(recordings, 10)
    with pytest.raises(InputError, match="there is no folder or index file"):
        read_index(recordings / "gone", 10)


@pytest.mark.parametrize("name", EVERY_BACKEND)
def test_images_are_evaluated_alike_on_every_backend(name: str, images: Path) -> None:
    bundle = load_bundle("mnist")
    model = backend(name).load(bundle)
    full = evaluate_digits(bundle, model, images, rule=NEVER)
    early = evaluate_digits(bundle, model, images, rule=EXACT)
    assert full["correct"] >= 9 and full["n"] == 10
    assert early["accuracy"] == full["accuracy"] and early["changed_by_exit"] == 0
    assert full["exit"]["mean_step"] == full["exit"]["window_steps"]
    assert full["operations"]["saved_share"] == 0
    assert early["exit"]["mean_share"] < 0.7 and early["operations"]["saved_share"] > 0.2
    assert early["most_spikes_of_a_neuron"] == 1
    work = early["operations"]
    assert 0 < work["done"] < work["whole_window"] < work["dense_whole_window"]


def test_operations_are_those_of_a_brute_force_count(images: Path) -> None:
    """The first image, on the reference: every spike times the weights it meets."""
    from edgesnn.apps.digits.trials import Work, inputs_of_trial, trials_of
    from edgesnn.hardware.reference import Reference, trace
    from edgesnn.measure.operations import fan_out
    from edgesnn.program import Fire, Layer, initial_state

    bundle = load_bundle("mnist")
    trial = next(iter(trials_of(bundle, images)))
    inputs = inputs_of_trial(bundle, trial)
    counted = Work(bundle.program).run(Reference(bundle.program).stream(), inputs, trial.label)
    state = initial_state(bundle.program)
    for t, x in enumerate(inputs):
        outputs, state = trace(bundle.program, x, state)
        work = spikes = 0
        for node in bundle.program.nodes:
            if isinstance(node, Layer):
                work += int(fan_out(bundle.program, node)[outputs[node.input] > 0].sum())
            if isinstance(node, Fire):
                spikes += int(outputs[node.name].sum())
        assert (counted.operations[t], counted.spikes[t]) == (work, spikes)
        assert np.array_equal(counted.outputs[t], outputs[bundle.program.output])


def test_a_margin_trades_answers_for_steps(images: Path) -> None:
    bundle = load_bundle("mnist")
    model = backend("onnx_cpu").load(bundle)
    steps = [
        evaluate_digits(bundle, model, images, rule=ExitRule("margin", m))["exit"]["mean_step"]
        for m in (0.0, 0.5, 1.0)
    ]
    assert steps[0] <= steps[1] <= steps[2] and steps[0] < steps[2]


def test_recordings_run_through_the_command_line(
    recordings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(["eval", "digits", "--data", str(recordings), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["n"] == 3 and report["exit"]["rule"] == "exact"
    assert report["changed_by_exit"] == 0 and sum(map(sum, report["confusion"])) <= 3


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--model", "nmnist"], "the model nmnist takes events of a DVS"),
        (["--exit", "soon"], "--exit soon is no exit rule"),
        (["--takes", "5-9"], "No such option: --takes"),
        (["--carry-state"], "No such option: --carry-state"),
    ],
)
def test_wrong_lines_are_answered(
    images: Path, words: list[str], match: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(["eval", "digits", "--data", str(images), *words]) == 2
    assert match in capsys.readouterr().err


def test_images_of_another_size_and_empty_recordings_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(np.zeros((1, 32, 32))))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(1)))
    assert run_line(["eval", "digits", "--data", str(tmp_path)]) == 2
    assert "images of 32 x 32 pixels, wanted 28 x 28" in capsys.readouterr().err
    folder = tmp_path / "events"
    folder.mkdir()
    (folder / "a.bs2").write_bytes(b"")
    (folder / "index.txt").write_text("a 1\n")
    assert run_line(["eval", "digits", "--data", str(folder)]) == 2
    assert "a.bs2 is empty" in capsys.readouterr().err
