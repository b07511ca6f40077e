"""The meaning of every node, in NumPy: what another backend computes must equal this bit for bit.

All functions work on whole stretches of time, arrays (T, *shape). One streamed step is a stretch
of length 1 whose past comes from the state; a whole sequence is one stretch whose past is zero:

    u_m[t] = sum_{i<k} taps[m, i] * s[t - i]
    H[t]   = W * concat_m u_m[t]
    S[t]   = H[t] >= theta

(with delays: H_j[t] = sum_i w_ji u_i[t - d_ji]; neurons with a potential: `_fire`, `_leaky`). All
arithmetic is on int32: every program's sums fit it (`program_check`), and so does every partial
sum. Products are written with einsum, which NumPy runs in its own vectorised integer loops: no
BLAS, whose threads would wait for each other on a busy machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgesnn.backend import check_input, check_state
from edgesnn.bundle import Bundle
from edgesnn.leak import leaked
from edgesnn.nodes import MEMBRANE_LIMIT
from edgesnn.program import (
    Add,
    Concat,
    Fire,
    Layer,
    Leaky,
    Node,
    Pool,
    Program,
    State,
    Tensor,
    Upsample,
    initial_state,
    inputs_of,
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
    outputs, _ = _stretch(program, xs, initial_state(program))
    return outputs[program.output].astype(np.int32)


def _stretch(program: Program, xs: Tensor, state: State) -> tuple[dict[str, Tensor], State]:
    values: dict[str, Tensor] = {"x": xs}
    after: State = {}
    for node in program.nodes:
        given = [values[name] for name in inputs_of(node)]
        if isinstance(node, Layer):
            values[node.name], history = _layer(program, node, given[0], state)
            after.update(history)
        elif isinstance(node, Fire):
            values[node.name], membrane = _fire(program, node, given[0], state)
            after.update(membrane)
        elif isinstance(node, Leaky):
            values[node.name], membrane = _leaky(program, node, given[0], state)
            after.update(membrane)
        else:
            values[node.name] = memoryless(program, node, given)
    return values, after


def _layer(program: Program, node: Layer, given: Tensor, state: State) -> tuple[Tensor, State]:
    """Return the layer's output (T, ...) and its next history, if it has one."""
    taps, delays = program.taps_of(node), program.delays_of(node)
    past = program.history_of(node)
    seen, after = given, {}
    if past:
        name = f"state_{node.name}"
        seen = np.concatenate([state[name][::-1], given])
        after[name] = seen[: -past - 1 : -1].copy()
    steps = len(given)
    if delays is None:
        sums = _weighted(program, node, _filtered(taps, seen, steps))
    else:
        sums = _delayed(program, node, delays, _filtered(taps, seen, steps + int(delays.max())))
    return _compared(program, node.threshold, sums), after


def _filtered(taps: Tensor, seen: Tensor, steps: int) -> NDArray[np.int32]:
    """Return u of the last `steps` of the inputs seen: (steps, m * channels, ...)."""
    filters, order = taps.shape
    u = np.zeros((steps, filters, *seen.shape[1:]), np.int32)
    for m in range(filters):
        for i in range(order):
            if taps[m, i]:
                first = len(seen) - steps - i
                u[:, m] += np.multiply(seen[first : first + steps], taps[m, i], dtype=np.int32)
    return u.reshape(steps, filters * seen.shape[1], *seen.shape[2:])


