"""What a digit network is trained on: images as first-spike times, or recordings of a DVS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from edgesnn.events import Events

from .data import jittered, latency_spikes
from .nmnist import changed, spikes_of
from .recipe import Recipe

Jitter = dict[str, Any]


class Digits(Protocol):
    """What is trained on, in two parts: `train` and `held`."""

    def __len__(self) -> int:
        """How many may be trained on."""
        ...

    def drawn(self, chosen: Tensor, steps: int, jitter: Jitter) -> tuple[Tensor, Tensor]:
        """Return changed copies of those chosen: spikes (steps, B, 2, H, W), labels (B,).

        jitter: how images are moved (`data.jittered`).
        """
        ...

    def held(self, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches of those held out, as they are."""
        ...

    def random_state(self) -> Any:
        """Return what `go_on_from` needs to draw on as if never stopped."""
        ...

    def go_on_from(self, random_state: Any) -> None:
        """Draw on from there."""
        ...


class Images:
    """Images as first-spike times; the last `held_out` are held out.

    images: uint8 (n, H, W); labels: int64 (n,).
    """

    def __init__(self, images: Tensor, labels: Tensor, recipe: Recipe, held_out: int) -> None:
        self._images, self._labels, self._recipe = images, labels, recipe
        self._count = len(images) - held_out
        self._generator = torch.Generator().manual_seed(recipe.seed)

    def __len__(self) -> int:
        """How many may be trained on."""
        return self._count

    def drawn(self, chosen: Tensor, steps: int, jitter: Jitter) -> tuple[Tensor, Tensor]:
        """See `Digits`."""
        moved = jittered(self._images[chosen], self._generator, **jitter)
        return latency_spikes(moved, steps, dark=self._recipe.dark), self._labels[chosen]

    def held(self, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Digits`."""
        images, labels = self._images[self._count :], self._labels[self._count :]
        for first in range(0, len(images), 200):
            part = images[first : first + 200]
            spikes = latency_spikes(part, steps, dark=self._recipe.dark)
            yield spikes, labels[first : first + 200]

    def random_state(self) -> Any:
        """See `Digits`."""
        return self._generator.get_state()

    def go_on_from(self, random_state: Any) -> None:
        """See `Digits`."""
        self._generator.set_state(random_state)


class Recordings:
    """N-MNIST recordings; every fifth is held out."""

    def __init__(self, recordings: list[tuple[Events, int]], recipe: Recipe) -> None:
        self._held = recordings[::5]
        self._trained = [r for i, r in enumerate(recordings) if i % 5]
        self._rng = np.random.default_rng(recipe.seed)

    def __len__(self) -> int:
        """How many may be trained on."""
        return len(self._trained)

    def drawn(self, chosen: Tensor, steps: int, jitter: Jitter) -> tuple[Tensor, Tensor]:
        """See `Digits`; recordings have changes of their own (`nmnist.changed`)."""
        picked = [self._trained[int(i)] for i in chosen]
        return _stacked([(changed(events, self._rng), label) for events, label in picked], steps)

    def held(self, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Digits`."""
        for first in range(0, len(self._held), 50):
            yield _stacked(self._held[first : first + 50], steps)

    def random_state(self) -> Any:
        """See `Digits`."""
        return self._rng.bit_generator.state

    def go_on_from(self, random_state: Any) -> None:
        """See `Digits`."""
        self._rng.bit_generator.state = random_state


def _stacked(recordings: list[tuple[Events, int]], steps: int) -> tuple[Tensor, Tensor]:
    spikes = np.stack([spikes_of(events, steps) for events, _ in recordings], axis=1)
    return torch.from_numpy(spikes).float(), torch.tensor([label for _, label in recordings])
