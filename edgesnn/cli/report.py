"""The commands that report: models, profile; as tables for people or as JSON."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesnn.app import APPS, load_app, sample_path
from edgesnn.cli.parsing import Given
from edgesnn.measure.profile import profile
from edgesnn.measure.tables import percent, print_json, show, table_of

if TYPE_CHECKING:  # imported where `profile` measures the time of starting
    from rich.table import Table

    from edgesnn.bundle import Bundle
    from edgesnn.events import Source


def show_models(only: str | None = None, *, as_json: bool, check: bool = False) -> None:
    """Print what each installed bundle is and how good it was measured to be.

    only: name or path of the one that is asked for; None: all. check: replay the whole parity
    vector of each on the CPU backend first; raises BundleError.
    """
    from edgesnn.backend import backend, verify
    from edgesnn.bundle import list_bundles, load_bundle

    # An app may bring a bundle of its own, by path.
    named = (load_app(name).model for name in APPS)
    brought = [model for model in named if model.endswith(".json")]
    models = []
    for name in [*list_bundles(), *brought] if only is None else [only]:
        bundle = load_bundle(name)
        if check:
            verify(bundle, backend("onnx_cpu").load(bundle))
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
                "card": bundle.card,
            }
        )
    if check:
        who = (
            "1 model computes what its"
            if len(models) == 1
            else f"{len(models)} models compute what their"
        )
        print(f"{who} parity vectors say", file=sys.stderr)
    if as_json:
        print_json(models)
        return
    if not models:
        print("no models are installed")
        return
    table = table_of(["name", "task", "measured on"], ["n", "right", "kB"])
    for model in models:
        # What is no answer is not right or wrong: its card says in words how good it is.
        rows = model["accuracy"] or model["card"].get("measured") or [{}]
        for number, row in enumerate(rows):
            name, task, kilobytes = model["name"], model["task"], f"{model['bytes'] / 1e3:,.0f}"
            own = (name, task) if number == 0 else ("", "")
            measured = (
                row.get("data", "nothing"),
                str(row.get("n", "")),
                percent(row.get("accuracy")),
            )
            table.add_row(*map(str, (*own, *measured)), kilobytes if number == 0 else "")
    show(table)
    print("licences, parameters, limits and how each was made: edgesnn models --json")


def show_profile(given: Given) -> None:
    """Print where the time and the work of a model go."""
    app = load_app(given["app"])

    def named() -> str:
        from edgesnn.cli.source import model_name

        return model_name(app, given)

    def opened(bundle: Bundle) -> Source:
        from edgesnn.sources.files import open_file

        path: Path = given["file"] or sample_path(app, bundle.program.name)
        return open_file(path, bundle, speed=math.inf, loop=True)

    report = profile(
        named, opened, given["backend"], given["steps"], given["energy"], given["cells"]
    )
    if given["json"]:
        print_json(report)
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
    if given["energy"]:
        _show_energy(report["energy"])


def _show_energy(energy: dict[str, Any]) -> None:
    """Print the three columns one below the other: they do not say the same thing."""
    print("\nenergy, measured on this machine: what a step takes beyond rest")
    sensors = table_of(["sensor"], ["idle W", "active W", "uJ per step", "+-"])
    for row in energy["measured"]["sensors"]:
        error = row["standard_error_uJ"]
        sensors.add_row(
            row["name"],
            f"{row['idle_w']:.2f}",
            f"{row['active_w']:.2f}",
            f"{row['energy_per_step_uJ']:.1f}",
            "" if error is None else f"{error:.1f}",
        )
    if energy["measured"]["sensors"]:
        show(sensors)
    for reason in energy["measured"]["reasons"]:
        print(f"  nothing measured: {reason}")
    print("energy, estimated: arithmetic only (operations times published constants)")
    table = table_of(["constants", "include"], ["nJ per step", "dense INT8"])
    for row in energy["arithmetic"]:
        own = row["constants"]
        table.add_row(
            f"{own['title']}, {own['year']}",
            own["includes"],
            f"{row['energy_per_step_nJ']:,.1f}",
            "" if row["dense_int8_nJ"] is None else f"{row['dense_int8_nJ']:,.1f}",
        )
    memory = energy["memory"]
    table.add_section()
    table.add_row(
        "memory, apart",
        memory["constants"]["includes"],
        f"{memory['energy_per_step_nJ']:,.1f}",
        f"{memory['dense_int8_nJ']:,.1f}",
    )
    show(table)
    print("energy, estimated: the same network as dense INT8 on boards that were measured whole")
    boards = table_of(["board", "include"], ["nJ per step"])
    for row in energy["boards"]:
        own = row["constants"]
        title = f"{own['title']}, {own['year']}"
        boards.add_row(title, own["includes"], f"{row['dense_int8_nJ']:,.0f}")
    show(boards)
    for reason in energy["unknown"].values():
        print(f"not estimated: {reason}")


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
