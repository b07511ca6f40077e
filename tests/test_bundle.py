from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from contract_backends import EVERY_BACKEND  # noqa: E402
from programs import fitting, frames, random_program  # noqa: E402

from edgesnn.backend import backend, verify  # noqa: E402
from edgesnn.bundle import FILES, list_bundles, load_bundle  # noqa: E402
from edgesnn.errors import BundleError, InputError  # noqa: E402
from edgesnn.program import state_ports  # noqa: E402
from edgesnn.quantize.export import export  # noqa: E402
from edgesnn.quantize.save import save_bundle  # noqa: E402

FITTING = fitting(random_program(3))
CARD = {"task": "test", "licence": "CC0-1.0", "accuracy": [{"data": "none", "n": 0}]}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    save_bundle(folder, "small", random_program(3), *FITTING, CARD)
    return folder


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    """Return a .json whose bundle a test may damage."""
    for path in saved.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path / "small.json"


def edited(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    description = json.loads(path.read_text())
    change(description)
    path.write_text(json.dumps(description))


def replaced(path: Path, kind: str, content: bytes) -> None:
    """Exchange a file and its hash, as somebody who made the bundle wrongly would."""
    path.with_name(f"small.{kind}").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    edited(path, lambda d: d["sha256"].__setitem__(kind, digest))


def test_what_is_saved_is_loaded(saved: Path) -> None:
    bundle = load_bundle(saved / "small.json")
    program = random_program(3)
    assert bundle.program == program and bundle.program.sha256 == program.sha256
    assert all(np.array_equal(bundle.program.tensors[n], t) for n, t in program.tensors.items())
    assert (bundle.encoder, bundle.readout, bundle.card) == (*FITTING, CARD)
    assert list(bundle.parity) == sorted(["x", "y", *state_ports(program)])
    assert bundle.parity["x"].shape == (40, *program.input_shape)
    assert bundle.parity["y"].shape == (40, *program.output_shape)
    assert sorted(p.name for p in saved.iterdir()) == sorted(
        ["small.json", *(f"small.{kind}" for kind in FILES)]
    )


def test_saving_again_writes_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    save_bundle(tmp_path, "small", random_program(3), *FITTING, CARD)
    for path in saved.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_no_file_is_larger_than_it_must_be(saved: Path) -> None:
    with np.load(saved / "small.npz", allow_pickle=False) as archive:
        assert {archive[n].dtype.name for n in archive.files} <= {"int8", "int32"}


@pytest.mark.parametrize("name", EVERY_BACKEND)
def test_every_backend_proves_itself_on_the_parity_vector(saved: Path, name: str) -> None:
    bundle = load_bundle(saved / "small.json")
    assert np.ptp(bundle.parity["y"], axis=0).any()
    verify(bundle, backend(name).load(bundle))


def test_the_first_step_that_differs_from_the_parity_vector_is_named(saved: Path) -> None:
    bundle = load_bundle(saved / "small.json")
    model = backend("reference").load(bundle)
    y = bundle.parity["y"].copy()
    y[17:] += 1
    with pytest.raises(BundleError, match="random: step 17 of the parity vector differs"):
        verify(replace(bundle, parity={**bundle.parity, "y": y}), model)
    name = next(iter(state_ports(bundle.program)))
    state = bundle.parity[name] ^ 1
    with pytest.raises(BundleError, match=f"random: {name} differs after the parity vector"):
        verify(replace(bundle, parity={**bundle.parity, name: state}), model)


@pytest.mark.parametrize("name", EVERY_BACKEND)
def test_every_shipped_bundle_is_whole(name: str) -> None:
    for shipped in list_bundles():
        bundle = load_bundle(shipped)
        verify(bundle, backend(name).load(bundle))


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(BundleError, match="no model 'gestur'; the models here are: .*by the path"):
        load_bundle("gestur")
    with pytest.raises(InputError):
        load_bundle("./gestur")


def test_a_path_that_is_no_description_is_refused(copy: Path) -> None:
    with pytest.raises(BundleError, match="small.onnx is no .json file"):
        load_bundle(copy.with_name("small.onnx"))
    with pytest.raises(BundleError, match="cannot read .*absent.json: No such file"):
        load_bundle(copy.with_name("absent.json"))


@pytest.mark.parametrize("kind", FILES)
def test_missing_and_changed_files_are_named(copy: Path, kind: str) -> None:
    path = copy.with_name(f"small.{kind}")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=f"small.{kind} is damaged or not of this bundle"):
        load_bundle(copy)
    path.write_bytes(content[:100])
    with pytest.raises(BundleError, match=f"small.{kind} is damaged or not of this bundle"):
        load_bundle(copy)
    path.unlink()
    with pytest.raises(BundleError, match=f"cannot read .*small.{kind}: No such file"):
        load_bundle(copy)


@pytest.mark.parametrize("size", [0, 1, 100, 700])
def test_a_truncated_description_is_named(copy: Path, size: int) -> None:
    copy.write_bytes(copy.read_bytes()[:size])
    with pytest.raises(BundleError, match="small.json is not valid JSON, is it truncated"):
        load_bundle(copy)


def test_json_that_is_something_else_is_refused(copy: Path) -> None:
    for text in ("[]", "3", '{"format": "keras"}', "{}"):
        copy.write_text(text)
        with pytest.raises(BundleError, match="is not the description of an edgesnn bundle"):
            load_bundle(copy)


