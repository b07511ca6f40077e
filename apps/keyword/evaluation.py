"""What `edgesnn eval keyword` takes, measures and shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgesnn.app import Evaluation
from edgesnn.backend import Model
from edgesnn.bundle import Bundle
from edgesnn.decide.exit_rule import ExitRule
from edgesnn.measure.tables import percent, print_saved, right, show, table_of
from edgesnn.options import Option

from .spoken import takes_typed
from .words import evaluate_keyword


def _report(
    bundle: Bundle, model: Model, data: Path, rule: ExitRule | None, given: Mapping[str, Any]
) -> dict[str, Any]:
    takes = None if given["takes"] is None else takes_typed(given["takes"])
    return evaluate_keyword(bundle, model, data, takes=takes, rule=rule)


def _show(bundle: Bundle, report: dict[str, Any], given: Mapping[str, Any]) -> None:
    table = table_of(["speaker"], ["accuracy"])
    for speaker, accuracy in report["per_speaker"].items():
        table.add_row(speaker, percent(accuracy))
    show(table)
    for row in report["per_file"]:
        if row["predicted"] != row["label"]:
            print(f"{row['file']} was taken for {bundle.readout.labels[row['predicted']]}")
    print(f"{right(report)} (at the end of each recording, state reset before it)")
    print(f"told just once and rightly in a stream: {percent(report['spotted'])}")
    if report["told_after_end_s"] is not None:
        print(f"told {1e3 * report['told_after_end_s']:.0f} ms after the end (median)")
    print_saved(report)


EVALUATION = Evaluation(
    data="A folder of recordings named D_SPEAKER_I.wav.",
    report=_report,
    show=_show,
    options=(Option("--takes", "Only recordings of these numbers.", metavar="A-B"),),
)
