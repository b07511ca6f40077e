from __future__ import annotations

import gc
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from programs import ENCODER, READOUT, frames, gesture_shaped, random_program  # noqa: E402

from edgesnn.errors import BundleError  # noqa: E402
from edgesnn.hardware.onnx_cpu import OnnxModel  # noqa: E402
from edgesnn.hardware.reference import run_sequence  # noqa: E402
from edgesnn.quantize.export import export  # noqa: E402
from edgesnn.quantize.metadata import metadata_of  # noqa: E402
from edgesnn.quantize.save import save_bundle  # noqa: E402

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model() -> OnnxModel:
    return OnnxModel(gesture_shaped(), export(gesture_shaped()))


def test_a_graph_of_another_program_is_refused() -> None:
    with pytest.raises(BundleError, match="graph of gesture was made from another program"):
        OnnxModel(gesture_shaped(), export(gesture_shaped(1)))


def test_a_graph_with_other_inputs_is_refused_even_under_the_right_hash() -> None:
    one, other = random_program(1), random_program(2)
    graph = export(other).replace(other.sha256.encode(), one.sha256.encode())
    with pytest.raises(BundleError, match="does not take and give what it should"):
        OnnxModel(one, graph)


def test_a_graph_whose_outputs_are_of_another_type_is_refused() -> None:
    import onnx

    program = random_program(1)
    graph = onnx.load_from_string(export(program))
    output = next(one for one in graph.graph.output if one.name == "y")
    for node in graph.graph.node:
        node.output[:] = ["whole_y" if name == "y" else name for name in node.output]
    graph.graph.node.append(onnx.helper.make_node("Cast", ["whole_y"], ["y"], to=1))
    output.type.tensor_type.elem_type = 1
    with pytest.raises(BundleError, match="does not take and give what it should"):
        OnnxModel(program, graph.SerializeToString())


def test_a_graph_without_a_hash_is_refused() -> None:
    graph = export(gesture_shaped()).replace(b"program_sha256", b"program_sha999")
    with pytest.raises(BundleError, match="has no metadata program_sha256"):
        OnnxModel(gesture_shaped(), graph)


def test_bytes_that_are_no_graph_are_refused() -> None:
    program = random_program(1)
    for graph in (b"", b"no graph at all", export(program)[:-500]):
        with pytest.raises(BundleError, match="ONNX Runtime cannot load the graph of random"):
            OnnxModel(program, graph)


def test_y_is_one_buffer_that_the_next_step_overwrites(model: OnnxModel) -> None:
    stream = model.stream()
    xs = frames(model.program, 12, 1)
    wanted = run_sequence(model.program, xs)
    first = stream.step(xs[0])
    assert np.array_equal(first, wanted[0])
    for x, y in zip(xs[1:], wanted[1:], strict=True):
        again = stream.step(x)
        assert np.shares_memory(first, again) and np.array_equal(again, y)
    assert np.array_equal(first, wanted[-1]) and not np.array_equal(first, wanted[0])


def test_streams_share_no_memory(model: OnnxModel) -> None:
    one = model.stream()
    two = one.fork()
    xs = frames(model.program, 2, 1)
    assert not np.shares_memory(one.step(xs[0]), two.step(xs[1]))
    a, b = one.snapshot(), one.snapshot()
    assert not any(np.shares_memory(a[n], b[n]) for n in a)


def test_bound_buffers_outlive_their_makers(model: OnnxModel) -> None:
    """Buffers are bound by address: nothing but the stream may be needed to keep them."""
    xs = frames(model.program, 30, 2)
    wanted = run_sequence(model.program, xs)
    parent = model.stream()
    stream = parent.fork()
    del parent
    for t, x in enumerate(xs):
        gc.collect() if t % 10 == 0 else None
        filler = [np.full(model.program.input_shape, 255, np.uint8) for _ in range(20)]
        assert np.array_equal(stream.step(x), wanted[t])
        del filler


def test_running_loads_neither_onnx_nor_torch() -> None:
    code = (
        "import sys, edgesnn.backend as b; b.backend('onnx_cpu'); b.backend('reference');"
        "print([m for m in ('onnx', 'torch', 'cv2') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_documented_example_runs_without_edgesnn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "docs" / "onnx.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert "edgesnn" not in example and len(example.strip().splitlines()) <= 10
    bundle = save_bundle(tmp_path, "gesture", gesture_shaped(), ENCODER, READOUT, {})
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(example, "docs/onnx.md", "exec"), names)
    assert np.array_equal(names["y"][0], bundle.parity["y"][-1])
    assert READOUT.labels[int(bundle.parity["y"][-1].argmax())] in capsys.readouterr().out


def test_the_documents_table_of_metadata_is_complete() -> None:
    text = (ROOT / "docs" / "onnx.md").read_text()
    keys = set(metadata_of(gesture_shaped(), READOUT, ""))
    general = {re.sub("^state_.+_(?=shape|dtype|init)", "<state>_", key) for key in keys}
    assert {key for key in general if f"`{key}`" not in text} == set()
    assert general >= set(re.findall(r"^\| `(\w+)` \|", text.split("## Metadata")[1], re.MULTILINE))
