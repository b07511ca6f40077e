"""Who computes: the engine where it was built for this version, what is said where it was not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import contract_backends as contract
import pytest
from programs import ENCODER, READOUT, gesture_shaped

from edgesnn.backend import AUTO, load_model
from edgesnn.bundle import Bundle, load_bundle
from edgesnn.cli.main import run_line
from edgesnn.errors import BundleError, InputError
from edgesnn.hardware import events_library, refine
from edgesnn.program import Add, Node

built = contract.UNBUILT


@dataclass(frozen=True, slots=True)
class Doubled(Add):
    """A node of a kind that the engine has never heard of."""

    kind: str = "doubled"  # type: ignore[assignment]


def strange() -> Bundle:
    from edgesnn.quantize.export import export

    program = gesture_shaped()
    node: Node = Doubled("twice", (program.output, program.output))
    made = replace(program, nodes=(*program.nodes, node), output="twice")
    return Bundle(made, ENCODER, READOUT, {}, export(made), {})


@built
def test_a_kind_that_it_does_not_know_is_refused_and_auto_goes_on() -> None:
    pytest.importorskip("onnx")
    bundle = strange()
    with pytest.raises(BundleError, match="twice: the events backend does not run .* 'doubled'"):
        load_model("events", bundle)
    name, model = load_model(AUTO, bundle)
    assert name == "onnx_cpu" and model.program is bundle.program


@built
def test_auto_is_the_engine_where_it_was_built() -> None:
    assert load_model(AUTO, load_bundle("keyword"))[0] == "events"


def test_without_the_engine_auto_is_onnx_and_events_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events_library.library.cache_clear()
    monkeypatch.delenv(events_library.ENGINE, raising=False)
    monkeypatch.setattr(events_library, "library_path", lambda: None)
    bundle = load_bundle("keyword")
    try:
        assert load_model(AUTO, bundle)[0] == "onnx_cpu"
        with pytest.raises(InputError, match="was not built .* or use --backend onnx_cpu"):
            load_model("events", bundle)
    finally:
        events_library.library.cache_clear()


@built
def test_a_library_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take what it is given for something else."""
    monkeypatch.setattr(events_library, "_CALLED_AS", events_library._CALLED_AS + 1)
    events_library.library.cache_clear()
    try:
        assert not refine.is_here()
        with pytest.raises(InputError, match="another version.*install edgesnn again"):
            events_library.library()
    finally:
        events_library.library.cache_clear()


def test_a_library_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "_engine.so"
    path.write_bytes(b"no library")
    events_library.library.cache_clear()
    monkeypatch.setenv("EDGESNN_ENGINE", str(path))
    try:
        with pytest.raises(InputError, match="cannot be opened"):
            events_library.library()
    finally:
        events_library.library.cache_clear()


@built
def test_auto_does_not_hide_a_parity_vector_that_differs() -> None:
    bundle = load_bundle("keyword")
    parity = bundle.parity | {"y": bundle.parity["y"] + 1}
    with pytest.raises(BundleError, match="step 0 of the parity vector differs"):
        load_model(AUTO, replace(bundle, parity=parity))


@pytest.mark.parametrize(("path", "said"), [(Path("x"), "engine (--b"), (None, "was not built")])
def test_devices_says_who_computes(
    path: Path | None,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("edgesnn.hardware.events_library.library_path", lambda: path)
    assert run_line(["devices"]) == 0
    assert said in capsys.readouterr().out.splitlines()[-1]
