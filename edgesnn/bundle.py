"""A trained model on disk: plain files side by side, checked before they run.

NAME.json         program description, encoder, readout, card, sha256 of each other file
NAME.npz          the program's integer tensors
NAME.onnx         the exported step (made from the program, guarded against the reference)
NAME.parity.npz   inputs, outputs and final state, so that any port can prove itself
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesnn.decide.motion import MotionSpec
from edgesnn.decide.readouts import READOUTS, AnyReadoutSpec
from edgesnn.decide.refine import MOST_ROUNDS
from edgesnn.described import Spec, described
from edgesnn.errors import BundleError, InputError
from edgesnn.program import Program, Tensor, from_dict
from edgesnn.senses.cells import CellsSpec, check_cell
from edgesnn.senses.encoder import EncoderSpec
from edgesnn.senses.encoders import AnyEncoderSpec
from edgesnn.senses.hearing import HearingSpec
from edgesnn.senses.latency import LatencySpec

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

FORMAT = "edgesnn-bundle"
VERSION = 1
ZOO = "edgesnn.models.zoo"
"""The package whose files are the bundles that come with edgesnn."""
FILES = ("npz", "onnx", "parity.npz")


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A model as loaded from disk. onnx is the exported graph's bytes; parity its test vector.

    hearing: how sound becomes the events it takes; latency: how images do. None: it takes neither.
    """

    program: Program
    encoder: AnyEncoderSpec
    readout: AnyReadoutSpec
    card: dict[str, Any]
    onnx: bytes
    parity: dict[str, Tensor]
    hearing: HearingSpec | None = None
    latency: LatencySpec | None = None

    def fitted(
        self, size: tuple[int, int], cell: int | None = None, rounds: int | None = None
    ) -> Bundle:
        """Return the same model for a sensor of (width, height), where it takes any.

        cell: pixels along a cell's side, None: as few as a usual grid allows. rounds: in which
        events make its motion exact, None: its own. Raises InputError for a cell or rounds that are
        none, for a cell where the model has one size, and for rounds where it shows no motion.
        """
        if rounds is not None:
            if not isinstance(self.readout, MotionSpec):
                raise InputError(f"{self.program.name} shows no motion; leave --rounds out")
            if not 0 <= rounds <= MOST_ROUNDS:
                raise InputError(f"--rounds {rounds}: give 0 to {MOST_ROUNDS}")
            own = replace(self.readout, rounds=rounds)
            return replace(self, readout=own).fitted(size, cell)
        if not isinstance(self.encoder, CellsSpec):
            if cell is not None:
                raise InputError(f"the model {self.program.name} has no cells; leave --cells out")
            return self
        if cell is not None:
            check_cell(cell)
        encoder = replace(self.encoder, cell=cell or self.encoder.cell_for(size))
        return replace(
            self, program=self.program.on_grid(*encoder.grid(size)), encoder=encoder, parity={}
        )


def load_bundle(name_or_path: str | Path) -> Bundle:
    """Load a shipped bundle by name, or any by the path of its .json file.

    Every file is checked against its sha256 first, and the program against its own.
    Raises BundleError: one sentence that names the file and what is wrong with it.
    """
    folder, name = _place(name_or_path)
    description = _description(folder, name)
    data = {
        kind: _checked(folder.joinpath(f"{name}.{kind}"), _field(description, "sha256", kind))
        for kind in FILES
    }
    where = f"{name}.json"
    try:
        program = from_dict(_object(description, "program"), _tensors(data["npz"], f"{name}.npz"))
        if program.sha256 != _field(description, "program_sha256"):
            raise BundleError("its program_sha256 is not that of its program")
        encoder = _encoder(_object(description, "encoder"))
        readout = _readout(_object(description, "readout"))
        _check_together(program, encoder, readout)
        parity = _tensors(data["parity.npz"], f"{name}.parity.npz")
        if not {"x", "y"} <= set(parity):
            raise BundleError(f"{name}.parity.npz holds no x and y")
        return Bundle(
            program=program,
            encoder=encoder,
            readout=readout,
            card=dict(_field(description, "card")),
            onnx=data["onnx"],
            parity=parity,
            hearing=_optional(HearingSpec, description, "hearing"),
            latency=_optional(LatencySpec, description, "latency"),
        )
    except KeyError as error:
        raise BundleError(f"{where} has no key {error}") from error
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise BundleError(f"{where} holds values of the wrong kind: {error}") from error
    except BundleError as error:
        raise BundleError(f"{where} is not usable: {error}") from error


def list_bundles() -> list[str]:
    """Return the names of the bundles that come with edgesnn, sorted."""
    names = (entry.name for entry in files(ZOO).iterdir())
    return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))


def _place(name_or_path: str | Path) -> tuple[Path | Traversable, str]:
    text = str(name_or_path)
    if text.endswith(".json") or "/" in text or "\\" in text:
        path = Path(text)
        if path.suffix != ".json":
            raise BundleError(
                f"{text} is no .json file: give the bundle's .json, or a model's name"
            )
        return path.parent, path.stem
    if text not in list_bundles():
        known = ", ".join(list_bundles()) or "none"
        raise BundleError(
            f"there is no model {text!r}; the models here are: {known}; "
            f"a bundle of your own is named by the path of its .json file"
        )
    return files(ZOO), text


