"""A profile as a picture: durations by stage, energy with its labels, spikes over time.

Drawn by matplotlib, which comes with the extra `plot` and is imported here alone.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgesnn.errors import MissingDependency

_INCHES = (10.0, 11.0)
_QUANTILES = (("p50", ":"), ("p99", "--"), ("p999", "-"))
_BEYOND = 10
"""How far the axis of energies goes on beyond the longest bar, for its label."""


def need_matplotlib() -> None:
    """Raise MissingDependency where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise MissingDependency(
            '--plot needs matplotlib; install it with: pip install ".[plot]" in a checkout, or '
            "pip install matplotlib"
        )


def draw(report: dict[str, Any], path: Path) -> None:
    """Draw what `profile` returned; path ends in .svg or .png. Raises OSError."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [_durations, _spikes, *([_energy] if "energy" in report else [])]
    figure = Figure(figsize=(_INCHES[0], _INCHES[1] * len(panels) / 3), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{report['model']} on {report['backend']}, {report['source']}")
    axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for panel, axis in zip(panels, axes, strict=True):
        panel(axis, report)
    figure.savefig(path, format=path.suffix[1:].lower(), dpi=110)


def _durations(axis: Any, report: dict[str, Any]) -> None:
    """A histogram for each stage, with its percentiles as lines."""
    for number, (name, histogram) in enumerate(report["stages_histogram_us"].items()):
        if not histogram:
            continue
        at, counts = zip(*histogram, strict=True)
        colour = f"C{number}"
        share = [100 * count / sum(counts) for count in counts]
        axis.step(at, share, where="mid", color=colour, label=name)
        for quantile, style in _QUANTILES:
            axis.axvline(
                report["stages_us"][name][quantile], color=colour, linestyle=style, linewidth=0.8
            )
    axis.set_xscale("log")
    axis.set_xlabel("duration, microseconds (lines: p50 dotted, p99 dashed, p99.9 solid)")
    axis.set_ylabel("share of a stage's durations, %")
    axis.legend(ncols=2)


def _spikes(axis: Any, report: dict[str, Any]) -> None:
    """The spikes of each layer in every step that was counted."""
    step_ms = report["step_us"] / 1e3
    for name, spikes in report["spikes_over_time"].items():
        axis.plot([n * step_ms for n in range(len(spikes))], spikes, label=name, linewidth=1)
    axis.set_xlabel("time in the recording, ms")
    axis.set_ylabel("spikes in a step")
    if report["spikes_over_time"]:
        axis.legend(ncols=3)


def _energy(axis: Any, report: dict[str, Any]) -> None:
    """What was measured and what was estimated: bars of different colours, never added."""
    energy = report["energy"]
    rows = [
        (f"measured: {row['name']}", row["energy_per_step_uJ"] * 1e3, "C2")
        for row in energy["measured"]["sensors"]
    ]
    rows += [
        (f"arithmetic: {row['constants']['title']}", row["energy_per_step_nJ"], "C0")
        for row in energy["arithmetic"]
    ]
    rows += [
        (f"whole board, dense INT8: {row['constants']['title']}", row["dense_int8_nJ"], "C1")
        for row in energy["boards"]
    ]
    rows = [row for row in rows if row[1] > 0]
    names, values, colours = zip(*reversed(rows), strict=True)
    bars = axis.barh(range(len(rows)), values, color=colours)
    axis.set_yticks(range(len(rows)), names)
    axis.set_xscale("log")
    axis.bar_label(bars, [f"{value:,.0f}" for value in values], padding=3, fontsize=8)
    axis.set_xlim(right=_BEYOND * max(values))
    axis.set_xlabel("nJ per step; the three kinds include different things (docs/profile.md)")
    if not energy["measured"]["sensors"]:
        axis.set_title("; ".join(energy["measured"]["reasons"]), fontsize=8)
