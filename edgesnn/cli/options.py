"""Options that several commands take."""

from __future__ import annotations

from edgesnn.decide.refine import MOST_ROUNDS
from edgesnn.options import Option
from edgesnn.sinks.catalog import PANEL

NETWORK, OUTPUT = "Who computes", PANEL
MODEL = Option("--model", "Bundle by name or path.", metavar="NAME_OR_PATH", panel=NETWORK)
EXIT = Option(
    "--exit",
    "When an answer may come early: exact, margin:X or never.",
    metavar="RULE",
    panel=NETWORK,
)
JSON = Option("--json", "JSON on stdout, nothing else.", bool, default=False, panel=OUTPUT)


def backend_option() -> Option:
    """Return --backend, with the names that there are."""
    from edgesnn.backend import AUTO, BACKENDS

    names = ", ".join(BACKENDS)
    text = f"{names}, or {AUTO}: events where it was built, else onnx_cpu."
    return Option("--backend", text, metavar="NAME", default=AUTO, panel=NETWORK)


ROUNDS = Option(
    "--rounds",
    "Of motion: rounds in which the events make it exact; 0: as the network tells it.",
    int,
    metavar="N",
    least=0,
    most=MOST_ROUNDS,
    panel=NETWORK,
)
CELLS = Option(
    "--cells",
    "Pixels along a cell, of models that take any sensor.",
    int,
    metavar="N",
    least=1,
    most=64,
    panel=NETWORK,
)
