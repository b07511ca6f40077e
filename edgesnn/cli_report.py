"""The commands that report: models, profile; as tables for people or as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesnn.app import load_app, sample_path

if TYPE_CHECKING:
    from rich.table import Table


def show_models(*, as_json: bool) -> None:
    """Print what each installed bundle is and how good it was measured to be."""
    from edgesnn.bundle import list_bundles, load_bundle

    models = []
    for name in list_bundles():
        bundle = load_bundle(name)
        tensors = bundle.program.tensors.values()
        models.append(
            {
                "name": name,
                "task": bundle.card.get("task", ""),
                "params": bundle.card.get("params", sum(tensor.size for tensor in tensors)),
                "bytes": sum(tensor.nbytes for tensor in tensors),
                "step_us": bundle.program.step_us,
                "accuracy": bundle.card.get("accuracy", []),
                "licence": bundle.card.get("licence", ""),
            }
        )
    if as_json:
        print(json.dumps(models, ensure_ascii=False))
        return
    if not models:
        print("no models are installed")
        return
    table = table_of(["name", "task", "licence"], ["params", "bytes"])
    for model in models:
        cells = [model["name"], model["task"], model["licence"]]
        table.add_row(*map(str, cells), f"{model['params']:,}", f"{model['bytes']:,}")
    show(table)
    for model in models:
        measured = table_of(
            [f"{model['name']} measured on"], ["n", "accuracy", "state carried over"]
        )
        for row in model["accuracy"]:
            shares = (row.get("accuracy"), row.get("accuracy_state_carried"))
            measured.add_row(row["data"], str(row["n"]), *map(percent, shares))
        show(measured)


def show_profile(
    app_name: str,
    file: Path | None,
    *,
    backend_name: str,
    model_name: str | None,
    steps: int,
    as_json: bool,
) -> None:
    """Print where the time and the work of a model go."""
    app = load_app(app_name)
    from edgesnn.cli_source import SourceOptions
    from edgesnn.cli_source import model_name as model_name_for
    from edgesnn.profile import profile

    where = SourceOptions(file=file)
    name = model_name_for(app, where, model_name)
    report = profile(name, file or sample_path(app, name), backend_name, steps)
    if as_json:
        print(json.dumps(report, ensure_ascii=False))
        return
    print(f"{report['model']} on {report['backend']}, {report['source']}")
    show(_stages(report))
    print(f"synaptic operations and spikes, means of {report['counted_steps']} steps")
    show(_work(report))
    memory, start = report["peak_memory_bytes"], report["startup_ms"]
    print(
        f"{report['steps_per_second']:,.0f} steps per second, "
        f"{report['realtime_factor']:.1f} x real time at {report['step_us'] / 1e3:g} ms steps"
    )
    print(
        f"start-up {start['load']:.0f} ms to load, {start['first_step']:.0f} ms to the first step"
    )
    if memory is not None:
        print(f"peak memory {memory / 2**20:.0f} MiB")


def _stages(report: dict[str, Any]) -> Table:
    table = table_of(["stage"], ["p50 us", "p99 us", "p99.9 us", "max us"])
    for name, values in report["stages_us"].items():
        table.add_row(name, *(f"{values[q]:,.1f}" for q in ("p50", "p99", "p999", "max")))
    return table


def _work(report: dict[str, Any]) -> Table:
    table = table_of(["layer", "kind"], ["dense", "effective", "share", "spikes", "firing"])
    for layer in report["layers"]:
        dense, effective = layer["dense"], layer["effective"]
        table.add_row(
            layer["name"],
            layer["kind"],
            f"{dense:,.0f}",
            f"{effective:,.0f}",
            percent(effective / dense if dense else 0.0),
            f"{layer['spikes']:,.0f}",
            percent(layer["rate"]) if layer["spikes"] else "",
        )
    table.add_section()
    totals = report["operations_per_step"]
    for kind in ("ACs", "MACs"):
        dense, effective = totals[f"dense_{kind}"], totals[f"effective_{kind}"]
        share = percent(effective / dense if dense else 0.0)
        spikes = f"{report['spikes_per_step']:,.0f}" if kind == "ACs" else ""
        table.add_row("all", kind, f"{dense:,.0f}", f"{effective:,.0f}", share, spikes, "")
    return table


def percent(share: float | None) -> str:
    """Return a share as text; nothing for None."""
    return "" if share is None else f"{100 * share:.1f} %"


def table_of(words: list[str], numbers: list[str]) -> Table:
    """Return an empty table with columns of words and then of numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in words:
        table.add_column(title, overflow="fold")
    for title in numbers:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def show(table: Table) -> None:
    """Print a table."""
    from rich.console import Console

    Console(highlight=False).print(table)
