"""What may look into a run to measure it."""

from __future__ import annotations

from typing import Protocol

from edgesnn.program import Tensor


class Probe(Protocol):
    """Who measures a run; see `pipeline.run`."""

    def stage(self, name: str, elapsed_ns: int) -> None:
        """Hear how long one stage took once.

        name: "read" (on the reading thread), "slice" (per packet), then per step "encode",
        "step", "readout", "show".
        """
        ...

    def step(self, x: Tensor, y: Tensor, begins: bool) -> None:
        """See the input and the output of a step; neither may be kept or changed.

        begins: whether the network was reset before it. Steps in which it rests are not told.
        """
        ...
