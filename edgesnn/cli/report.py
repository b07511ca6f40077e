"""The commands that report: models, profile; as tables for people or as JSON."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from edgesnn.app import APPS, load_app
from edgesnn.measure.tables import percent, print_json, show, table_of

if TYPE_CHECKING:  # imported where `profile` measures the time of starting
    pass


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