def _description(folder: Path | Traversable, name: str) -> dict[str, Any]:
    path = folder.joinpath(f"{name}.json")
    try:
        description = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} is not valid JSON, is it truncated? {error}") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise BundleError(f"{path} is not the description of an edgesnn bundle")
    if description.get("version") != VERSION:
        raise BundleError(
            f"{path} is a bundle of version {description.get('version')}; "
            f"this edgesnn reads version {VERSION}"
        )
    return {**description, "path": str(path)}


def _field(description: dict[str, Any], *keys: str) -> Any:
    value: Any = description
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            raise BundleError(f"{description['path']} has no key {'.'.join(keys)}")
        value = value[key]
    return value


def _object(description: dict[str, Any], key: str) -> dict[str, Any]:
    value = _field(description, key)
    if not isinstance(value, dict):
        raise BundleError(f"its {key} is no object but {str(value)[:40]!r}")
    return value


def _read(path: Path | Traversable) -> bytes:
    try:
        if isinstance(path, Path) and path.exists() and not path.is_file():
            raise BundleError(f"{path} is no plain file")  # a pipe would be waited for
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}") from error


def _checked(path: Path | Traversable, sha256: str) -> bytes:
    data = _read(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise BundleError(f"{path} is damaged or not of this bundle: its sha256 differs")
    return data


def _tensors(data: bytes, name: str) -> dict[str, Tensor]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except Exception as error:  # numpy and zipfile raise many kinds here
        raise BundleError(f"{name} is no archive of plain arrays: {error}") from error


def _encoder(fields: dict[str, Any]) -> AnyEncoderSpec:
    kind = fields.get("kind", "counts")
    if kind == "cells":
        cells = described(
            CellsSpec, {name: value for name, value in fields.items() if name != "kind"}
        )
        if min(cells.cell, cells.parts, cells.highest, cells.multiple) < 1 or cells.highest > 255:
            raise BundleError("encoder: cells, parts, highest and multiple are 1 or more")
        return cells
    if kind != "counts":
        raise BundleError(f"encoder.kind is {str(kind)[:40]!r}, wanted counts or cells")
    width, height = fields["sensor"]
    levels = tuple(int(level) for level in fields["levels"])
    if len(levels) != 256:
        raise BundleError(f"encoder.levels has {len(levels)} entries, wanted 256")
    if min(levels) < 0 or max(levels) > 255:
        raise BundleError(f"encoder.levels go from {min(levels)} to {max(levels)}, wanted 0 to 255")
    if not (1 <= int(width) <= 65536 and 1 <= int(height) <= 65536):
        raise BundleError(f"encoder.sensor is {width} x {height}, wanted 1 to 65536 each")
    return EncoderSpec((int(width), int(height)), levels)


def _check_together(program: Program, encoder: AnyEncoderSpec, readout: AnyReadoutSpec) -> None:
    """Raise BundleError where program, encoder and readout are not made for each other."""
    shaped = getattr(readout, "channels", None)  # of a readout that takes a field
    if shaped is not None:
        if len(program.output_shape) != 3 or program.output_shape[0] != shaped:
            raise BundleError(f"the readout takes {shaped} maps, not {program.output_shape}")
    elif len(readout.labels) != math.prod(program.output_shape):
        raise BundleError(
            f"readout.labels names {len(readout.labels)} classes and the program gives "
            f"{math.prod(program.output_shape)}"
        )
    if max(encoder.levels) > program.input_high:
        raise BundleError(
            f"encoder.levels go to {max(encoder.levels)} and the program takes up to "
            f"{program.input_high}"
        )
    for field in fields(readout):  # type: ignore[arg-type]
        value = getattr(readout, field.name)
        if isinstance(value, float) and not math.isfinite(value):
            raise BundleError(f"readout.{field.name} is {value}, wanted a finite number")
        if field.name == "window_us" and not value > 0:
            raise BundleError("readout.window_us is 0, wanted 1 or more")
        if field.name in ("scale", "unit", "slow") and not value > 0:
            raise BundleError(f"readout.{field.name} is {value}, wanted a number above 0")
        if field.name == "rounds" and value > MOST_ROUNDS:
            raise BundleError(f"readout.rounds is {value}, wanted {MOST_ROUNDS} or less")


def _readout(given: dict[str, Any]) -> AnyReadoutSpec:
    kind = given.get("kind", "evidence")
    if kind not in READOUTS:
        raise BundleError(f"readout.kind is {kind!r}, wanted one of {', '.join(READOUTS)}")
    spec: AnyReadoutSpec = described(
        READOUTS[kind].spec, {name: value for name, value in given.items() if name != "kind"}
    )
    return spec


def _optional(kind: type[Spec], description: dict[str, Any], key: str) -> Spec | None:
    given = description.get(key)
    return None if given is None else described(kind, given)
