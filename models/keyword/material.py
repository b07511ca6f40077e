"""What the keyword network is trained on and tested with: words as sounds, or as spikes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from edgesnn.senses.hearing import HearingSpec

from .augment import Augmentation, heard
from .data import SHD_CHANNELS, Counts, Sound, SpikeTrain, Word
from .net import LABELS, UNKNOWN
from .recipe import Recipe, Stage

MOST = 4
"""Largest event count of a band and frame (three, and one that was saved up)."""
SAMPLE = 300

T = TypeVar("T")

Batch = tuple[Tensor, Tensor, Tensor]
"""Counts (T, B, 2 * bands), number of steps of each (B,), labels (B,)."""


def stacked(counts: Sequence[Counts], labels: Sequence[int]) -> Batch:
    """Pad to the longest and stack; (T, 2, bands) or (T, channels) each."""
    lengths = [len(c) for c in counts]
    flat = [c.reshape(len(c), -1) for c in counts]
    x = np.zeros((max(lengths), len(flat), flat[0].shape[1]), np.float32)
    for i, c in enumerate(flat):
        x[: len(c), i] = np.minimum(c, MOST)
    return torch.from_numpy(x), torch.tensor(lengths), torch.tensor(labels)


class Material(Protocol):
    """What is trained on and tested with."""

    labels: tuple[str, ...]
    bands: int
    hearing: HearingSpec | None

    def epoch(self, stage: Stage, recipe: Recipe, rng: Generator) -> list[Batch]:
        """Return one epoch of changed words."""
        ...

    def checks(self) -> Iterator[tuple[str, list[Batch], int]]:
        """Yield (name, batches as they are, classes that are candidates) of each test set."""
        ...

    def sample(self) -> list[Batch]:
        """Return words that were trained on, as they are: what confidence is calibrated with."""
        ...


class Sounds:
    """Words as sounds.

    words: all of them in every epoch; extra: more words, of which each epoch draws some; noises: to
    mix in. tests: named sets of digits.
    """

    labels = LABELS

    def __init__(
        self,
        words: list[Word],
        extra: list[Word],
        noises: list[Sound],
        tests: dict[str, list[Word]],
        spec: HearingSpec,
    ) -> None:
        self.hearing: HearingSpec | None = spec
        self.bands = spec.bands
        self._spec, self._words, self._extra = spec, words, extra
        self._augmentation = Augmentation(spec, noises)
        self._tests = tests

    def epoch(self, stage: Stage, recipe: Recipe, rng: Generator) -> list[Batch]:
        """See `Material`; batched by length."""
        chosen = list(self._words)
        if self._extra:
            drawn = rng.integers(len(self._extra), size=stage.extra)
            chosen += [self._extra[int(i)] for i in drawn]
        words = []
        for word in chosen:
            other = self._words[int(rng.integers(len(self._words)))]
            changed = self._augmentation.word(
                word.sound, word.label, other.sound, stage.changes, rng
            )
            words.append(changed)
        words += [
            (self._augmentation.noise(rng.uniform(0.3, 0.9), rng), UNKNOWN)
            for _ in range(recipe.noises)
        ]
        hop = self._spec.hop
        words = [(x[: recipe.longest * hop], label) for x, label in words]
        rng.shuffle(words)
        words.sort(key=lambda pair: len(pair[0]) // (10 * hop))
        batches = []
        for first in range(0, len(words), recipe.batch):
            part = words[first : first + recipe.batch]
            heard_words = heard([x for x, _ in part], self._spec)
            counts = [self._augmentation.masked(c, stage.changes, rng) for c in heard_words]
            batches.append(stacked(counts, [label for _, label in part]))
        return [batches[int(i)] for i in rng.permutation(len(batches))]

    def checks(self) -> Iterator[tuple[str, list[Batch], int]]:
        """See `Material`; only the digits are candidates."""
        for name, words in self._tests.items():
            yield name, self._unchanged(words), UNKNOWN

    def sample(self) -> list[Batch]:
        """See `Material`."""
        return self._unchanged(_sampled(self._words))

    def _unchanged(self, words: list[Word]) -> list[Batch]:
        ordered = sorted(words, key=lambda word: len(word.sound))
        batches = []
        for first in range(0, len(ordered), 100):
            part = ordered[first : first + 100]
            counts = heard([word.sound.astype(np.float64) for word in part], self._spec)
            batches.append(stacked(counts, [word.label for word in part]))
        return batches


class Spikes:
    """Recordings that hold spikes already (SHD, SSC): moved in time and thinned for training."""

    bands = SHD_CHANNELS
    hearing: HearingSpec | None = None

    def __init__(
        self, labels: tuple[str, ...], trained: list[SpikeTrain], tests: dict[str, list[SpikeTrain]]
    ) -> None:
        self.labels = labels
        self._trained, self._tests = trained, tests

    def epoch(self, stage: Stage, recipe: Recipe, rng: Generator) -> list[Batch]:
        """See `Material`; the stage changes nothing here."""
        order = rng.permutation(len(self._trained))
        batches = []
        for first in range(0, len(order), recipe.batch):
            part = [self._trained[int(i)] for i in order[first : first + recipe.batch]]
            counts = []
            for train in part:
                thinned = rng.binomial(train.counts, rng.uniform(0.8, 1.0)).astype(np.uint8)
                counts.append(np.roll(thinned, int(rng.integers(-3, 4)), axis=2)[: recipe.longest])
            batches.append(stacked(counts, [train.label for train in part]))
        return batches

    def checks(self) -> Iterator[tuple[str, list[Batch], int]]:
        """See `Material`; every class is a candidate."""
        for name, trains in self._tests.items():
            yield name, _unchanged(trains), len(self.labels)

    def sample(self) -> list[Batch]:
        """See `Material`."""
        return _unchanged(_sampled(self._trained))


def _unchanged(trains: list[SpikeTrain]) -> list[Batch]:
    parts = [trains[first : first + 100] for first in range(0, len(trains), 100)]
    return [stacked([t.counts for t in part], [t.label for t in part]) for part in parts]


def _sampled(items: list[T]) -> list[T]:
    """Return at most `SAMPLE` items, evenly spread."""
    return items[:: max(1, len(items) // SAMPLE)][:SAMPLE]
