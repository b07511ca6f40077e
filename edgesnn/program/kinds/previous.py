"""What a later node gave in the step before: the edge that makes a network recurrent.

    P[t] = S[t-1],   P[0] = 0

where S are the spikes of a node that comes later in the list. Such a program runs step by step:
no node can see a whole stretch of time before the others have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgesnn.program.node import Known, Node, State, StatePort, Tensor, Value, Writer


@dataclass(frozen=True, slots=True)
class Previous(Node):
    """The spikes of the node `later`, one step late.

    shape: that of its output. most: spikes of one of its neurons in a step.
    """

    name: str
    later: str
    shape: tuple[int, ...]
    most: int = 1
    kind: Literal["previous"] = "previous"

    @property
    def reads(self) -> tuple[str, ...]:
        """Nothing of this step."""
        return ()

    def value(self, tensors: Mapping[str, Tensor], given: list[Value]) -> Value:
        """See `Node.value`."""
        return Value(tuple(self.shape), 0, self.most, "uint8")

    def ports(self, known: Known) -> dict[str, StatePort]:
        """previous_<name>: the spikes, uint8; whoever executes the program puts them there."""
        return {f"previous_{self.name}": StatePort(tuple(self.shape), largest=self.most)}

    def memory(self, known: Known) -> int | None:
        """Without end: spikes go round."""
        return None

    def run(self, known: Known, given: list[Tensor], state: State) -> tuple[Tensor, State]:
        """See `Node.run`; of one step, as `program.has_loops` says."""
        return state[f"previous_{self.name}"][None], {}

    def closed(self, values: Mapping[str, Tensor]) -> State:
        """Return the state after a step, from all values of it, (1, *shape) each."""
        return {f"previous_{self.name}": values[self.later][0].astype(np.uint8)}

    def write(self, graph: Writer, known: Known, sources: list[str], out: str) -> str:
        """Give the state; `export` writes the new one."""
        return graph.reshape(f"previous_{self.name}", (1, *self.shape), out)