def _delayed(
    program: Program, node: Layer, delays: Tensor, u: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Return sum_i w_ji u_i[t - d_ji] for all but the oldest max(delays) of the times of u."""
    weight = program.tensors[node.weight].astype(np.int32)
    flat, longest = u.reshape(len(u), -1), int(delays.max())
    inputs = np.arange(weight.shape[1])
    times = range(longest, len(flat))
    sums = [np.einsum("oi,oi->o", weight, flat[t - delays, inputs]) for t in times]
    return np.asarray(sums, np.int32).reshape(len(times), len(weight))


def _fire(program: Program, node: Fire, sums: Tensor, state: State) -> tuple[Tensor, State]:
    """Return first spikes (T, ...), and the membrane and who has fired after them."""
    membrane, fired = state[f"membrane_{node.name}"], state[f"fired_{node.name}"]
    theta = program.tensors[node.threshold].reshape(-1, *[1] * (membrane.ndim - 1))
    spikes = np.zeros(sums.shape, np.uint8)
    for t, x in enumerate(sums):
        membrane = np.clip(membrane + x, -MEMBRANE_LIMIT, MEMBRANE_LIMIT)
        spikes[t] = (membrane >= theta) & (fired == 0)
        fired = fired | spikes[t]
    return spikes, {f"membrane_{node.name}": membrane, f"fired_{node.name}": fired}


def _leaky(program: Program, node: Leaky, sums: Tensor, state: State) -> tuple[Tensor, State]:
    """Return spikes (T, ...), and the potentials after them."""
    name = f"membrane_{node.name}"
    membrane = state[name]
    wide = (-1, *[1] * (membrane.ndim - 1))
    theta = program.tensors[node.threshold].reshape(wide)
    current = program.tensors[node.current].reshape(wide)
    spikes = np.zeros(sums.shape, np.uint8)
    for t, x in enumerate(sums):
        membrane = leaked(membrane, node.keep) + x + current
        fired = membrane >= theta
        spikes[t] = fired
        membrane = np.where(fired, np.int32(0), membrane)
    return spikes, {name: membrane}


def _weighted(program: Program, node: Layer, u: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the sums W * u."""
    weight = program.tensors[node.weight].astype(np.int32)
    if node.op == "linear":
        linear: NDArray[np.int32] = np.einsum("of,tf->to", weight, u.reshape(len(u), -1))
        return linear
    steps, groups, edge = len(u), node.groups, node.padding
    u = np.pad(u, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    u = u.reshape(steps, groups, -1, *u.shape[2:])
    out, height, width = program.values[node.name].shape
    rows = weight.reshape(groups, out // groups, *weight.shape[1:])
    sums = np.zeros((steps, groups, out // groups, height * width), np.int32)
    for dy in range(weight.shape[2]):
        for dx in range(weight.shape[3]):
            seen = u[..., dy :: node.stride, dx :: node.stride][..., :height, :width]
            cells = seen.reshape(steps, groups, -1, height * width)
            sums += np.einsum("goc,tgcn->tgon", rows[..., dy, dx], cells)
    return sums.reshape(steps, out, height, width)


def _compared(program: Program, threshold: str | None, sums: Tensor) -> Tensor:
    if threshold is None:
        return sums
    theta = program.tensors[threshold].reshape(-1, *[1] * (sums.ndim - 2))
    spikes: Tensor = (sums >= theta).astype(np.uint8)
    return spikes


def memoryless(program: Program, node: Node, given: list[Tensor]) -> Tensor:
    """Return the output (T, ...) of a pool, upsampling, concatenation or sum."""
    match node:
        case Pool():
            return _pooled(node, given[0])
        case Upsample():
            return given[0].repeat(node.factor, axis=2).repeat(node.factor, axis=3)
        case Concat():
            return np.concatenate(given, axis=1)
        case Add():
            sums: Tensor = np.stack(given).sum(axis=0, dtype=np.int32)
            return _compared(program, node.threshold, sums)
    raise AssertionError(f"{node} is a layer")


def _pooled(node: Pool, given: Tensor) -> Tensor:
    steps, channels, height, width = given.shape
    size = node.size
    windows = given.reshape(steps, channels, height // size, size, width // size, size)
    if node.op == "or":
        spikes: Tensor = windows.max(axis=(3, 5))
        return spikes
    sums: Tensor = windows.sum(axis=(3, 5), dtype=np.uint8)
    return sums
