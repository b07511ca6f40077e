"""Train the keyword network on spoken words; see docs/keyword.md for the lines that made it.

The bumps of the delays shrink and are rounded well before the end: what is trained last is the
network that ships. Nothing is chosen on the test words: the last epoch is the result.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from edgesnn.senses.hearing import HearingSpec

from ..checkpoints import (
    LAST,
    check_same,
    descend,
    go_on_with,
    load_weights,
    read_checkpoint,
    tell,
    trainers,
    write_checkpoint,
)
from ..layers.delays import width
from .material import Batch, Material
from .net import KeywordNet, KeywordShape
from .recipe import Recipe, Stage

ROUNDED_FROM = 0.75


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
    if resume and (out / LAST).exists():
        saved = keyword_checkpoint(out / LAST)
        check_same(out / LAST, saved, {"recipe": asdict(recipe), "labels": list(material.labels)})
        load_weights(net, saved["net"], out / LAST, "the keyword network")
        torch.set_rng_state(saved["random"])
    began, first = time.monotonic(), 0
    for stage in recipe.stages:
        last = first + stage.epochs
        if saved["epochs"] < last:
            optimiser, schedule = _optimiser(net, stage, recipe)
            if saved["epochs"] > first:
                go_on_with(saved, optimiser, schedule)
            for epoch in range(max(first, saved["epochs"]), last):
                _set_width(net, stage, (epoch - first) / stage.epochs)
                line = _epoch(net, material, optimiser, stage, recipe, epoch)
                schedule.step()
                if (epoch + 1) % save_every == 0 or epoch + 1 == last:
                    line |= tested(net, material)
                    state = _state(net, recipe, material, epoch + 1)
                    write_checkpoint(out, state | trainers(optimiser, schedule))
                line["minutes"] = round((time.monotonic() - began) / 60, 1)
                tell(out, line)
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
        descend(loss, optimiser, net)
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


def _state(net: KeywordNet, recipe: Recipe, material: Material, epochs: int) -> dict[str, Any]:
    """Return what a checkpoint keeps besides the optimiser."""
    return {
        "net": net.state_dict(),
        "epochs": epochs,
        "random": torch.get_rng_state(),
        "recipe": asdict(recipe),
        "shape": asdict(net.shape),
        "labels": list(material.labels),
        "hearing": asdict(material.hearing) if material.hearing else None,
    }


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A trained network, in eval mode, and what it was trained for."""

    net: KeywordNet
    labels: tuple[str, ...]
    hearing: HearingSpec | None


def keyword_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; raises InputError when it is missing or not of the keyword network."""
    return read_checkpoint(path, ("net", "hearing"), "the keyword network")


def network_from(path: Path) -> Checkpoint:
    """Return what a checkpoint holds; raises InputError when it is missing or not one of ours."""
    state = keyword_checkpoint(path)
    net = KeywordNet(KeywordShape(**state["shape"]))
    net.load_state_dict(state["net"])
    net.set_width(None)
    hearing = None if state["hearing"] is None else HearingSpec(**state["hearing"])
    return Checkpoint(net.eval(), tuple(state["labels"]), hearing)
