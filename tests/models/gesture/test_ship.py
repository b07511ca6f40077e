import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from written import write_set  # noqa: E402

from edgesnn.backend import backend, verify  # noqa: E402
from edgesnn.bundle import load_bundle  # noqa: E402
from edgesnn.cli.train import train_app  # noqa: E402
from edgesnn.errors import EdgesnnError  # noqa: E402
from edgesnn.models.gesture.ship import macs_per_step  # noqa: E402
from edgesnn.quantize.calibrate import calibrated_scale  # noqa: E402
from edgesnn.quantize.curve import training_curve  # noqa: E402
from edgesnn.quantize.recard import recard  # noqa: E402

MODELS = Path(__file__).parents[3] / "models" / "zoo"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The official layout in, one update, a bundle out: everything `edgesnn train` does."""
    folder = tmp_path_factory.mktemp("dvs")
    write_set(folder)
    out = folder / "out"
    train_app("gesture", out, data=folder, updates=1)
    return out


def test_training_on_the_official_layout_ends_in_a_bundle_that_runs(trained):
    bundle = load_bundle(trained / "gesture.json")
    for name in ("onnx_cpu", "reference"):
        verify(bundle, backend(name).load(bundle))
    assert bundle.program.step_us == 25_000
    assert len(bundle.readout.labels) == 11


def test_the_card_holds_what_was_measured(trained):
    card = load_bundle(trained / "gesture.json").card
    (row,) = card["accuracy"]
    assert row["data"] == "DVS128 Gesture, test split" and row["n"] == 1
    for kind in ("accuracy", "accuracy_state_carried", "evidence_integer", "evidence_float"):
        assert row[kind] in (0.0, 1.0)
    assert row["evidence_integer"] == row["evidence_float"]
    assert card["distinct_weights"] < 60_000
    assert card["macs_per_step"] < 20_000_000


def test_multiply_accumulates_are_counted_by_hand(trained):
    program = load_bundle(trained / "gesture.json").program
    motion, near = 24 * 8 * 25 * 256, 24 * 24 * 9 * 256
    down, far, scores = 48 * 24 * 9 * 64, 48 * 48 * 9 * 64, 11 * 768
    assert macs_per_step(program) == motion + 2 * near + down + 2 * far + scores


def test_the_scale_makes_confidence_honest():
    # 70 of 100 clips are right by a margin of 10: softmax should say 0.7 for two classes.
    evidence = np.zeros((100, 58, 2), np.int64)
    labels = np.array([0] * 70 + [1] * 30)
    evidence[:, :, 0] = 10
    scale = calibrated_scale(evidence, labels, unit=1.0)
    assert 1 / (1 + np.exp(-10 / scale)) == pytest.approx(0.7, abs=0.02)


def test_the_curve_is_short_ends_with_the_end_and_counts_repeated_lines_once(tmp_path):
    assert training_curve(tmp_path / "last.pt") == []
    lines = [{"teacher": 5, "loss": 1.0}]
    lines += [{"epoch": i, "loss": 1 / i, "rates": [0.1], "minutes": i} for i in (1, 2, 3)]
    lines += [{"epoch": i, "loss": 1 / i, "FSDD": i / 100} for i in range(1, 61)]
    lines += [{"epoch": 60, "loss": 0.5, "FSDD": 0.99, "minutes": 9}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    curve = training_curve(tmp_path / "last.pt")
    assert 12 <= len(curve) <= 24
    assert curve[-1] == {"epoch": 60, "loss": 0.5, "FSDD": 0.99}
    assert all(set(point) == {"epoch", "loss", "FSDD"} for point in curve)


def test_a_card_is_added_to_and_nothing_else_changes(tmp_path):
    for source in MODELS.glob("keyword.*"):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    before = load_bundle(tmp_path / "keyword.json")
    after = recard(tmp_path / "keyword.json", {"limits": "none", "found_later": 3})
    assert after.card == {**before.card, "limits": "none", "found_later": 3}
    assert after.program.sha256 == before.program.sha256 and after.readout == before.readout
    assert after.onnx == before.onnx
    verify(after, backend("onnx_cpu").load(after))
    with pytest.raises(EdgesnnError):
        recard(tmp_path / "nothing.json", {})
