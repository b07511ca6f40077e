"""What `edgesnn eval flow` takes, measures and shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgesnn.app import Evaluation
from edgesnn.backend import AUTO, Model, load_model
from edgesnn.bundle import Bundle
from edgesnn.cli.options import CELLS
from edgesnn.decide.exit_rule import ExitRule
from edgesnn.decide.motion import MotionReadout, MotionSpec
from edgesnn.errors import InputError
from edgesnn.measure.tables import show, table_of
from edgesnn.options import Option
from edgesnn.senses.encoders import open_encoder

from .graded import windows_of
from .peers import LENGTHS_US, methods, peer_field
from .scores import fwl_of, scores_of
from .windows import Window

_LONGEST_US = 2_000_000
"""Of what came before a window: far more than the network remembers."""
_MEANS = ("aee", "relative", "angle_deg", "fwl")
Row = dict[str, Any]


class FieldOf:
    """A model's field at any moment of a recording, as it would be live."""

    def __init__(self, bundle: Bundle, size: tuple[int, int], name: str, cell: int | None) -> None:
        self.bundle = bundle.fitted(size, cell)
        self._size = size
        self._model = load_model(name, self.bundle)[1]

    def at(self, events: Any, until_us: int) -> Any:
        """Return the field (2, H, W), px/s, of steps of which the last one ends at until_us."""
        program = self.bundle.program
        encoder = open_encoder(
            self.bundle.encoder, program.input_shape, self._size, program.step_us
        )
        assert isinstance(self.bundle.readout, MotionSpec)
        readout, stream = MotionReadout(self.bundle.readout), self._model.stream()
        lasts_us = min(_LONGEST_US, until_us - int(events["t"].min()))
        for left in range(max(1, -(-lasts_us // program.step_us)), 0, -1):
            start_us = until_us - left * program.step_us
            end_us = start_us + program.step_us
            seen = events[(events["t"] >= start_us) & (events["t"] < end_us)]
            readout.update(stream.step(encoder.encode(seen, start_us)), len(seen), end_us)
        cell: int = self.bundle.encoder.cell  # type: ignore[union-attr]
        field = readout.field(until_us, cell, program.step_us)
        assert field is not None
        return field.at_pixels(self._size)[0]


def _report(
    bundle: Bundle, model: Model, data: Path, rule: ExitRule | None, given: Mapping[str, Any]
) -> dict[str, Any]:
    if not isinstance(bundle.readout, MotionSpec):
        raise InputError(f"{bundle.program.name} does not see motion")
    windows, left_out = windows_of(data)
    fields: dict[tuple[int, int], FieldOf] = {}
    name = str(given.get("backend") or AUTO)
    rows = []
    for window in windows:
        if window.size not in fields:
            fields[window.size] = FieldOf(bundle, window.size, name, given["cells"])
        rows.append(_scored(window, fields[window.size].at(window.events, window.t1_us)))
    report: dict[str, Any] = {"windows": rows, **_means(rows), "left_out": left_out}
    if given["peers"]:
        report["peers"] = {name: _peer(name, windows) for name in methods()}
    return report


def _scored(window: Window, field: Any) -> Row:
    scored = window.events[window.scored]
    found = field[:, scored["y"], scored["x"]].T.astype(np.float64)
    return {
        "file": window.file,
        "t0_us": window.t0_us,
        "t1_us": window.t1_us,
        "n": len(scored),
        "speed": float(np.hypot(*window.truth.T).mean()),
        **scores_of(found, window.truth),
        "fwl": fwl_of(window.events, field, window.t1_us, window.size),
    }


def _means(rows: list[Row]) -> dict[str, float | None]:
    """Return means over files of means over windows."""
    files: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        files[row["file"]].append(row)
    means: dict[str, float | None] = {}
    for key in _MEANS:
        each = [[row[key] for row in own if row[key] is not None] for own in files.values()]
        told = [float(np.mean(values)) for values in each if values]
        means[key] = float(np.mean(told)) if told else None
    return means


def _peer(name: str, windows: list[Window]) -> dict[str, Any]:
    """Return a peer's means at each length of its pictures, and at the one that suits it best.

    Long pictures do not fit into every window, and these are then not counted against it.
    """
    by_length: dict[int, dict[str, Any]] = {}
    for length_us in LENGTHS_US if name != "zero" else LENGTHS_US[:1]:
        method = methods()[name]
        rows = []
        for window in windows:
            field = peer_field(method, window.events, window.t1_us, length_us, window.size)
            if field is not None:
                rows.append(_scored(window, field))
        by_length[length_us] = {"n_windows": len(rows), **_means(rows)}
    best = min(by_length, key=lambda us: by_length[us]["relative"])
    return {"frame_us": best, **by_length[best], "by_frame_us": by_length}


def _show(bundle: Bundle, report: dict[str, Any], given: Mapping[str, Any]) -> None:
    table = table_of(["file"], ["ms", "events", "px/s", "error", "relative", "degrees", "fwl"])
    for row in report["windows"]:
        table.add_row(
            row["file"],
            f"{row['t0_us'] / 1e3:.0f}-{row['t1_us'] / 1e3:.0f}",
            f"{row['n']:,}",
            f"{row['speed']:.0f}",
            f"{row['aee']:.0f}",
            f"{row['relative']:.2f}",
            f"{row['angle_deg']:.1f}",
            "" if row["fwl"] is None else f"{row['fwl']:.2f}",
        )
    show(table)
    for sentence in report["left_out"]:
        print(f"left out: {sentence}")
    print(f"{bundle.program.name}: {_line(report)} (means over files of means over windows)")
    for name, peer in report.get("peers", {}).items():
        told = f"{peer['n_windows']} of {len(report['windows'])} windows"
        print(f"{name}, pictures of {peer['frame_us'] / 1e3:g} ms, {told}: {_line(peer)}")


def _line(means: Mapping[str, Any]) -> str:
    fwl = "" if means["fwl"] is None else f", fwl {means['fwl']:.2f}"
    return (
        f"relative error {means['relative']:.3f}, angle {means['angle_deg']:.1f} degrees, "
        f"{means['aee']:.0f} px/s{fwl}"
    )


EVALUATION = Evaluation(
    data="A folder of recordings with a true motion (.npz).",
    report=_report,
    show=_show,
    options=(
        CELLS,
        Option("--peers", "Measure OpenCV's DIS and Farneback too.", bool, default=False),
    ),
)
