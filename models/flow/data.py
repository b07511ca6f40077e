"""Moments to train on: what the network sees at the end of a step, and the true flow there.

Scenes are made anew while training, each from the seed and its number alone. A pool of them is kept
and each new one takes the place of the oldest, after which MOMENTS moments are drawn from all. A
moment is augmented: mirrored, transposed, ON and OFF swapped, thinned, seen through cells of twice
the size (as larger sensors are), or just after the camera was switched on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from edgesnn.events import Events

from .net import AGES, BINS, MEMORY, WINDOWS, Windows
from .scenes import CELL, GRID, WORLD, Mix, scene_events
from .surfaces import STEP_US, STEPS, Array
from .textures import Random

HIGHEST = 7
"""Largest count of events of a cell and half a step."""
CROP = 48
POOL = 400
MOMENTS = 36
AWAY = 0.08
"""Weight of cells without events of their own: their flow must be guessed from around."""
Moment = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Scene:
    """counts: uint8 (STEPS * BINS, 2, GRID, GRID), not yet capped; flow: float16, cells per step,
    (STEPS, 2, GRID, GRID)."""

    counts: NDArray[np.uint8]
    flow: NDArray[np.float16]


def counts_of(events: Events, steps: int, size: tuple[int, int], cell: int) -> NDArray[np.uint8]:
    """Count events in cells of `cell` pixels and halves of a step: (steps * BINS, 2, H, W)."""
    width, height = size[0] // cell, size[1] // cell
    bins = (events["t"] - 1) * BINS // STEP_US
    x, y = (events["x"] // cell).astype(np.int64), (events["y"] // cell).astype(np.int64)
    inside = (bins >= 0) & (bins < steps * BINS) & (x < width) & (y < height)
    index = ((bins * 2 + events["p"]) * height + y) * width + x
    counts = np.bincount(index[inside], minlength=steps * BINS * 2 * height * width)
    return np.minimum(counts, 255).astype(np.uint8).reshape(steps * BINS, 2, height, width)


def scene(seed: int, number: int, mix: Mix = WORLD) -> Scene:
    """Return scene `number` of a mix; it depends on the two numbers alone."""
    events, flow = scene_events(np.random.default_rng((seed, number)), mix)
    counts = counts_of(events, STEPS, (GRID * CELL, GRID * CELL), CELL)
    return Scene(counts, (flow / CELL).astype(np.float16))


def windows_of(counts: Array, windows: Windows = WINDOWS) -> NDArray[np.uint8]:
    """Sum the newest MEMORY steps of capped counts, (n * BINS, 2, H, W), by windows.

    Returns (AGES, windows * 2 BINS, H, W), filter-major, and within it the older half of a step
    first. windows: none may be older than those of WINDOWS.
    """
    h, w = counts.shape[2:]
    missing = MEMORY * BINS - len(counts)
    if missing > 0:
        counts = np.concatenate([np.zeros((missing, 2, h, w), np.uint8), counts])
    steps = np.minimum(counts[-MEMORY * BINS :], HIGHEST).reshape(MEMORY, 2 * BINS, h, w)[::-1]
    until = np.zeros((MEMORY + 1, 2 * BINS, h, w), np.uint8)
    np.cumsum(steps, axis=0, dtype=np.uint8, out=until[1:])  # modulo 256, as are the differences
    seen = [[until[age + end] - until[age + begin] for begin, end in windows] for age in AGES]
    return np.stack([np.concatenate(one) for one in seen])


def moment(rng: Random, of: Scene, windows: Windows = WINDOWS) -> Moment:
    """Draw a moment: windows (AGES, windows * 2 BINS, CROP, CROP), flow and weight.

    Flow (2, CROP/2, CROP/2) is in cells per step, averaged over the cells with events.
    """
    step = int(rng.integers(1, STEPS + 1))
    counts = of.counts[max(0, step - MEMORY) * BINS : step * BINS]
    flow = of.flow[step - 1].astype(np.float32)
    if rng.random() < 0.35:  # the camera was switched on a moment ago
        counts = counts[-int(rng.integers(2, 10 * BINS)) :]
    if rng.random() < 0.15:
        counts, flow = _coarser(counts, flow)
    else:
        y, x = 2 * rng.integers(0, (GRID - CROP) // 2 + 1, 2)
        counts = counts[..., y : y + CROP, x : x + CROP]
        flow = flow[:, y : y + CROP, x : x + CROP]
    if rng.random() < 0.15:
        counts = rng.binomial(counts, rng.uniform(0.3, 1)).astype(np.uint8)
    if rng.random() < 0.5:
        counts, flow = counts[..., ::-1], flow[..., ::-1] * np.array([-1, 1]).reshape(2, 1, 1)
    if rng.random() < 0.5:
        counts, flow = counts[..., ::-1, :], flow[:, ::-1] * np.array([1, -1]).reshape(2, 1, 1)
    if rng.random() < 0.5:
        counts, flow = counts.swapaxes(-1, -2), flow[::-1].swapaxes(-1, -2)
    if rng.random() < 0.5:
        counts = counts[:, ::-1]
    seen = (counts[-2 * BINS :].sum((0, 1)) > 0).astype(np.float32)
    target, weight = _halved(flow, seen)
    if counts.shape[-1] < CROP:
        edge = (CROP - counts.shape[-1]) // 2
        counts = np.pad(counts, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
        target = np.pad(target, ((0, 0), (edge // 2, edge // 2), (edge // 2, edge // 2)))
        weight = np.pad(weight, ((edge // 2, edge // 2), (edge // 2, edge // 2)))
    seen_by = np.ascontiguousarray(windows_of(counts, windows))
    return torch.from_numpy(seen_by), torch.from_numpy(target), torch.from_numpy(weight)


def _coarser(counts: Array, flow: Array) -> tuple[Array, Array]:
    """See a scene through cells of twice the size."""
    h, w = flow.shape[1] // 2, flow.shape[2] // 2
    wide = counts.reshape(*counts.shape[:2], h, 2, w, 2).sum((3, 5))
    half: Array = cv2.resize(flow.transpose(1, 2, 0), (w, h), interpolation=cv2.INTER_AREA)
    return np.minimum(wide, 255).astype(np.uint8), half.transpose(2, 0, 1) / 2


def _halved(flow: Array, seen: Array) -> tuple[Array, Array]:
    """Average flow over the seen ones of two by two cells (over all where none is)."""
    h, w = seen.shape[0] // 2, seen.shape[1] // 2
    share = seen.reshape(h, 2, w, 2) + np.float32(1e-3)
    total = (flow.reshape(2, h, 2, w, 2) * share).sum((2, 4))
    weight = np.where(seen.reshape(h, 2, w, 2).any((1, 3)), 1, AWAY)
    return (total / share.sum((1, 3))).astype(np.float32), weight.astype(np.float32)


class Moments(IterableDataset[Moment]):
    """Endless moments of scenes that are made on the way; the same ones for the same seed.

    first: number of the first scene, so that a training that goes on sees new ones. each: moments
    that are drawn for each new scene.
    """

    def __init__(
        self,
        seed: int,
        first: int = 0,
        windows: Windows = WINDOWS,
        mix: Mix = WORLD,
        each: int = MOMENTS,
    ) -> None:
        self.seed, self.first, self.windows, self.mix = seed, first, windows, mix
        self.each = each

    def __iter__(self) -> Iterator[Moment]:
        """Yield moments; the pool fills while the first are drawn."""
        cv2.setNumThreads(1)
        pool: list[Scene] = []
        for number in range(self.first, 10**12):
            rng = np.random.default_rng((self.seed, 1, number))
            made = scene(self.seed, number, self.mix)
            if len(pool) < POOL:
                pool.append(made)
            else:
                pool[number % POOL] = made
            for _ in range(self.each):
                yield moment(rng, pool[int(rng.integers(len(pool)))], self.windows)
