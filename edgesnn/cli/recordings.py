"""How an app is measured on a folder of labelled recordings of events, and shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgesnn.app import Evaluation
from edgesnn.backend import Model
from edgesnn.bundle import Bundle
from edgesnn.cli.source import size_typed, unit_typed
from edgesnn.decide.evidence import ReadoutSpec
from edgesnn.decide.exit_rule import ExitRule
from edgesnn.decide.trial import TrialSpec
from edgesnn.errors import InputError
from edgesnn.measure.evaluate import evaluate
from edgesnn.measure.tables import print_saved, right, show, table_of
from edgesnn.options import Option
from edgesnn.sources.catalog import UNSAID
from edgesnn.sources.wanted import check_takes_events


def _report(
    bundle: Bundle, model: Model, data: Path, rule: ExitRule | None, given: Mapping[str, Any]
) -> dict[str, Any]:
    check_takes_events(bundle, "a folder of recordings of events, which this command measures on,")
    if not isinstance(bundle.readout, ReadoutSpec | TrialSpec):
        raise InputError(f"{bundle.program.name} does not tell classes of recordings")
    carried = bool(given["carry_state"])
    size, unit = size_typed(given["sensor"]), unit_typed(given["time_unit"])
    return evaluate(bundle, model, data, carry_state=carried, rule=rule, size=size, unit=unit)


def _show(bundle: Bundle, report: dict[str, Any], given: Mapping[str, Any]) -> None:
    labels = (*bundle.readout.labels, "nothing")  # an undecided -1 is the last one
    table = table_of(["file", "label", "predicted"], ["decided at"])
    for row in report["per_file"]:
        style = "" if row["predicted"] == row["label"] else "red"
        at_us = row["decided_at_us"]
        at = "never sure" if at_us is None else f"{at_us / 1e6:.3f} s"
        table.add_row(row["file"], labels[row["label"]], labels[row["predicted"]], at, style=style)
    show(table)
    for row in report["per_file"]:
        for note in row["notes"]:
            print(f"{row['file']}: {note}")
    state = "carried over" if given["carry_state"] else "reset before each recording"
    print(f"{right(report)} (state {state})")
    print_saved(report)


EVALUATION = Evaluation(
    data="A folder of recordings with labels.csv.",
    report=_report,
    show=_show,
    options=(
        Option(
            "--carry-state",
            "Do not reset the state between recordings.",
            bool,
            default=False,
        ),
        *UNSAID,
    ),
)
