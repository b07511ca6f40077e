"""Train the keyword network on spoken words; see docs/keyword.md for the lines that made it.

The first quarter of the training shrinks the bumps of the delays, the last quarter runs on rounded
delays: what is trained at the end is the network that ships. Nothing is chosen on the test words:
the last epoch is the result.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F

from edgesnn.errors import InputError
from edgesnn.hearing import HearingSpec

from .delays import width
from .keyword_augment import Augmentation, heard
from .keyword_data import Counts, Sound, Word
from .keyword_net import UNKNOWN, KeywordNet, KeywordShape

MOST = 4
"""Largest event count of a band and frame (three, and one that was saved up)."""
ROUNDED_FROM = 0.75


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the result, besides the data.

    longest: steps of a word that training sees. extra: words of the extra set in an epoch, and
    noises: stretches of noise labelled unknown.
    """

    epochs: int = 60
    batch: int = 64
    rate: float = 3e-3
    position_rate: float = 0.1
    weight_decay: float = 1e-5
    smoothing: float = 0.02
    sparsity: float = 0.05
    dropout: float = 0.25
    longest: int = 100
    extra: int = 600
    noises: int = 100
    seed: int = 0
    shape: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Sounds:
    """What is trained on: words, more words of which each epoch draws some, and noise."""

    words: list[Word]
    extra: list[Word]
    noises: list[Sound]


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


def loss_of(net: KeywordNet, batch: Batch, recipe: Recipe) -> tuple[Tensor, Tensor]:
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
    loss = F.cross_entropy(last, labels, label_smoothing=recipe.smoothing) + 0.3 * early
    return loss + recipe.sparsity * torch.stack(net.rates()).sum(), last


