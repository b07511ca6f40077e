"""The spiking primitive: a finite temporal filter, a weighted sum and a comparison.

    u_m[t] = sum_{i<k} taps[m, i] * s[t - i]        filter m over the last k inputs, newest first
    H[t]   = W * concat_m u_m[t]                    convolution or linear map, int32
    S[t]   = H[t] >= theta                          one threshold per output channel

One filter (m = 1) is a sliding PSN of order k (Fang et al., NeurIPS 2023, "Parallel spiking
neurons"): by linearity its taps may stand before the weights. Several filters give every synapse
several delays (taps that are unit vectors are pure synaptic delays). With `delays` every synapse
has one delay of its own (learned delays; Hammouamri et al., ICLR 2024), behind the one filter:

    H_j[t] = sum_i w_ji u_i[t - d_ji]

Before the first step all inputs were 0. Nodes that name the same weight tensor share it (Azadbakht
et al. 2022). All products are written with einsum, which NumPy runs in its own vectorised integer
loops: no BLAS, whose threads would wait for each other on a busy machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import BundleError
from edgesnn.program.kinds.layer_bounds import filtered_bounds, sum_bounds, sum_bounds_of
from edgesnn.program.kinds.layer_onnx import write_layer
from edgesnn.program.node import (
    Known,
    Node,
    State,
    StatePort,
    Tensor,
    Value,
    Writer,
    at_least,
    compared,
    compared_value,
    image_of,
    tensor_of,
)


@dataclass(frozen=True, slots=True)
class Layer(Node):
    """Temporal filter, weighted sum, comparison.

    input: "x" or an earlier node.
    weight: int8 tensor; op "conv": (out, m * in / groups, kh, kw), the filters' channels in
        filter-major order (filter 0's channels first); op "linear": (out, m * in * h * w), the
        filtered input flattened in the same order.
    taps: int8 tensor (m, k), newest input first; None is [[1]] (no memory).
    threshold: int32 tensor (out,); output uint8 0/1. None: output is the int32 sum itself.
    stride, padding: of the convolution, the same in both directions; groups: its groups.
    delays: int8 tensor of the weight's shape, steps from 0 on; op "linear", at most one filter.
        None: no delays.
    """

    name: str
    input: str
    weight: str
    taps: str | None = None
    threshold: str | None = None
    op: Literal["conv", "linear"] = "conv"
    stride: int = 1
    padding: int = 0
    groups: int = 1
    delays: str | None = None
    kind: Literal["layer"] = "layer"

    @property
    def reads(self) -> tuple[str, ...]:
        """The one input."""
        return (self.input,)

    def taps_in(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return the taps, int32 of shape (m, k); [[1]] where it has none."""
        if self.taps is None:
            return np.ones((1, 1), np.int32)
        return tensor_of(tensors, self.name, self.taps, "int8", 2).astype(np.int32)

    def delays_in(self, tensors: Mapping[str, Tensor]) -> Tensor | None:
        """Return the delays, int64 of the weight's shape; None where it has none."""
        if self.delays is None:
            return None
        return tensor_of(tensors, self.name, self.delays, "int8", 2).astype(np.int64)

    def value(self, tensors: Mapping[str, Tensor], given: list[Value]) -> Value:
        """See `Node.value`."""
        (filtered,) = given
        if filtered.dtype != "uint8":
            raise BundleError(f"{self.name}: filters uint8 inputs, got {filtered.dtype}")
        at_least(self, "stride", self.stride, 1)
        at_least(self, "padding", self.padding, 0)
        at_least(self, "groups", self.groups, 1)
        taps = self.taps_in(tensors)
        filters = taps.shape[0]
        match self.op:
            case "conv":
                weight = tensor_of(tensors, self.name, self.weight, "int8", 4)
                wanted, shape = self._convolved(weight.shape, filters, filtered)
            case "linear":
                weight = tensor_of(tensors, self.name, self.weight, "int8", 2)
                wanted, shape = filters * int(np.prod(filtered.shape)), (weight.shape[0],)
            case _:
                raise BundleError(f'{self.name}: op is "conv" or "linear", not {self.op!r}')
        if weight.shape[1] != wanted:
            raise BundleError(
                f"{self.name}: weight {self.weight} takes {weight.shape[1]} inputs, not {wanted}"
            )
        self._check_delays(tensors, weight.shape, filters)
        lows, highs = sum_bounds(weight, *filtered_bounds(taps, filtered))
        sums = shape, int(lows.min()), int(highs.max())
        return compared_value(self, self.threshold, tensors, sums)

    def _check_delays(
        self, tensors: Mapping[str, Tensor], weight: tuple[int, ...], filters: int
    ) -> None:
        delays = self.delays_in(tensors)
        if delays is None:
            return
        if self.op != "linear" or filters != 1:
            raise BundleError(f'{self.name}: delays need op "linear" and one filter')
        if delays.shape != weight:
            raise BundleError(
                f"{self.name}: delays of shape {delays.shape} for weights of {weight}"
            )
        if delays.min() < 0:
            raise BundleError(f"{self.name}: a delay is {delays.min()} steps; the least is 0")

    def _convolved(
        self, weight: tuple[int, ...], filters: int, given: Value
    ) -> tuple[int, tuple[int, ...]]:
        """Return how many channels the kernel must take, and the shape of the output."""
        channels, height, width = image_of(self, given)
        out, _, kernel_height, kernel_width = weight
        if filters * channels % self.groups or out % self.groups:
            raise BundleError(f"{self.name}: {self.groups} groups do not divide its channels")
        return filters * channels // self.groups, (
            out,
            (height + 2 * self.padding - kernel_height) // self.stride + 1,
            (width + 2 * self.padding - kernel_width) // self.stride + 1,
        )

    def ports(self, known: Known) -> dict[str, StatePort]:
        """state_<name>: its last inputs, uint8 (n, *input shape), newest first; none without n."""
        past = self.memory(known)
        if not past:
            return {}
        given = known.values[self.input]
        return {f"state_{self.name}": StatePort((past, *given.shape), largest=given.high)}

    def memory(self, known: Known) -> int:
        """Return how many past inputs it remembers."""
        delays = self.delays_in(known.tensors)
        longest = 0 if delays is None else int(delays.max())
        return int(self.taps_in(known.tensors).shape[1]) - 1 + longest

    def largest_sum(self, known: Known) -> int:
        """Return the largest |H| that any input could reach."""
        lows, highs = sum_bounds_of(known, self)
        return int(max(highs.max(), -lows.min()))

    def run(self, known: Known, given: list[Tensor], state: State) -> tuple[Tensor, State]:
        """See `Node.run`."""
        taps, delays = self.taps_in(known.tensors), self.delays_in(known.tensors)
        past, steps = self.memory(known), len(given[0])
        seen, after = given[0], {}
        if past:
            name = f"state_{self.name}"
            seen = np.concatenate([state[name][::-1], seen])
            after[name] = seen[: -past - 1 : -1].copy()
        if delays is None:
            sums = self._weighted(known, _filtered(taps, seen, steps))
        else:
            u = _filtered(taps, seen, steps + int(delays.max()))
            sums = _delayed(known.tensors[self.weight].astype(np.int32), delays, u)
        return compared(known, self.threshold, sums), after

    def _weighted(self, known: Known, u: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the sums W * u."""
        weight = known.tensors[self.weight].astype(np.int32)
        if self.op == "linear":
            linear: NDArray[np.int32] = np.einsum("of,tf->to", weight, u.reshape(len(u), -1))
            return linear
        steps, groups, edge = len(u), self.groups, self.padding
        u = np.pad(u, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
        u = u.reshape(steps, groups, -1, *u.shape[2:])
        out, height, width = known.values[self.name].shape
        rows = weight.reshape(groups, out // groups, *weight.shape[1:])
        sums = np.zeros((steps, groups, out // groups, height * width), np.int32)
        for dy in range(weight.shape[2]):
            for dx in range(weight.shape[3]):
                seen = u[..., dy :: self.stride, dx :: self.stride][..., :height, :width]
                cells = seen.reshape(steps, groups, -1, height * width)
                sums += np.einsum("goc,tgcn->tgon", rows[..., dy, dx], cells)
        return sums.reshape(steps, out, height, width)

    def write(self, graph: Writer, known: Known, sources: list[str], out: str) -> str:
        """See `layer_onnx.py`, which has choices to make."""
        return write_layer(graph, known, self, sources[0], out)


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


def _delayed(weight: Tensor, delays: Tensor, u: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return sum_i w_ji u_i[t - d_ji] for all but the oldest max(delays) of the times of u."""
    flat, longest = u.reshape(len(u), -1), int(delays.max())
    inputs = np.arange(weight.shape[1])
    times = range(longest, len(flat))
    sums = [np.einsum("oi,oi->o", weight, flat[t - delays, inputs]) for t in times]
    return np.asarray(sums, np.int32).reshape(len(times), len(weight))
