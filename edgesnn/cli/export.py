"""`edgesnn export MODEL --to FORMAT`: a bundle for those who do not have edgesnn."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np

from edgesnn.app import APPS, load_app
from edgesnn.cli.options import JSON
from edgesnn.cli.parsing import Given
from edgesnn.errors import InputError
from edgesnn.options import Option
from edgesnn.sinks.whole_file import check_output, whole_file
from edgesnn.text import shown

TO = {
    "onnx": "the step as a graph, and its parity vector beside it (needs nothing)",
    "nir": 'a NIR graph (needs: pip install ".[nir]")',
    "netx": "a lava-dl netx file, .net, of sequences of dense layers (needs h5py: the extra nir)",
    "loihi-report": "whether it fits a Loihi, layer by layer (needs nothing)",
}
_ALONE = "a reader that follows the format alone computes otherwise"
_ENDINGS = {"netx": ".net"}
OPTIONS = (
    Option("--to", f"{', '.join(TO)}.", default=..., metavar="FORMAT"),
    Option("--out", "File to write; a report is printed without it.", Path, metavar="PATH"),
    JSON,
)


def about() -> str:
    """Return the command's help."""
    told = "; ".join(f"{name}: {what}" for name, what in TO.items())
    return f"Write a model for other programs. {told}.".replace("[", "\\[")  # no markup


def export_model(given: Given) -> int:
    """Write or print it; return 1 where a hard limit of a report is broken, else 0."""
    from edgesnn.bundle import load_bundle

    if given["to"] not in TO:
        raise InputError(f"--to {shown(str(given['to']))} is none; give {', '.join(TO)}")
    name = given["app"]
    bundle = load_bundle(load_app(name).model if name in APPS else name)
    if given["to"] == "loihi-report":
        return _report(bundle, given)
    out: Path | None = given["out"]
    if out is None:
        raise InputError(f"--to {given['to']} needs --out PATH")
    check_output(out, "--out", [_ENDINGS.get(given["to"], f".{given['to']}")])
    said = {"onnx": _onnx, "nir": _nir, "netx": _netx}[given["to"]](bundle, out)
    if given["json"]:
        from edgesnn.measure.tables import print_json

        print_json(said)
        return 0
    print(f"{out}: {out.stat().st_size / 1000:.0f} kB")
    for sentence in said["differences"]:
        print(sentence if given["to"] == "netx" else f"{_ALONE}: {sentence}")
    return 0


def _onnx(bundle: Any, out: Path) -> dict[str, Any]:
    parity = out.with_name(f"{out.stem}.parity.npz")
    if out.with_suffix(".json").exists():
        raise InputError(
            f"--out {shown(str(out))}: {shown(out.stem)}.json lies there, and a bundle's own "
            "parity vector would be replaced; give another name"
        )
    check_output(parity, "--out", [".npz"])
    with whole_file(out, "--out") as first, whole_file(parity, "--out") as second:
        first.write_bytes(bundle.onnx)
        with second.open("wb") as file:
            np.savez_compressed(file, **bundle.parity)
    return {"written": [str(out), str(parity)], "differences": []}


def _nir(bundle: Any, out: Path) -> dict[str, Any]:
    from edgesnn.quantize.nir_write import nir_graph

    graph, differences = nir_graph(bundle.program)
    import nir  # type: ignore[import-untyped]

    data = io.BytesIO()  # a full disk is for us to notice: h5py may crash
    nir.write(data, graph)
    with whole_file(out, "--out") as part:
        part.write_bytes(data.getvalue())
    return {"written": [str(out)], "differences": differences}


def _netx(bundle: Any, out: Path) -> dict[str, Any]:
    from edgesnn.quantize.netx_write import netx_file

    data, differences = netx_file(bundle.program)
    with whole_file(out, "--out") as part:
        part.write_bytes(data)
    return {"written": [str(out)], "differences": differences}


def _report(bundle: Any, given: Given) -> int:
    import json

    from edgesnn.measure.loihi import report_on

    if given["out"] is not None:
        check_output(given["out"], "--out", [".json"])
    report = report_on(bundle.program)
    report["energy"] = _energy(bundle)
    if given["out"] is not None:
        with whole_file(given["out"], "--out") as part:
            part.write_text(json.dumps(report, indent=1) + "\n")
    if given["json"]:
        from edgesnn.measure.tables import print_json

        print_json(report)
    else:
        _show(report)
    return 0 if report["fits"] else 1


def _energy(bundle: Any) -> list[dict[str, Any]]:
    """Return Loihi 1's arithmetic for the parity vector's inputs; never called Loihi 2's."""
    from edgesnn.measure.energy import estimates, neurons_of
    from edgesnn.measure.operations import count_work

    layers, _ = count_work(bundle.program, list(bundle.parity["x"]))
    work = {
        "operations_per_step": {
            f"{which}_{kind}": sum(getattr(row, which) for row in layers if row.kind == kind)
            for which in ("effective", "dense")
            for kind in ("ACs", "MACs")
        },
        "spikes_per_step": sum(row.spikes for row in layers),
    }
    told = estimates(work, neurons_of(bundle.program))["arithmetic"]
    return [row for row in told if "loihi" in row["name"]]


def _show(report: dict[str, Any]) -> None:
    from edgesnn.measure.tables import show, table_of

    table = table_of(["layer", "on Lava"], ["neurons", "synapses", "delay", "|H|", "cores 1", "2"])
    for row in report["layers"]:
        table.add_row(
            row["name"],
            row["way"],
            f"{row['neurons']:,}" if row["neurons"] else "",
            f"{row['synapses']:,}" if row["synapses"] else "",
            str(row["delay"]) if row["delay"] else "",
            "" if row["sums"] is None else f"{row['sums']:,}",
            str(row["cores_loihi1"] or ""),
            str(row["cores_loihi2"] or ""),
        )
    show(table)
    for row in report["layers"]:
        if row["way"] == "own":
            print(f"{row['name']}: only as a process of our own: {row['why']}")
        for sentence in row["doubts"]:
            print(f"{row['name']}: {sentence}")
    for sentence in report["broken"]:
        print(f"does not fit: {sentence}")
    for row in report["energy"]:
        nj = row["energy_per_step_nJ"]
        told = f"{nj:,.0f} nJ" if nj < 1e4 else f"{math.ceil(nj / 1e3):,} uJ"
        print(
            f"estimate for {row['constants']['title']}, random inputs, dynamic only: {told} a step"
        )
    cores = report["cores"]
    fits = "fits the published limits" if report["fits"] else "does not fit"
    needs = f"{cores['loihi1']} cores of Loihi 1, {cores['loihi2']} of Loihi 2"
    print(f"{report['model']} {fits}: {needs}")
    print("checked on paper; it was not run on a chip")
