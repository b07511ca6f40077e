"""What `edgesnn eval digits` takes, measures and shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgesnn.app import App, Evaluation
from edgesnn.backend import Model
from edgesnn.bundle import Bundle
from edgesnn.decide.exit_rule import EXACT, ExitRule
from edgesnn.measure.tables import percent, right, show, table_of

from .trials import evaluate_digits, holds_images


def _report(
    bundle: Bundle, model: Model, data: Path, rule: ExitRule | None, given: Mapping[str, Any]
) -> dict[str, Any]:
    return evaluate_digits(bundle, model, data, rule=rule or EXACT)


def _show(bundle: Bundle, report: dict[str, Any], given: Mapping[str, Any]) -> None:
    labels, early, work = bundle.readout.labels, report["exit"], report["operations"]
    table = table_of(["label"], ["n", "accuracy"])
    for label, row in zip(labels, report["confusion"], strict=True):
        hits = row[labels.index(label)]
        table.add_row(label, str(sum(row)), percent(hits / sum(row)) if sum(row) else "")
    show(table)
    for note in report["notes"]:
        print(note)
    print(right(report))
    print(
        f"exit {early['rule']}: sure at step {early['mean_step']:.2f} of {early['window_steps']} "
        f"on average (p50 {early['p50']:g}, p90 {early['p90']:g}, p99 {early['p99']:g}); "
        f"{report['changed_by_exit']} answers changed"
    )
    print(
        f"operations: {work['done']:,.0f} until then of {work['whole_window']:,.0f} in the whole "
        f"window ({percent(work['saved_share'])} saved); dense: {work['dense_whole_window']:,}"
    )


def _model_for(app: App, data: Path) -> str:
    """Return the model of images for a folder of idx files, else that of a DVS."""
    assert app.event_model is not None
    return app.model if holds_images(data) else app.event_model


EVALUATION = Evaluation(
    data="A folder of idx files, or N-MNIST recordings with an index file.",
    report=_report,
    show=_show,
    model_for=_model_for,
)
