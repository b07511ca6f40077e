"""What `edgesnn eval APP` does: the app's own evaluation, as a table or as JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgesnn.app import App, Evaluation, evaluation_of, load_app
from edgesnn.cli.options import EXIT, JSON, MODEL, backend_option
from edgesnn.cli.parsing import Given, taking
from edgesnn.options import Option


def eval_command(name: str) -> Callable[..., Any]:
    """Return the command that measures an app; raises InputError."""
    app = load_app(name)
    evaluation = evaluation_of(app)
    data = Option("--data", evaluation.data, Path, default=..., metavar="DIR")
    options = [data, *evaluation.options, backend_option(), MODEL, EXIT, JSON]

    def run(given: Given) -> None:
        _show(app, evaluation, given)

    return taking(options, run, about=f"Measure how often an app is right. {app.summary}")


def _show(app: App, evaluation: Evaluation, given: Given) -> None:
    from edgesnn.backend import load_model
    from edgesnn.bundle import load_bundle
    from edgesnn.decide.exit_rule import exit_rule
    from edgesnn.measure.tables import print_json

    rule = None if given["exit"] is None else exit_rule(given["exit"])
    name = given["model"] or app.model
    if given["model"] is None and evaluation.model_for is not None:
        name = evaluation.model_for(app, given["data"])
    bundle = load_bundle(name)
    _, model = load_model(given["backend"], bundle)
    report = evaluation.report(bundle, model, given["data"], rule, given)
    if given["json"]:
        print_json(report)
    else:
        evaluation.show(bundle, report, given)
