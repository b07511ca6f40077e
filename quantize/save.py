"""Writing a bundle: export, guard, parity vector, hashes. The same program gives the same bytes."""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import zipfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edgesnn.bundle import FORMAT, VERSION, Bundle, load_bundle
from edgesnn.decide.readouts import READOUTS, AnyReadoutSpec
from edgesnn.errors import RunError
from edgesnn.hardware.reference import Reference
from edgesnn.program import Program, Tensor, to_dict
from edgesnn.senses.encoders import ENCODERS, AnyEncoderSpec
from edgesnn.senses.hearing import HearingSpec
from edgesnn.senses.latency import LatencySpec

from .export import export
from .guard import guard, random_inputs

PARITY_STEPS = 40


def save_bundle(
    directory: str | Path,
    name: str,
    program: Program,
    encoder: AnyEncoderSpec,
    readout: AnyReadoutSpec,
    card: dict[str, Any],
    *,
    xs: Tensor | None = None,
    hearing: HearingSpec | None = None,
    latency: LatencySpec | None = None,
    any_grid: bool = False,
) -> Bundle:
    """Write NAME.json, .npz, .onnx and .parity.npz to a directory; return the bundle as loaded.

    xs: real inputs (T, *input_shape) for the guard to run as well, besides random ones. hearing,
    latency: how sound or images become the events it takes. any_grid: the graph is to run for
    every height and width of x; it is guarded on another one too.
    Raises BundleError when the program cannot be exported exactly; nothing is written then.
    """
    licence = str(card.get("licence", ""))
    graph = export(program, readout=readout, license=licence, any_grid=any_grid)
    guard(program, graph, xs=xs)
    if any_grid:
        _, height, width = program.input_shape
        guard(program.on_grid(height + 8, width + 16), graph, steps=50)
    data = {
        "npz": archive(program.tensors),
        "onnx": graph,
        "parity.npz": archive(parity_vector(program)),
    }
    (sensed,) = (name for name, made in ENCODERS.items() if isinstance(encoder, made))
    (kind,) = (name for name, made in READOUTS.items() if isinstance(readout, made.spec))
    described: Any = readout  # a dataclass, as every kind of READOUTS is
    description = {
        "format": FORMAT,
        "version": VERSION,
        "program": to_dict(program),
        "program_sha256": program.sha256,
        "encoder": {**({} if sensed == "counts" else {"kind": sensed}), **asdict(encoder)},
        "readout": {"kind": kind, **asdict(described)},
        **{
            name: asdict(spec)
            for name, spec in (("hearing", hearing), ("latency", latency))
            if spec is not None
        },
        "card": card,
        "sha256": {kind: hashlib.sha256(content).hexdigest() for kind, content in data.items()},
    }
    folder = Path(directory)
    path = folder / f"{name}.json"
    data["json"] = (json.dumps(description, indent=1) + "\n").encode()
    _write_all(folder, name, data)
    return load_bundle(path)


def _write_all(folder: Path, name: str, data: dict[str, bytes]) -> None:
    """Write a bundle's files; they appear under their names when all of them are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = secrets.token_hex(4)
    parts = {kind: folder / f".{name}.{mark}.{kind}" for kind in data}
    try:
        for kind, part in parts.items():
            part.write_bytes(data[kind])
        for kind, part in parts.items():
            part.replace(folder / f"{name}.{kind}")
    except OSError as error:
        raise RunError(f"{folder / name}.json cannot be written: {error.strerror}") from error
    finally:
        for part in parts.values():
            with suppress(OSError):  # of a file system that cannot be written to, too
                part.unlink()


def parity_vector(program: Program) -> dict[str, Tensor]:
    """Return x, y and the final state of a short run from the initial state, by the reference."""
    stream = Reference(program).stream()
    xs = np.stack(list(random_inputs(program, PARITY_STEPS, seed=1)))
    ys = np.stack([stream.step(x) for x in xs])
    return {"x": xs, "y": ys, **stream.snapshot()}


def archive(tensors: dict[str, Tensor]) -> bytes:
    """Return an .npz as bytes: names sorted, no time of writing inside."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(tensors):
            content = io.BytesIO()
            np.lib.format.write_array(content, tensors[name], allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, content.getvalue(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
