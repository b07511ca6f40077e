"""Train the gesture network: simulated clips first; recordings, where given, mixed in.

The recipe is fixed by its options and seed; `docs/gesture.md` holds the lines that made the
shipped model. Every `--check` updates it validates (state reset before each clip), prints one
line, appends it to OUT/log.jsonl and writes OUT/last.pt, from which `--resume` goes on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

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
from .clips import read_shard
from .data import (
    STEP_US,
    Array,
    Augmentation,
    Clip,
    augmented,
    clip_from_packed,
    frames,
    mirrored,
    reversed_in_time,
)
from .net import GestureNet, GestureShape

DECAY_SHIFT = 5
"""The readout forgets 1/32 of its evidence a step: a time constant of 0.8 s."""
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the result, besides the data. share: of recordings in a batch."""

    updates: int = 1600
    batch: int = 16
    steps: int = 44
    rate: float = 2e-3
    weight_decay: float = 1e-3
    smoothing: float = 0.05
    sparsity: float = 0.05
    share: float = 0.0
    seed: int = 0
    check: int = 100


class ClipStream(IterableDataset[tuple[Array, int]]):
    """Endless augmented clips: simulated shards (all that exist by then), recordings by share."""

    def __init__(self, shards: Path | None, recordings: list[Clip], recipe: Recipe) -> None:
        self.shards, self.recordings, self.recipe = shards, recordings, recipe

    def __iter__(self) -> Iterator[tuple[Array, int]]:
        """Yield (levels (steps, 2, 32, 32) uint8, class)."""
        rng = np.random.default_rng(self.recipe.seed)
        simulated: list[tuple[Array, int]] = []
        seen: set[Path] = set()
        for count in range(10**12):
            if self.shards is not None and count % 1000 == 0:
                for path in sorted(set(training_shards(self.shards)) - seen):
                    simulated += read_shard(path)
                    seen.add(path)
            use_recording = rng.random() < self.recipe.share or not simulated
            if use_recording and self.recordings:
                clip = self.recordings[int(rng.integers(len(self.recordings)))]
                yield augmented(clip, self.recipe.steps, rng, RECORDED)
            else:
                clip = clip_from_packed(*simulated[int(rng.integers(len(simulated)))])
                yield augmented(clip, self.recipe.steps, rng)


RECORDED = Augmentation(reverse=0.5)
"""Few recordings: their mirror images and reversals count as much as they do."""


def training_shards(directory: Path) -> list[Path]:
    """All shards but the first, which is held out."""
    return sorted(directory.glob("shard_*.npz"))[1:]


def held_out(directory: Path) -> list[Clip]:
    """The first shard: simulated clips that are never trained on."""
    return [clip_from_packed(*c) for c in read_shard(sorted(directory.glob("shard_*.npz"))[0])]


def with_variants(clips: list[Clip]) -> list[Clip]:
    """Each clip, its mirror image, its time reversal, and both."""
    both = clips + [mirrored(c) for c in clips]
    return both + [reversed_in_time(c) for c in both]


def evidence(scores: Tensor) -> Tensor:
    """Leaky sum over time of (T, B, classes): E[t] = E[t-1] (1 - 2^-DECAY_SHIFT) + scores[t]."""
    t = torch.arange(scores.shape[0], dtype=scores.dtype)
    age = t[:, None] - t[None, :]
    kernel = torch.where(age >= 0, (1 - 2.0**-DECAY_SHIFT) ** age.clamp_min(0), 0.0)
    return torch.einsum("ts,sbc->tbc", kernel, scores)


def loss_of(net: GestureNet, x: Tensor, label: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Cross entropy of the evidence, averaged over the later three quarters of the clip."""
    total = evidence(net(x) * net.unit())
    late = total[total.shape[0] // 4 :]
    repeated = label.repeat(late.shape[0])
    loss = F.cross_entropy(late.flatten(0, 1), repeated, label_smoothing=recipe.smoothing)
    return loss + recipe.sparsity * torch.stack(net.rates()).sum(), total[-1]


@torch.no_grad()
def predictions(net: GestureNet, clips: list[Clip], steps: int) -> Array:
    """Most probable class at the end of each clip, state reset before it; int64 (n,)."""
    net.eval()
    found = []
    for at in range(0, len(clips), 22):
        levels = np.stack([frames(c, steps) for c in clips[at : at + 22]], axis=1)
        total = evidence(net(torch.from_numpy(levels).float()) * net.unit())
        found.append(total[-1].argmax(dim=1).numpy())
    return np.concatenate(found)


def accuracy(net: GestureNet, clips: list[Clip], steps: int) -> float:
    """Share of clips whose class is right."""
    labels = np.array([c.label for c in clips])
    return float((predictions(net, clips, steps) == labels).mean())


def train(
    out: Path,
    shards: Path | None,
    recordings: list[Clip],
    checks: dict[str, list[Clip]],
    recipe: Recipe,
    start: Path | None = None,
    resume: bool = False,
) -> GestureNet:
    """Train and return the network; files go to `out`.

    shards: folder of simulated clips. recordings: clips that may be trained on. checks: named
    sets to validate on. start: checkpoint whose weights to begin with.
    """
    torch.manual_seed(recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    net = GestureNet()
    if start is not None:
        load_weights(net, gesture_checkpoint(start)["net"], start, "the gesture network")
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=recipe.updates, pct_start=0.1
    )
    done = 0
    if resume and (out / LAST).exists():
        saved = gesture_checkpoint(out / LAST)
        load_weights(net, saved["net"], out / LAST, "the gesture network")
        check_same(out / LAST, saved, {"recipe": asdict(recipe)})
        go_on_with(saved, optimiser, schedule)
        done = saved["updates"]
    stream = ClipStream(shards, recordings, recipe)
    began, losses, hits = time.monotonic(), [], []
    loader = iter(DataLoader(stream, batch_size=recipe.batch, num_workers=1, prefetch_factor=8))
    for update in range(done + 1, recipe.updates + 1):
        levels, label = next(loader)
        net.train()
        loss, last = loss_of(net, levels.transpose(0, 1).float(), label, recipe)
        descend(loss, optimiser, net)
        schedule.step()
        losses.append(float(loss.detach()))
        hits.append(float((last.argmax(dim=1) == label).float().mean()))
        if update % recipe.check == 0 or update == recipe.updates:
            line: dict[str, Any] = {
                "update": update,
                "loss": round(float(np.mean(losses)), 4),
                "train": round(float(np.mean(hits)), 4),
                **{name: round(accuracy(net, clips, 58), 4) for name, clips in checks.items()},
                "rates": [round(float(rate.detach()), 3) for rate in net.rates()],
                "minutes": round((time.monotonic() - began) / 60, 1),
            }
            losses, hits = [], []
            tell(out, line)
            state = {
                "net": net.state_dict(),
                "updates": update,
                "recipe": asdict(recipe),
                "shape": asdict(net.shape),
                "step_us": STEP_US,
            }
            write_checkpoint(out, state | trainers(optimiser, schedule))
    return net


def gesture_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; raises InputError when it is missing or not one of ours."""
    return read_checkpoint(path, ("net", "shape"), "the gesture network")


def network_from(path: Path) -> GestureNet:
    """Return the network of a checkpoint, in eval mode."""
    state = gesture_checkpoint(path)
    net = GestureNet(GestureShape(**state["shape"]))
    net.load_state_dict(state["net"])
    return net.eval()
