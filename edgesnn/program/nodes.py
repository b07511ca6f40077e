"""The kinds of nodes: one line each. See `node.py` for what a kind is."""

from __future__ import annotations

from edgesnn.program.kinds.add import Add
from edgesnn.program.kinds.concat import Concat
from edgesnn.program.kinds.fire import Fire
from edgesnn.program.kinds.integrate import Integrate
from edgesnn.program.kinds.integrator import Integrator
from edgesnn.program.kinds.layer import Layer
from edgesnn.program.kinds.leaky import Leaky
from edgesnn.program.kinds.pool import Pool
from edgesnn.program.kinds.previous import Previous
from edgesnn.program.kinds.upsample import Upsample
from edgesnn.program.node import Node

KINDS: dict[str, type[Node]] = {
    "layer": Layer,
    "pool": Pool,
    "upsample": Upsample,
    "concat": Concat,
    "add": Add,
    "fire": Fire,
    "leaky": Leaky,
    "integrate": Integrate,
    "integrator": Integrator,
    "previous": Previous,
}
"""What a node of a bundle may be, by its field `kind`."""
