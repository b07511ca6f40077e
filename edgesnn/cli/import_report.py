"""What `edgesnn import` tells of a conversion: a row for each layer, then what it cost."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesnn.measure.tables import show, table_of

if TYPE_CHECKING:
    from edgesnn.quantize.conversion import LayerReport

_GOOD = 0.99
"""Share of a layer's spikes that are those of the float network, below which people are told."""


def row_of(layer: LayerReport) -> dict[str, Any]:
    """Return what is told of a layer, for JSON and the card."""
    return {
        "name": layer.name,
        "was": layer.was,
        "became": layer.became,
        "worst_bound": layer.worst_bound,
        "weight_error": layer.weight_error,
        "spikes_equal": layer.agreement,
        "spike_rate": layer.rate,
    }


def show_report(report: dict[str, Any], classes: int, out: Path) -> None:
    """Print a report for people."""
    table = table_of(["layer", "was", "became"], ["|H| up to", "w error", "same spikes", "rate"])
    for row in report["layers"]:
        bound, error = row["worst_bound"], row["weight_error"]
        same, rate = row["spikes_equal"], row["spike_rate"]
        table.add_row(
            row["name"],
            row["was"],
            row["became"],
            "" if bound is None else f"{bound:,}",
            "" if error is None else f"{100 * error:.2f} %",
            "" if same is None else f"{100 * same:.2f} %",
            "" if rate is None else f"{100 * rate:.1f} %",
        )
    show(table)
    whose = "the trained float network's" if report["tuned"] else "the float network's"
    print(f"spikes were compared with {whose} on {report['compared_on']}")
    for row in report["layers"]:
        if row["spikes_equal"] is not None and row["spikes_equal"] < _GOOD:
            print(
                f"{row['name']} keeps {100 * row['spikes_equal']:.1f} % of them (weights are off "
                f"by {100 * row['weight_error']:.1f} %); --weights 14 may keep more"
                if "int8" in row["became"] and not report["tuned"]
                else f"{row['name']} keeps {100 * row['spikes_equal']:.1f} % of them"
            )
    for sentence in report["approximations"]:
        print(f"not exact: {sentence}")
    if not report["approximations"]:
        print(
            "carried over exactly but for the weights, thresholds and currents, which were rounded"
        )
    if report["answers"] is not None:
        told = report["answers"]
        shares = (100 * told[n] for n in ("float_right", "integer_right", "same_answer"))
        print(
            "{} recordings: float {:.1f} % right, integer {:.1f} %, the same answer "
            "{:.1f} %".format(told["n"], *shares)
        )
    print(f"{out}: {report['bytes'] / 1000:.0f} kB, {classes} classes")
    print(f"edgesnn run {shlex.quote(str(out))} --file RECORDING")
