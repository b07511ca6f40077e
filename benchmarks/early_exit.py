"""What an early answer costs and saves: `edgesnn eval` under one margin after another.

    python benchmarks/early_exit.py gesture --data DIR
    python benchmarks/early_exit.py keyword --data FSDD --takes 5-9

For digits the curve is in the models' cards (`python -m edgesnn.models.digits.ship`).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from edgesnn.apps.keyword.spoken import takes_typed
from edgesnn.apps.keyword.words import evaluate_keyword
from edgesnn.backend import Model, backend
from edgesnn.bundle import Bundle, load_bundle
from edgesnn.decide.exit_rule import NEVER, ExitRule
from edgesnn.measure.evaluate import evaluate

MARGINS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)


def gesture(bundle: Bundle, model: Model, data: Path, rule: ExitRule, takes: str | None) -> str:
    """Return a row: right, steps saved, when it was told (of those told)."""
    report = evaluate(bundle, model, data, rule=rule)
    times = [row["decided_at_us"] for row in report["per_file"] if row["decided_at_us"] is not None]
    told = f"{np.median(times) / 1e6:8.2f} s" if times else ""
    return f"{report['accuracy']:8.1%} {saved(report):>8} {told}"


def keyword(bundle: Bundle, model: Model, data: Path, rule: ExitRule, takes: str | None) -> str:
    """Return a row: told once and rightly, steps saved, when after the word's end."""
    chosen = None if takes is None else takes_typed(takes)
    report = evaluate_keyword(bundle, model, data, takes=chosen, rule=rule)
    return f"{report['spotted']:8.1%} {saved(report):>8} {report['told_after_end_s']:8.2f} s"


def saved(report: dict[str, Any]) -> str:
    """Return the share of the steps that were not taken."""
    return "" if report["exit"] is None else f"{report['exit']['steps_saved']:.1%}"


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("app", choices=["gesture", "keyword"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--takes")
    parser.add_argument("--model")
    given = parser.parse_args()
    bundle = load_bundle(given.model or given.app)
    model = backend("onnx_cpu").load(bundle, threads=1)
    after = "told" if given.app == "gesture" else "told after the end"
    print(f"{'exit':12} {'right':>8} {'saved':>8} {after:>10}")
    row = gesture if given.app == "gesture" else keyword
    for rule in (NEVER, *(ExitRule("margin", m) for m in MARGINS)):
        print(f"{rule!s:12} {row(bundle, model, given.data, rule, given.takes)}", flush=True)


if __name__ == "__main__":
    main()
