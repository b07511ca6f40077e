"""What a layer's sums can reach, whatever its input is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from edgesnn.program.node import Known, Tensor, Value


class Filtered(Protocol):
    """What is to be known of a layer here: the fields of `Layer`."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def input(self) -> str: ...  # noqa: D102
    @property
    def weight(self) -> str: ...  # noqa: D102
    @property
    def threshold(self) -> str | None: ...  # noqa: D102
    @property
    def op(self) -> str: ...  # noqa: D102
    @property
    def stride(self) -> int: ...  # noqa: D102
    @property
    def padding(self) -> int: ...  # noqa: D102
    @property
    def groups(self) -> int: ...  # noqa: D102

    def taps_in(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return the taps, int32 of shape (m, k)."""
        ...


def filtered_bounds(taps: Tensor, given: Value) -> tuple[int, int]:
    """Return (low, high) of the filtered input u of a layer: no input can exceed them."""
    return (
        int(np.minimum(taps, 0).sum(axis=1).min()) * given.high,
        int(np.maximum(taps, 0).sum(axis=1).max()) * given.high,
    )


def sum_bounds(weight: Tensor, u_low: int, u_high: int) -> tuple[Tensor, Tensor]:
    """Return the lowest and highest W * u for u in [u_low, u_high], int64 per output channel."""
    rows = weight.astype(np.int64).reshape(weight.shape[0], -1)
    positive, negative = np.maximum(rows, 0).sum(axis=1), np.minimum(rows, 0).sum(axis=1)
    return positive * u_low + negative * u_high, positive * u_high + negative * u_low


def filtered_bounds_of(known: Known, layer: Filtered) -> tuple[int, int]:
    """Return (low, high) of the filtered input of a layer of a program."""
    return filtered_bounds(layer.taps_in(known.tensors), known.values[layer.input])


def sum_bounds_of(known: Known, layer: Filtered) -> tuple[Tensor, Tensor]:
    """Return the lowest and highest H of a layer of a program, int64 per output channel."""
    return sum_bounds(known.tensors[layer.weight], *filtered_bounds_of(known, layer))
