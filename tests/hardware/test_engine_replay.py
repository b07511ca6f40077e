"""The tape of programs that `.ci/wheels` plays on other processors, played on this one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import engine_tape
import numpy as np
import pytest

pytest.importorskip("onnx")
ROOT = Path(__file__).parents[2]
COMPILER = shutil.which("gcc") or shutil.which("cc")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")


@pytest.fixture(scope="module")
def replay(tmp_path_factory) -> Path:
    built = tmp_path_factory.mktemp("replay") / "replay"
    engine = ROOT / "hardware" / "engine"
    sources = [ROOT / "tests" / "engine_replay.c", *engine.glob("*.c")]
    command = [
        COMPILER,
        "-O1",
        "-std=c11",
        "-fno-math-errno",
        "-fno-trapping-math",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-I",
        engine,
    ]
    subprocess.run([*command, *sources, "-o", built], check=True)
    return built


def test_a_tape_plays_and_a_wrong_output_is_found(
    replay: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(engine_tape, "SHIPPED", ("keyword",))
    monkeypatch.setattr(engine_tape, "RANDOM", 3)
    engine_tape.main(tmp_path / "a.tape")
    good = subprocess.run([replay, tmp_path / "a.tape"], capture_output=True, text=True)
    assert (good.returncode, good.stdout) == (0, "10 programs, 0 outputs differ\n")
    data = np.fromfile(tmp_path / "a.tape", np.uint8)
    data[-4] ^= 1  # the last true output
    data.tofile(tmp_path / "b.tape")
    bad = subprocess.run([replay, tmp_path / "b.tape"], capture_output=True, text=True)
    assert bad.returncode == 1 and "10 programs, 2 outputs differ" in bad.stdout
    data[: len(data) // 2].tofile(tmp_path / "c.tape")
    cut = subprocess.run([replay, tmp_path / "c.tape"], capture_output=True, text=True)
    assert cut.returncode == 2 and "ends too early" in cut.stderr
