"""The example of docs/your-network.md, from its own file: shortened, each framework to a bundle."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("nir")

from edgesnn.bundle import load_bundle  # noqa: E402
from edgesnn.cli.main import main  # noqa: E402

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "bars.py"


@pytest.fixture
def bars(tmp_path: Path, monkeypatch) -> Any:
    spec = importlib.util.spec_from_file_location("bars", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "OUT", tmp_path / "bars")
    module.write_recordings(4, 2)
    return module


@pytest.mark.filterwarnings("ignore")
def test_snntorch_to_a_bundle(bars: Any, capsys) -> None:
    pytest.importorskip("snntorch")
    pytest.importorskip("nirtorch")
    bars.with_snntorch(1)
    made, folder = bars.OUT / "bars.json", bars.OUT / "test"
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main(
            ["import", str(bars.OUT / "bars.nir"), "--out", str(made), "--json"]
            + ["--convention", "snntorch", "--step-us", "10000", "--highest", "3"]
            + ["--labels", str(bars.OUT / "labels.txt"), "--calibrate", str(folder)]
        )
    assert not left.value.code
    report = json.loads(capsys.readouterr().out)
    assert report["answers"]["n"] == 8 and report["answers"]["same_answer"] >= 0.75
    bundle = load_bundle(made)
    assert bundle.readout.labels == bars.LABELS and bundle.program.step_us == 10_000
    with pytest.raises(SystemExit) as left:
        main(["eval", str(made), "--data", str(folder), "--json"])
    assert not left.value.code and json.loads(capsys.readouterr().out)["n"] == 8


@pytest.mark.filterwarnings("ignore")
def test_spikingjelly_to_a_bundle(bars: Any) -> None:
    pytest.importorskip("spikingjelly")
    bars.with_spikingjelly(1)
    assert load_bundle(bars.OUT / "bars_sj.json").readout.labels == bars.LABELS
