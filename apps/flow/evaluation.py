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
from edgesnn.cli.options import CELLS, ROUNDS
from edgesnn.decide.exit_rule import ExitRule
from edgesnn.decide.motion import MotionReadout, MotionSpec
from edgesnn.decide.motion_field import MotionField
from edgesnn.decide.readouts import open_readout
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
    """A model's field at any moment of a recording, as it would be live with --denoise off."""

    def __init__(
        self,
        bundle: Bundle,
        size: tuple[int, int],
        name: str,
        cell: int | None = None,
        rounds: int | None = None,
    ) -> None:
        self.bundle = bundle.fitted(size, cell, rounds)
        self._size = size
        self._model = load_model(name, self.bundle)[1]

    def at(self, events: Any, until_us: int) -> Any:
        """Return the field (2, H, W), px/s, of steps of which the last one ends at until_us."""
        return self.of_places(events, until_us).at_pixels(self._size)[0]

    def of_places(self, events: Any, until_us: int) -> MotionField:
        """Return the same by places, with how sure each is."""
        program = self.bundle.program
        encoder = open_encoder(
            self.bundle.encoder, program.input_shape, self._size, program.step_us
        )
        assert isinstance(self.bundle.readout, MotionSpec)
        readout, stream = MotionReadout(self.bundle.readout), self._model.stream()
        cell: int = self.bundle.encoder.cell  # type: ignore[union-attr]
        lasts_us = min(_LONGEST_US, until_us - int(events["t"].min()))
        for left in range(max(1, -(-lasts_us // program.step_us)), 0, -1):
            start_us = until_us - left * program.step_us
            end_us = start_us + program.step_us
            seen = events[(events["t"] >= start_us) & (events["t"] < end_us)]
            readout.see(seen, end_us, cell, program.step_us)
            y = stream.step(encoder.encode(seen, start_us))
        readout.update(y, len(seen), until_us)  # a field is that of the last step and its events
        field = readout.field(until_us, cell, program.step_us)
        assert field is not None
        return field


def _report(
    bundle: Bundle, model: Model, data: Path, rule: ExitRule | None, given: Mapping[str, Any]
) -> dict[str, Any]:
    if not isinstance(bundle.readout, MotionSpec):
        raise InputError(f"{bundle.program.name} does not see motion")
    open_readout(bundle.readout, rule)  # which refuses a rule
    fields: dict[tuple[int, int], FieldOf] = {}
    name = str(given.get("backend") or AUTO)
    rows, left_out = [], []
    peers = Peers() if given["peers"] else None
    for window in windows_of(data):
        if isinstance(window, str):
            left_out.append(window)
            continue
        if window.size not in fields:
            fields[window.size] = FieldOf(
                bundle, window.size, name, given["cells"], given["rounds"]
            )
        rows.append(_scored(window, fields[window.size].at(window.events, window.t1_us)))
        if peers is not None:
            peers.see(window)
    report: dict[str, Any] = {"windows": rows, **_means(rows), "left_out": left_out}
    if peers is not None:
        report["peers"] = peers.told()
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


class Peers:
    """What OpenCV's methods score on the same windows, at each length of their pictures."""

    def __init__(self) -> None:
        self._methods = methods()
        self._rows: dict[str, dict[int, list[Row]]] = {
            name: {us: [] for us in (LENGTHS_US if name != "zero" else LENGTHS_US[:1])}
            for name in self._methods
        }

    def see(self, window: Window) -> None:
        """Score a window; long pictures do not fit into every one."""
        for name, by_length in self._rows.items():
            for length_us, rows in by_length.items():
                method = self._methods[name]
                field = peer_field(method, window.events, window.t1_us, length_us, window.size)
                if field is not None:
                    rows.append(_scored(window, field))

    def told(self) -> dict[str, Any]:
        """Return each one's means at each length, and at the one that suits it best.

        Windows that are too short for a length are not counted against it.
        """
        report: dict[str, Any] = {}
        for name, by_length in self._rows.items():
            told: dict[int, dict[str, Any]] = {
                us: {"n_windows": len(rows), **_means(rows)} for us, rows in by_length.items()
            }
            fits = [us for us, rows in by_length.items() if rows]
            best = min(fits, key=lambda us: told[us]["relative"], default=LENGTHS_US[0])
            report[name] = {"frame_us": best, **told[best], "by_frame_us": told}
        return report


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
        if not peer["n_windows"]:
            print(f"{name}: {told} are long enough for two pictures")
            continue
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
        ROUNDS,
        Option("--peers", "Measure OpenCV's DIS and Farneback too.", bool, default=False),
    ),
)