def epoch_of(
    sounds: Sounds, augmentation: Augmentation, spec: HearingSpec, recipe: Recipe, rng: Generator
) -> list[Batch]:
    """Draw one epoch of changed words, batched by length."""
    chosen = list(sounds.words)
    if sounds.extra:
        chosen += [sounds.extra[int(i)] for i in rng.integers(len(sounds.extra), size=recipe.extra)]
    drawn = []
    for word in chosen:
        other = sounds.words[int(rng.integers(len(sounds.words)))]
        drawn.append(augmentation.word(word.sound, word.label, other.sound, rng))
    drawn += [
        (augmentation.noise(rng.uniform(0.3, 0.9), rng), UNKNOWN) for _ in range(recipe.noises)
    ]
    drawn = [(x[: recipe.longest * spec.hop], label) for x, label in drawn]
    rng.shuffle(drawn)  # type: ignore[arg-type]
    drawn.sort(key=lambda pair: len(pair[0]) // (10 * spec.hop))
    batches = []
    for first in range(0, len(drawn), recipe.batch):
        part = drawn[first : first + recipe.batch]
        counts = [augmentation.masked(c, rng) for c in heard([x for x, _ in part], spec)]
        batches.append(stacked(counts, [label for _, label in part]))
    return [batches[int(i)] for i in rng.permutation(len(batches))]


@torch.no_grad()
def predictions(net: KeywordNet, words: list[Word], spec: HearingSpec) -> Tensor:
    """Return the digit with most evidence at the end of each word, int64 (n,)."""
    net.eval()
    order = sorted(range(len(words)), key=lambda i: len(words[i].sound))
    found = torch.zeros(len(words), dtype=torch.int64)
    for first in range(0, len(order), 100):
        part = order[first : first + 100]
        counts = heard([words[i].sound.astype(np.float64) for i in part], spec)
        x, lengths, _ = stacked(counts, [0] * len(part))
        total = net(x).cumsum(0)[lengths - 1, torch.arange(len(part))]
        found[part] = total[:, :UNKNOWN].argmax(dim=1)
    return found


def accuracy(net: KeywordNet, words: list[Word], spec: HearingSpec) -> float:
    """Share of words whose digit is right."""
    labels = torch.tensor([w.label for w in words])
    return float((predictions(net, words, spec) == labels).float().mean())


def train(
    out: Path,
    sounds: Sounds,
    checks: dict[str, list[Word]],
    spec: HearingSpec,
    recipe: Recipe,
    *,
    resume: bool = False,
) -> KeywordNet:
    """Train and return the network; checkpoints and the log go to `out`.

    checks: named sets of digits to report the accuracy on, after every fifth epoch.
    """
    torch.manual_seed(recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    net = KeywordNet(KeywordShape(**{"bands": spec.bands, **recipe.shape}), recipe.dropout)
    optimiser, schedules = _optimiser(net, recipe)
    augmentation = Augmentation(spec, sounds.noises)
    done = 0
    if resume and (out / "last.pt").exists():
        done = _resumed(out / "last.pt", net, optimiser, schedules)
    began = time.monotonic()
    for epoch in range(done, recipe.epochs):
        progress = epoch / recipe.epochs
        rounded = progress >= ROUNDED_FROM
        net.set_width(None if rounded else width(progress, net.shape.span))
        rng = np.random.default_rng((recipe.seed, epoch))
        losses, hits = [], []
        for batch in epoch_of(sounds, augmentation, spec, recipe, rng):
            net.train()
            loss, logits = loss_of(net, batch, recipe)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            for synapses in net.synapses():
                synapses.clamp()
            losses.append(float(loss.detach()))
            hits.append(float((logits.argmax(dim=1) == batch[2]).float().mean()))
        for schedule in schedules:
            schedule.step()
        line: dict[str, Any] = {
            "epoch": epoch + 1,
            "loss": round(float(np.mean(losses)), 4),
            "train": round(float(np.mean(hits)), 4),
            "rates": [round(float(rate.detach()), 3) for rate in net.rates()],
        }
        if (epoch + 1) % 5 == 0 or epoch + 1 == recipe.epochs:
            line |= {name: round(accuracy(net, words, spec), 4) for name, words in checks.items()}
            _save(out / "last.pt", net, optimiser, schedules, epoch + 1, recipe, spec)
        line["minutes"] = round((time.monotonic() - began) / 60, 1)
        print(json.dumps(line), flush=True)
        with (out / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
    net.set_width(None)
    return net


Schedules = list[torch.optim.lr_scheduler.LRScheduler]


def _optimiser(net: KeywordNet, recipe: Recipe) -> tuple[torch.optim.Optimizer, Schedules]:
    positions = [s.position for s in net.synapses()]
    learned = [p for p in positions if p.requires_grad]
    others = [p for p in net.parameters() if all(p is not q for q in positions)]
    groups: list[dict[str, Any]] = [{"params": others, "weight_decay": recipe.weight_decay}]
    if learned:
        groups.append({"params": learned, "weight_decay": 0.0, "lr": recipe.position_rate})
    optimiser = torch.optim.Adam(groups, lr=recipe.rate)
    return optimiser, [torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.epochs)]


def _resumed(
    path: Path, net: KeywordNet, optimiser: torch.optim.Optimizer, schedules: Schedules
) -> int:
    saved = torch.load(path, weights_only=True)
    net.load_state_dict(saved["net"])
    optimiser.load_state_dict(saved["optimiser"])
    for schedule, state in zip(schedules, saved["schedules"], strict=True):
        schedule.load_state_dict(state)
    return int(saved["epochs"])


def _save(
    path: Path,
    net: KeywordNet,
    optimiser: torch.optim.Optimizer,
    schedules: Schedules,
    epochs: int,
    recipe: Recipe,
    spec: HearingSpec,
) -> None:
    """Write atomically; read back with weights_only (no code in the file)."""
    state = {
        "net": net.state_dict(),
        "optimiser": optimiser.state_dict(),
        "schedules": [schedule.state_dict() for schedule in schedules],
        "epochs": epochs,
        "recipe": asdict(recipe),
        "shape": asdict(net.shape),
        "hearing": asdict(spec),
    }
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def network_from(path: Path) -> tuple[KeywordNet, HearingSpec]:
    """Return the network of a checkpoint, in eval mode, and its hearing; raises InputError."""
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"there is no checkpoint {path}") from error
    if "net" not in state or "hearing" not in state:
        raise InputError(f"{path} is not a checkpoint of the keyword network")
    net = KeywordNet(KeywordShape(**state["shape"]))
    net.load_state_dict(state["net"])
    net.set_width(None)
    return net.eval(), HearingSpec(**state["hearing"])
