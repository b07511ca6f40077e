"""What is loaded when: a small device should not wait for what it does not use."""

import os
import subprocess
import sys
from pathlib import Path

import programs
import pytest

from edgesnn.hardware.events_library import library_path
from edgesnn.quantize.save import save_bundle

REPORT = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"


def loaded_by(statement: str) -> set[str]:
    told = subprocess.run(
        [sys.executable, "-c", f"{statement}; {REPORT}"], capture_output=True, text=True, check=True
    )
    return set(told.stdout.splitlines()[-1].split())


def test_importing_edgesnn_loads_numpy_and_nothing_heavier() -> None:
    added = loaded_by("import edgesnn") - loaded_by("import numpy")
    assert {name for name in added if name not in sys.stdlib_module_names} == {"edgesnn"}


def test_running_an_app_never_loads_torch_or_onnx(tmp_path: Path) -> None:
    given = (programs.gesture_shaped(), programs.ENCODER, programs.READOUT, {"task": "none"})
    save_bundle(tmp_path, "gesture", *given)
    line = ["run", "gesture", "--json", "--speed", "max", "--model", str(tmp_path / "gesture.json")]
    loaded = loaded_by(f"from edgesnn.cli.main import run_line; assert run_line({line!r}) == 0")
    assert {"edgesnn", "numpy", "typer"} <= loaded
    # Our own engine needs no other; without it ONNX Runtime computes.
    assert ("onnxruntime" in loaded) == (library_path() is None)
    assert not loaded & {"torch", "onnx", "rich", "cv2", "dv_processing"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted in /proc")
def test_no_thread_of_numpy_waits_for_work() -> None:
    """They wait without rest, and a camera's step is too short to be shared."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core has no other thread")
    code = """
import os
from edgesnn.cli.main import main
try:
    main(["models"])
except SystemExit:
    import numpy
    numpy.ones((400, 400)) @ numpy.ones((400, 400))
    print(len(os.listdir("/proc/self/task")))
"""
    told = {}
    for own in ({}, {"OMP_NUM_THREADS": "2"}):
        kept = {name: value for name, value in os.environ.items() if "NUM_THREADS" not in name}
        line = [sys.executable, "-c", code]
        ran = subprocess.run(line, capture_output=True, text=True, check=True, env=kept | own)
        told[tuple(own)] = ran.stdout.splitlines()[-1]
    assert told == {(): "1", ("OMP_NUM_THREADS",): "2"}  # who chose is heard


def test_the_help_needs_no_runtime() -> None:
    loaded = loaded_by(
        "from edgesnn.cli.main import run_line; assert run_line(['run', '--help']) == 0"
    )
    assert not loaded & {"onnxruntime", "torch", "onnx", "cv2", "dv_processing"}
