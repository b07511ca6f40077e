"""Two backends or two networks, step against step: alternating in one process, as a ratio."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgesnn.backend import Model, Stream
from edgesnn.bundle import Bundle
from edgesnn.program import Tensor

BLOCK, BLOCKS = 20, 100
"""Steps timed in a row, and how often the two alternate."""
_WARM = 20


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """What is compared. inputs: x of successive steps; after the last comes the first again.

    begins: for each, whether the network is reset before it.
    """

    backend: str
    bundle: Bundle
    model: Model
    inputs: list[Tensor]
    begins: list[bool]


def compared(a: Side, b: Side, blocks: int = BLOCKS) -> dict[str, Any]:
    """Time the steps of two sides; return plain JSON values, see docs/profile.md.

    Whatever the machine does meanwhile meets both. ratio: the median over pairs of blocks of b's
    time through a's; low and high hold the true median in 95 of 100 such runs (order statistics).
    same_outputs: whether every step gave the same sums; None for different networks.
    """
    sides = (a, b)
    streams = [side.model.stream() for side in sides]
    for side, stream in zip(sides, streams, strict=True):
        _block(stream, side, 0, _WARM)
    times = np.zeros((blocks, 2))
    for block in range(blocks):
        # who is first changes too: what one leaves behind in the caches meets the other
        for i in (0, 1) if block % 2 == 0 else (1, 0):
            times[block, i] = _block(streams[i], sides[i], block * BLOCK, BLOCK)
    ratios = np.sort(times[:, 1] / times[:, 0])
    reach = 1.96 * math.sqrt(blocks) / 2
    low, high = (
        max(0, math.floor(blocks / 2 - reach)),
        min(blocks - 1, math.ceil(blocks / 2 + reach)),
    )
    return {
        "a": _told(a, times[:, 0]),
        "b": _told(b, times[:, 1]),
        "ratio": float(np.median(ratios)),
        "low": float(ratios[low]),
        "high": float(ratios[high]),
        "blocks": blocks,
        "steps_per_block": BLOCK,
        "same_outputs": _same(a, b),
    }


def _told(side: Side, times: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Any]:
    return {
        "model": side.bundle.program.name,
        "backend": side.backend,
        "step_us": side.bundle.program.step_us,
        "median_us": float(np.median(times)) / BLOCK / 1e3,
    }


def _block(stream: Stream, side: Side, first: int, steps: int) -> int:
    """Return the nanoseconds that so many steps take, with the resets before them."""
    places = [(first + n) % len(side.inputs) for n in range(steps)]
    chosen = [(side.inputs[at], side.begins[at]) for at in places]
    began = time.perf_counter_ns()
    for x, begins in chosen:
        if begins:
            stream.reset()
        stream.step(x)
    return time.perf_counter_ns() - began


def _same(a: Side, b: Side) -> bool | None:
    if a.bundle.program != b.bundle.program:
        return None
    streams = a.model.stream(), b.model.stream()
    return all(np.array_equal(streams[0].step(x), streams[1].step(x)) for x in a.inputs)