def test_another_version_is_refused(copy: Path) -> None:
    edited(copy, lambda d: d.update(version=2))
    with pytest.raises(BundleError, match="bundle of version 2; this edgesnn reads version 1"):
        load_bundle(copy)


@pytest.mark.parametrize(
    "key", ["program", "program_sha256", "encoder", "readout", "card", "sha256"]
)
def test_a_missing_key_is_named(copy: Path, key: str) -> None:
    edited(copy, lambda d: d.pop(key))
    with pytest.raises(BundleError, match=rf"has no key {key}"):
        load_bundle(copy)


@pytest.mark.parametrize(
    ("part", "key"),
    [("sha256", "onnx"), ("encoder", "levels"), ("readout", "labels"), ("readout", "quiet_us"),
     ("program", "nodes")],
)  # fmt: skip
def test_a_missing_key_further_down_is_named(copy: Path, part: str, key: str) -> None:
    edited(copy, lambda d: d[part].pop(key))
    with pytest.raises(BundleError, match=f"small.json.*{key}"):
        load_bundle(copy)


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("readout", {"scale": "much"}, "ReadoutSpec.scale is 'much', wanted a finite number"),
        ("readout", {"scale": 1e300}, "ReadoutSpec.scale is"),
        ("readout", {"scale": True}, "ReadoutSpec.scale is"),
        ("readout", {"decay_shift": -1}, "ReadoutSpec.decay_shift is"),
        ("readout", {"quiet_us": 1.5}, "ReadoutSpec.quiet_us is"),
        ("readout", {"labels": "abc"}, "ReadoutSpec.labels is no list of names"),
        ("latency", {"steps": 8, "dark": "false"}, "LatencySpec.dark is 'false'"),
        ("latency", {"steps": 10**12, "dark": False}, "LatencySpec.steps is"),
        ("hearing", {"high_hz": float("nan")}, "HearingSpec.high_hz is"),
        ("hearing", {"colour": 1}, "HearingSpec has no 'colour'"),
    ],
)  # fmt: skip
def test_what_is_no_number_of_its_field_is_named(copy, part, value, said) -> None:
    edited(copy, lambda d: d.setdefault(part, {}).update(value))
    with pytest.raises(BundleError, match=re.escape(said)):
        load_bundle(copy)


def test_control_characters_of_a_bundle_are_shown_not_sent(copy: Path) -> None:
    edited(copy, lambda d: d["readout"].update(nothing="\x1b[2J"))
    assert "\x1b" not in load_bundle(copy).readout.nothing


def test_values_of_the_wrong_kind_are_refused(copy: Path) -> None:
    original = copy.read_text()
    edited(copy, lambda d: d["encoder"].update(sensor=5))
    with pytest.raises(BundleError, match="small.json holds values of the wrong kind"):
        load_bundle(copy)
    copy.write_text(original)
    edited(copy, lambda d: d["encoder"].update(levels=[0, 1]))
    with pytest.raises(BundleError, match="encoder.levels has 2 entries, wanted 256"):
        load_bundle(copy)


def test_a_parity_vector_without_outputs_is_refused(copy: Path) -> None:
    """It would switch the check of the graph off."""
    empty = io.BytesIO()
    np.savez(empty)
    replaced(copy, "parity.npz", empty.getvalue())
    with pytest.raises(BundleError, match=r"small.parity.npz holds no x and y"):
        load_bundle(copy)


def test_a_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(BundleError, match="cannot read"):
        load_bundle("a" * 300 + ".json")


def test_a_program_of_another_hash_is_refused(copy: Path) -> None:
    edited(copy, lambda d: d["program"].update(step_us=9_999))
    with pytest.raises(BundleError, match="its program_sha256 is not that of its program"):
        load_bundle(copy)


def test_archives_that_hold_objects_are_never_unpickled(copy: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, w=np.array([{"a": 1}], object))
    replaced(copy, "npz", buffer.getvalue())
    with pytest.raises(BundleError, match="small.npz is no archive of plain arrays"):
        load_bundle(copy)
    replaced(copy, "npz", b"not a zip file")
    with pytest.raises(BundleError, match="small.npz is no archive of plain arrays"):
        load_bundle(copy)


def test_a_missing_tensor_is_named(copy: Path) -> None:
    replaced(copy, "npz", empty_archive())
    with pytest.raises(BundleError, match="small.json is not usable: .*tensor .* is missing"):
        load_bundle(copy)


def empty_archive() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer)
    return buffer.getvalue()


def test_real_inputs_are_guarded_too(tmp_path: Path) -> None:
    program = random_program(2)
    xs = frames(program, 5, 1)
    bundle = save_bundle(tmp_path / "new" / "folder", "real", program, *fitting(program), {}, xs=xs)
    assert bundle.program == program
    with pytest.raises(InputError, match="takes uint8 frames"):
        save_bundle(tmp_path, "no", program, *fitting(program), {}, xs=xs[:, :, 1:])
    assert not (tmp_path / "no.json").exists()


def test_nothing_is_written_when_the_graph_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = random_program(3)
    theta = next(name for name in program.tensors if name.startswith("theta_"))
    other = replace(program, tensors={**program.tensors, theta: program.tensors[theta] + 1})
    graph = export(other).replace(other.sha256.encode(), program.sha256.encode())
    monkeypatch.setattr("edgesnn.quantize.save.export", lambda *_, **__: graph)
    with pytest.raises(BundleError, match="the exported graph of random differs from the ref"):
        save_bundle(tmp_path, "small", program, *fitting(program), {})
    assert list(tmp_path.iterdir()) == []
