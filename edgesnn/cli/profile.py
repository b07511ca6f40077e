"""The command `profile`: where the time, the memory and the work of a model go."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesnn.app import App, load_app, sample_path
from edgesnn.cli.parsing import Given, was_given
from edgesnn.errors import InputError
from edgesnn.measure.profile import STEPS, profile, side
from edgesnn.measure.tables import percent, print_json, show, table_of
from edgesnn.sources.catalog import LIVE, PACE

if TYPE_CHECKING:  # imported where `profile` measures the time of starting
    from rich.table import Table

    from edgesnn.bundle import Bundle
    from edgesnn.events import Source

_LIVE_S = 10.0
_LONGEST_S = 1e6


def show_profile(given: Given) -> None:
    """Print where the time and the work of a model go."""
    app = load_app(given["app"])
    _refuse(given)
    if given["compare"] is not None:
        _show_compared(app, given)
        return
    plot: Path | None = given["plot"]
    if plot is not None:
        from edgesnn.measure.plots import need_matplotlib
        from edgesnn.sinks.whole_file import check_output

        check_output(plot, "--plot", (".svg", ".png"))
        need_matplotlib()

    def named() -> str:
        from edgesnn.cli.source import model_name

        return model_name(app, given)

    def opened(bundle: Bundle) -> Source:
        from edgesnn.cli.source import chosen_source

        return chosen_source(app, given)(bundle) if given["live"] else _played(app, given, bundle)

    report = profile(
        named,
        opened,
        given["backend"],
        given["steps"] or STEPS,
        given["energy"],
        given["cells"],
        (given["duration"] or _LIVE_S) if given["live"] else None,
        given["rounds"],
    )
    if plot is not None:
        from edgesnn.measure.plots import draw
        from edgesnn.sinks.whole_file import whole_file

        with whole_file(plot, "--plot") as part:
            draw(report, part)
    if given["json"]:
        print_json(report)
        return
    print(f"{report['model']} on {report['backend']}, {report['source']}")
    show(_stages(report))
    if given["live"]:
        _show_live(report)
    counted = report["counted_steps"]
    print(f"synaptic operations and spikes, means of {counted} steps that the network took")
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
        _show_energy(report["energy"], report["network_steps_per_decision"])
    if plot is not None:
        print(f"drawn: {plot}")


def _refuse(given: Given) -> None:
    """Raise InputError for options that do not go together."""
    duration_s: float | None = given["duration"]
    if duration_s is not None and not given["live"]:
        raise InputError("--duration is for --live; a recording is measured for --steps steps")
    if duration_s is not None and not 0 < duration_s <= _LONGEST_S:
        raise InputError(
            f"--duration {duration_s:g} is no time to run; give seconds above 0, up to "
            f"{_LONGEST_S:.0e}"
        )
    if given["steps"] is not None:
        for other, instead in (("live", "runs for --duration seconds"), ("compare", "has its own")):
            if given[other]:
                raise InputError(f"--{other} {instead}; leave --steps out")
    if not given["live"]:
        for option in PACE:
            if was_given(given.get(option.key)):
                raise InputError(
                    f"{option.name} is for --live: a recording is measured as fast as it can be "
                    "played, again and again"
                )
        for entry in LIVE:
            if was_given(given[entry.option.key]):
                raise InputError(f"{entry.option.name} is live; give --live with it")
    for other in ("live", "energy", "plot", "rounds"):
        if given["compare"] is not None and was_given(given[other]):
            raise InputError(
                f"--compare times steps alone and --{other} does more; leave one of them out"
            )


def _played(app: App, given: Given, bundle: Bundle) -> Source:
    from edgesnn.sources.files import open_file

    path: Path = given["file"] or sample_path(app, bundle.program.name)
    return open_file(path, bundle, speed=math.inf, loop=True)


def _show_compared(app: App, given: Given) -> None:
    """Print how much longer the steps of --compare take: another backend, or another bundle."""
    from edgesnn.backend import BACKENDS
    from edgesnn.cli.source import model_name
    from edgesnn.measure.compare import compared

    named, other = model_name(app, given), str(given["compare"])
    backend, cells = given["backend"], given["cells"]
    second = (named, other) if other in BACKENDS else (other, backend)

    def opened(bundle: Bundle) -> Source:
        return _played(app, given, bundle)

    a, b = side(named, opened, backend, cells), side(second[0], opened, second[1], cells)
    report = compared(a, b)
    if given["json"]:
        print_json(report)
        return
    table = table_of(["model", "backend"], ["step", "median us"])
    for row in (report["a"], report["b"]):
        step = f"{row['step_us'] / 1e3:g} ms"
        table.add_row(row["model"], row["backend"], step, f"{row['median_us']:,.1f}")
    show(table)
    print(
        f"the second takes {report['ratio']:.2f} times as long as the first "
        f"({report['low']:.2f} to {report['high']:.2f}, median of {report['blocks']} pairs of "
        f"blocks of {report['steps_per_block']} steps, alternating)"
    )
    same = report["same_outputs"]
    if same is not None:
        told = "the same sums in every step" if same else "NOT the same sums: please report this"
        print(f"both computed {told}" if same else told)


def _show_live(report: dict[str, Any]) -> None:
    live = report["live"]
    if live["latency_us"] is not None:
        named = ("p50", "p99", "p999", "max")
        told = "  ".join(f"{q} {live['latency_us'][q] / 1e3:.2f}" for q in named)
        print(f"latency from arrival to decision, ms: {told}")
    print(
        f"{report['steps']:,} steps, {live['late_steps']:,} of them late; events: "
        f"{live['events']:,} processed, {live['dropped']:,} dropped, {live['late']:,} late"
    )


def _show_energy(energy: dict[str, Any], steps: float | None) -> None:
    """Print the three columns one below the other: they do not say the same thing.

    steps: of a decision, on the average.
    """
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
    if steps is None:
        print("nothing was decided: no energy per decision")
    else:
        print(f"a decision takes {steps:,.1f} such steps on the average: each figure so many times")
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
