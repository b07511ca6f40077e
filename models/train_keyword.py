"""Train the keyword network on spoken words; see docs/keyword.md for the lines that made it.

The bumps of the delays shrink and are rounded well before the end: what is trained last is the
network that ships. Nothing is chosen on the test words: the last epoch is the result.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F

from edgesnn.errors import InputError
from edgesnn.hearing import HearingSpec

from .delays import width
from .keyword_augment import Augmentation, Changes, heard
from .keyword_data import SHD_CHANNELS, Counts, Sound, SpikeTrain, Word
from .keyword_net import LABELS, UNKNOWN, KeywordNet, KeywordShape

MOST = 4
"""Largest event count of a band and frame (three, and one that was saved up)."""
ROUNDED_FROM = 0.75
SAMPLE = 300

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the training, with an optimiser of its own whose rate falls along a cosine.

    extra: words of the extra set in an epoch. changes: how words are changed. delays: whether the
    delays are learned: bumps shrink during the first quarter and are rounded in the last; else they
    are rounded all along.
    """

    epochs: int
    rate: float = 3e-3
    dropout: float = 0.25
    sparsity: float = 0.05
    extra: int = 600
    changes: Changes = Changes()
    delays: bool = True


HARD = Stage(epochs=60)
"""Words as they seldom are: what teaches the network what a word has in common."""
MILD = Stage(
    epochs=8,
    rate=1.5e-3,
    dropout=0.1,
    sparsity=0.01,
    extra=300,
    changes=Changes(speed=0.1, noisy=0.3, snr_db=(10.0, 40.0), room=0.1, masks=0.2, foreign=0.03),
    delays=False,
)
"""Words as they mostly are: what the thresholds of the network that ships settle on."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the result, besides the data.

    longest: steps of a word that training sees. noises: stretches of noise labelled unknown in an
    epoch.
    """

    stages: tuple[Stage, ...] = (HARD, MILD)
    batch: int = 64
    position_rate: float = 0.1
    weight_decay: float = 1e-5
    smoothing: float = 0.02
    longest: int = 100
    noises: int = 250
    seed: int = 0
    shape: dict[str, Any] = field(default_factory=lambda: {"hidden": 256})

    @property
    def epochs(self) -> int:
        """Of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def lasting(self, epochs: int) -> Recipe:
        """Return this recipe with so many epochs, shared out over the stages (one at least)."""
        shares = [max(1, round(epochs * s.epochs / self.epochs)) for s in self.stages[1:]]
        shares = [max(1, epochs - sum(shares)), *shares]
        stages = zip(self.stages, shares, strict=True)
        return replace(self, stages=tuple(replace(s, epochs=n) for s, n in stages))


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


def loss_of(
    net: KeywordNet, batch: Batch, *, smoothing: float, sparsity: float
) -> tuple[Tensor, Tensor]:
    """Return (loss, logits at the end of each word): no step after the word is used.

    Cross entropy of the evidence at the end, and, weighing less, over the second half of the word.
    """
    x, lengths, labels = batch
    evidence = (net(x) * net.unit()).cumsum(0)
    last = evidence[lengths - 1, torch.arange(len(labels))]
    at = torch.arange(len(x))[:, None]
    late = (at >= lengths // 2) & (at < lengths)
    expected = labels.expand(len(x), -1)
    early = F.cross_entropy(evidence[late], expected[late])
    loss = F.cross_entropy(last, labels, label_smoothing=smoothing) + 0.3 * early
    return loss + sparsity * torch.stack(net.rates()).sum(), last


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


@torch.no_grad()
def accuracy(net: KeywordNet, batches: list[Batch], classes: int) -> float:
    """Share of words whose class has most evidence at their end, among the first `classes`."""
    net.eval()
    hits = []
    for x, lengths, labels in batches:
        total = net(x).cumsum(0)[lengths - 1, torch.arange(len(labels))]
        hits.append((total[:, :classes].argmax(dim=1) == labels).float())
    return float(torch.cat(hits).mean())


def tested(net: KeywordNet, material: Material) -> dict[str, float]:
    """Return the accuracy on each test set."""
    return {
        name: round(accuracy(net, batches, classes), 4)
        for name, batches, classes in material.checks()
    }


def train(
    out: Path, material: Material, recipe: Recipe, *, resume: bool = False, save_every: int = 5
) -> KeywordNet:
    """Train and return the network; checkpoints and the log go to `out`.

    After every `save_every` epochs the accuracy on the test sets is told and the state kept.
    """
    torch.manual_seed(recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    sizes = {"bands": material.bands, "classes": len(material.labels), **recipe.shape}
    net = KeywordNet(KeywordShape(**sizes))
    saved: dict[str, Any] = {"epochs": 0}
    if resume and (out / "last.pt").exists():
        saved = torch.load(out / "last.pt", weights_only=True)
        net.load_state_dict(saved["net"])
        torch.set_rng_state(saved["random"])
    began, first = time.monotonic(), 0
    for stage in recipe.stages:
        last = first + stage.epochs
        if saved["epochs"] < last:
            optimiser, schedule = _optimiser(net, stage, recipe)
            if saved["epochs"] > first:
                optimiser.load_state_dict(saved["optimiser"])
                schedule.load_state_dict(saved["schedule"])
            for epoch in range(max(first, saved["epochs"]), last):
                _set_width(net, stage, (epoch - first) / stage.epochs)
                line = _epoch(net, material, optimiser, stage, recipe, epoch)
                schedule.step()
                if (epoch + 1) % save_every == 0 or epoch + 1 == last:
                    line |= tested(net, material)
                    _save(out / "last.pt", net, optimiser, schedule, epoch + 1, recipe, material)
                line["minutes"] = round((time.monotonic() - began) / 60, 1)
                print(json.dumps(line), flush=True)
                with (out / "log.jsonl").open("a") as log:
                    log.write(json.dumps(line) + "\n")
        first = last
    net.set_width(None)
    return net


def _set_width(net: KeywordNet, stage: Stage, progress: float) -> None:
    rounded = not stage.delays or progress >= ROUNDED_FROM
    net.set_width(None if rounded else width(progress, net.shape.span))


def _epoch(
    net: KeywordNet,
    material: Material,
    optimiser: torch.optim.Optimizer,
    stage: Stage,
    recipe: Recipe,
    epoch: int,
) -> dict[str, Any]:
    """Train for one epoch; return its line of the log."""
    losses, hits = [], []
    net.dropout = stage.dropout
    for batch in material.epoch(stage, recipe, np.random.default_rng((recipe.seed, epoch))):
        net.train()
        loss, logits = loss_of(net, batch, smoothing=recipe.smoothing, sparsity=stage.sparsity)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        for synapses in net.synapses():
            synapses.clamp()
        losses.append(float(loss.detach()))
        hits.append(float((logits.argmax(dim=1) == batch[2]).float().mean()))
    return {
        "epoch": epoch + 1,
        "loss": round(float(np.mean(losses)), 4),
        "train": round(float(np.mean(hits)), 4),
        "rates": [round(float(rate.detach()), 3) for rate in net.rates()],
    }


def _optimiser(
    net: KeywordNet, stage: Stage, recipe: Recipe
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    positions = [s.position for s in net.synapses()]
    learned = [p for p in positions if p.requires_grad]
    others = [p for p in net.parameters() if all(p is not q for q in positions)]
    groups: list[dict[str, Any]] = [{"params": others, "weight_decay": recipe.weight_decay}]
    if learned and stage.delays:
        groups.append({"params": learned, "weight_decay": 0.0, "lr": recipe.position_rate})
    optimiser = torch.optim.Adam(groups, lr=stage.rate)
    return optimiser, torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, stage.epochs)


def _save(
    path: Path,
    net: KeywordNet,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    epochs: int,
    recipe: Recipe,
    material: Material,
) -> None:
    """Write atomically; read back with weights_only (no code in the file)."""
    state = {
        "net": net.state_dict(),
        "optimiser": optimiser.state_dict(),
        "schedule": schedule.state_dict(),
        "epochs": epochs,
        "random": torch.get_rng_state(),
        "recipe": asdict(recipe),
        "shape": asdict(net.shape),
        "labels": list(material.labels),
        "hearing": asdict(material.hearing) if material.hearing else None,
    }
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A trained network, in eval mode, and what it was trained for."""

    net: KeywordNet
    labels: tuple[str, ...]
    hearing: HearingSpec | None


def network_from(path: Path) -> Checkpoint:
    """Return what a checkpoint holds; raises InputError when it is missing or not one of ours."""
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"there is no checkpoint {path}") from error
    if "net" not in state or "hearing" not in state:
        raise InputError(f"{path} is not a checkpoint of the keyword network")
    net = KeywordNet(KeywordShape(**state["shape"]))
    net.load_state_dict(state["net"])
    net.set_width(None)
    hearing = None if state["hearing"] is None else HearingSpec(**state["hearing"])
    return Checkpoint(net.eval(), tuple(state["labels"]), hearing)
