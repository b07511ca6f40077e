"""Who can hear a run: a line for each sink that an option of `edgesnn run` asks for.

Nothing is imported here: a module is, when its sink is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgesnn.options import Option

PANEL = "What comes out"
TERMINAL = "edgesnn.sinks.terminal"
"""The sink that has standard output where no other one takes it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A sink: an option of `edgesnn run`, and the module that opens it.

    module: has `open_sink(value, run)` (see `opening.py`), and whatever it returns hears the run.
    stdout: whether it writes to standard output, where the terminal view is then left out. motion:
    whether it needs a network that sees motion.
    """

    option: Option
    module: str
    stdout: bool = False
    motion: bool = False


SINKS = (
    Asked(
        Option("--json", "JSON on stdout, nothing else.", bool, default=False, panel=PANEL),
        "edgesnn.sinks.json_lines",
        stdout=True,
    ),
    Asked(
        Option("--record", "Keep the events: .aedat4 or .npz.", Path, metavar="OUT", panel=PANEL),
        "edgesnn.sinks.recorder",
    ),
    Asked(
        Option("--view", "Open a window.", bool, default=False, panel=PANEL),
        "edgesnn.sinks.window",
    ),
)
"""In the order in which they are opened, after the one that has standard output."""
