"""The network as data: nodes, checks, state; one meaning on every backend."""

from edgesnn.program.kinds.add import Add
from edgesnn.program.kinds.concat import Concat
from edgesnn.program.kinds.fire import MEMBRANE_LIMIT, Fire
from edgesnn.program.kinds.integrate import KEEP_UNIT, Integrate
from edgesnn.program.kinds.integrator import Integrator
from edgesnn.program.kinds.layer import Layer
from edgesnn.program.kinds.leak import LEAK_UNIT
from edgesnn.program.kinds.leaky import Leaky
from edgesnn.program.kinds.pool import Pool
from edgesnn.program.kinds.previous import Previous
from edgesnn.program.kinds.upsample import Upsample
from edgesnn.program.node import Node, State, StatePort, Tensor, Value
from edgesnn.program.nodes import KINDS
from edgesnn.program.program import (
    Program,
    from_dict,
    has_loops,
    initial_state,
    resting_steps,
    state_ports,
    to_dict,
    warmup_steps,
)

__all__ = [
    "KEEP_UNIT",
    "KINDS",
    "LEAK_UNIT",
    "MEMBRANE_LIMIT",
    "Add",
    "Concat",
    "Fire",
    "Integrate",
    "Integrator",
    "Layer",
    "Leaky",
    "Node",
    "Pool",
    "Previous",
    "Program",
    "State",
    "StatePort",
    "Tensor",
    "Upsample",
    "Value",
    "from_dict",
    "has_loops",
    "initial_state",
    "resting_steps",
    "state_ports",
    "to_dict",
    "warmup_steps",
]
