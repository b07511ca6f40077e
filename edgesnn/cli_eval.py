"""What `edgesnn eval` does: the evaluation that fits the app's model, as a table or as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesnn.app import load_app
from edgesnn.backend import Model, backend
from edgesnn.bundle import Bundle, ReadoutSpec, load_bundle
from edgesnn.cli_report import percent, show, table_of
from edgesnn.errors import InputError
from edgesnn.exit_rule import EXACT, ExitRule, exit_rule
from edgesnn.spoken import takes_typed
from edgesnn.spotting import SpottingSpec


@dataclass(frozen=True, slots=True)
class EvalOptions:
    """As typed; see `edgesnn eval --help`."""

    data: Path
    backend: str = "onnx_cpu"
    model: str | None = None
    exit: str | None = None
    takes: str | None = None
    carry_state: bool = False


def show_evaluation(app_name: str, options: EvalOptions, *, as_json: bool) -> None:
    """Print how a model does on labelled data; raises InputError."""
    app = load_app(app_name)
    rule = None if options.exit is None else exit_rule(options.exit)
    takes = None if options.takes is None else takes_typed(options.takes)
    name = options.model or app.model
    if options.model is None and app.event_model is not None and not _holds_images(options.data):
        name = app.event_model
    bundle = load_bundle(name)
    spotting, evidence = (isinstance(bundle.readout, kind) for kind in (SpottingSpec, ReadoutSpec))
    if takes is not None and not spotting:
        raise InputError("--takes is for spoken digits (edgesnn eval keyword)")
    if options.carry_state and not evidence:
        raise InputError("--carry-state is for gestures: words and digits start from rest")
    model = backend(options.backend).load(bundle, threads=1)
    if evidence:
        _gesture(bundle, model, options, rule, as_json=as_json)
    elif spotting:
        _keyword(bundle, model, options.data, takes, rule, as_json=as_json)
    else:
        _digits(bundle, model, options.data, rule or EXACT, as_json=as_json)


def _holds_images(data: Path) -> bool:
    return data.is_dir() and any(data.glob("*idx3-ubyte*"))


def _gesture(
    bundle: Bundle, model: Model, options: EvalOptions, rule: ExitRule | None, *, as_json: bool
) -> None:
    from edgesnn.evaluate import evaluate

    report = evaluate(bundle, model, options.data, carry_state=options.carry_state, rule=rule)
    if as_json:
        _print_json(report)
        return
    labels = (*bundle.readout.labels, "nothing")  # an undecided -1 is the last one
    table = table_of(["file", "label", "predicted"], ["decided at"])
    for row in report["per_file"]:
        style = "" if row["predicted"] == row["label"] else "red"
        at_us = row["decided_at_us"]
        at = "never sure" if at_us is None else f"{at_us / 1e6:.3f} s"
        table.add_row(row["file"], labels[row["label"]], labels[row["predicted"]], at, style=style)
    show(table)
    state = "carried over" if options.carry_state else "reset before each recording"
    print(f"{_right(report)} (state {state})")
    _print_saved(report)


def _keyword(
    bundle: Bundle,
    model: Model,
    data: Path,
    takes: tuple[int, int] | None,
    rule: ExitRule | None,
    *,
    as_json: bool,
) -> None:
    from edgesnn.evaluate_keyword import evaluate_keyword

    report = evaluate_keyword(bundle, model, data, takes=takes, rule=rule)
    if as_json:
        _print_json(report)
        return
    table = table_of(["speaker"], ["accuracy"])
    for speaker, accuracy in report["per_speaker"].items():
        table.add_row(speaker, percent(accuracy))
    show(table)
    for row in report["per_file"]:
        if row["predicted"] != row["label"]:
            print(f"{row['file']} was taken for {bundle.readout.labels[row['predicted']]}")
    print(f"{_right(report)} (at the end of each recording, state reset before it)")
    print(f"told just once and rightly in a stream: {percent(report['spotted'])}")
    if report["told_after_end_s"] is not None:
        print(f"told {1e3 * report['told_after_end_s']:.0f} ms after the end (median)")
    _print_saved(report)


def _digits(bundle: Bundle, model: Model, data: Path, rule: ExitRule, *, as_json: bool) -> None:
    from edgesnn.evaluate_digits import evaluate_digits

    report = evaluate_digits(bundle, model, data, rule=rule)
    if as_json:
        _print_json(report)
        return
    labels, early, work = bundle.readout.labels, report["exit"], report["operations"]
    table = table_of(["label"], ["n", "accuracy"])
    for label, row in zip(labels, report["confusion"], strict=True):
        right = row[labels.index(label)]
        table.add_row(label, str(sum(row)), percent(right / sum(row)) if sum(row) else "")
    show(table)
    print(_right(report))
    print(
        f"exit {early['rule']}: sure at step {early['mean_step']:.2f} of {early['window_steps']} "
        f"on average (p50 {early['p50']:g}, p90 {early['p90']:g}, p99 {early['p99']:g}); "
        f"{report['changed_by_exit']} answers changed"
    )
    print(
        f"operations: {work['done']:,.0f} until then of {work['whole_window']:,.0f} in the whole "
        f"window ({percent(work['saved_share'])} saved); dense: {work['dense_whole_window']:,}"
    )


def _print_saved(report: dict[str, Any]) -> None:
    if report["exit"] is not None:
        saved = percent(report["exit"]["steps_saved"])
        print(f"exit {report['exit']['rule']}: {saved} of the steps were not needed")


def _right(report: dict[str, Any]) -> str:
    return f"{report['correct']} of {report['n']} right: {percent(report['accuracy'])}"


def _print_json(report: dict[str, Any]) -> None:
    print(json.dumps(report, ensure_ascii=False))
