"""The meaning of a program, executed in NumPy: what another backend computes must equal this.

What a node means is its `run` (`edgesnn/program/kinds/`), on whole stretches of time, arrays
(T, *shape). One streamed step is a stretch of length 1 whose past comes from the state; a whole
sequence is one stretch whose past is zero. A program with loops is run step by step.
All arithmetic is on int32: every program's sums fit it
(`Node.value` checks), and so does every partial sum.
"""

from __future__ import annotations

import numpy as np

from edgesnn.backend import check_input, check_state
from edgesnn.bundle import Bundle
from edgesnn.program import (
    Previous,
    Program,
    State,
    Tensor,
    has_loops,
    initial_state,
    state_ports,
)


def load(bundle: Bundle, *, threads: int = 1) -> Reference:
    """Load a bundle's program; one thread, whatever `threads` says."""
    return Reference(bundle.program)


class Reference:
    """A program, executed by this module."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def stream(self) -> ReferenceStream:
        """Return a new stream in the initial state."""
        return ReferenceStream(self.program, initial_state(self.program))


class ReferenceStream:
    """One run through time; see `edgesnn.backend.Stream`."""

    def __init__(self, program: Program, state: State) -> None:
        self._program = program
        self._state = state

    def step(self, x: Tensor) -> Tensor:
        """Take x, uint8 (channels, height, width); return y, int32."""
        check_input(self._program, x)
        outputs, self._state = trace(self._program, x, self._state)
        return outputs[self._program.output].astype(np.int32)

    def snapshot(self) -> State:
        """Return a copy of the state."""
        return {name: tensor.copy() for name, tensor in self._state.items()}

    def restore(self, state: State) -> None:
        """Go on from a snapshot; raises InputError when it does not fit."""
        check_state(self._program, state)
        self._state = {name: tensor.copy() for name, tensor in state.items()}

    def reset(self) -> None:
        """Go back to the initial state."""
        self._state = initial_state(self._program)

    def fork(self) -> ReferenceStream:
        """Return an independent stream that goes on from the same state."""
        return ReferenceStream(self._program, self.snapshot())


def trace(program: Program, x: Tensor, state: State) -> tuple[dict[str, Tensor], State]:
    """Take one step; return x's and every node's output by name, and the next state.

    x: uint8 (channels, height, width). Neither x nor state is changed.
    """
    outputs, after = _stretch(program, x[None], state)
    return {name: value[0] for name, value in outputs.items()}, after


def run_sequence(program: Program, xs: Tensor) -> Tensor:
    """Compute a whole sequence at once, each node over all times: xs (T, C, H, W) to ys (T, ...).

    Raises InputError when xs is not a uint8 sequence of the program's input.
    """
    check_input(program, xs, sequence=True)
    if not len(xs):
        return np.zeros((0, *program.output_shape), np.int32)
    outputs, _ = _stretch(program, xs, initial_state(program))
    return outputs[program.output].astype(np.int32)


def _stretch(program: Program, xs: Tensor, state: State) -> tuple[dict[str, Tensor], State]:
    if has_loops(program) and len(xs) > 1:
        parts = []
        for t in range(len(xs)):
            values, state = _stretch(program, xs[t : t + 1], state)
            parts.append(values)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, state
    values = {"x": xs}
    after: State = {}
    for node in program.nodes:
        given = [values[name] for name in node.reads]
        values[node.name], own = node.run(program, given, state)
        after |= own
    for node in program.nodes:
        if isinstance(node, Previous):
            after |= node.closed(values)
    return values, {name: after[name] for name in state_ports(program)}
