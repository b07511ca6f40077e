"""Train a digit network: images as first-spike times, or N-MNIST recordings as events.

The number of steps of a trial grows during training (as in the follow-up of Che et al., AAAI 2026,
"Parallel training TTFS SNNs"): few steps are cheap and teach the weights, the full number then
teaches the times. The last part of the training images is held out and validates.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from edgesnn.errors import InputError

from .digits_data import jittered, latency_spikes
from .digits_net import DigitNet, DigitShape

HELD_OUT = 2000


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the result, besides the data.

    phases: (steps of a trial, epochs), one after the other. dark: whether dark pixels spike too.
    jitter: see `digits_data.jittered`. alpha: of the surrogate gradient; sharpness: see
    `DigitNet.logits`.
    """

    phases: tuple[tuple[int, float], ...]
    jitter: dict[str, Any]
    dark: bool = False
    batch: int = 64
    rate: float = 2e-3
    weight_decay: float = 1e-3
    smoothing: float = 0.0
    sparsity: float = 0.0
    dropout: float = 0.1
    alpha: float = 2.0
    sharpness: float = 12.0
    seed: int = 0
    shape: dict[str, int] = field(default_factory=dict)


MNIST = Recipe(
    phases=((3, 4), (6, 3)),
    jitter={"degrees": 10, "scale": 0.1, "shear": 0.1, "shift": 2.5, "flip": False, "erase": 0.0},
    shape={"steps": 6},
)
FASHION = Recipe(
    phases=((3, 8), (6, 5)),
    jitter={"degrees": 0, "scale": 0.0, "shear": 0.0, "shift": 1.0, "flip": True, "erase": 0.0},
    dark=True,
    rate=4e-3,
    alpha=0.5,
    sharpness=8.0,
    shape={"steps": 6, "near": 40, "far": 80, "deep": 80},
)
RECIPES = {"mnist": MNIST, "fashion": FASHION}
Inputs = Callable[[Tensor, int], Tensor]


@torch.no_grad()
def scores_of(net: DigitNet, images: Tensor, steps: int, *, dark: bool) -> Tensor:
    """Return the scores of images (B, H, W): (B, classes)."""
    net.eval()
    parts = [latency_spikes(part, steps, dark=dark) for part in images.split(200)]
    return torch.cat([net(part) for part in parts])


def train(
    out: Path, images: Tensor, labels: Tensor, recipe: Recipe, *, resume: bool = False
) -> DigitNet:
    """Train on all but the last HELD_OUT images; checkpoints and the log go to `out`.

    images: uint8 (n, H, W); labels: int64 (n,). Returns the network at the end.
    """
    torch.manual_seed(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    net = DigitNet(DigitShape(**recipe.shape), recipe.dropout, recipe.alpha)
    count = len(images) - HELD_OUT
    per_epoch = count // recipe.batch
    plan = [steps for steps, epochs in recipe.phases for _ in range(round(epochs * per_epoch))]
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=len(plan), pct_start=0.1
    )
    done = 0
    if resume and (out / "last.pt").exists():
        saved = torch.load(out / "last.pt", weights_only=True)
        net.load_state_dict(saved["net"])
        optimiser.load_state_dict(saved["optimiser"])
        schedule.load_state_dict(saved["schedule"])
        done = saved["updates"]
    order = _order(count, recipe.batch, generator)
    began, total = time.monotonic(), 0.0
    check = max(1, per_epoch // 2)
    for update in range(done + 1, len(plan) + 1):
        chosen, steps = next(order), plan[update - 1]
        moved = jittered(images[chosen], generator, **recipe.jitter)
        net.train()
        scores = net(latency_spikes(moved, steps, dark=recipe.dark))
        logits = net.logits(scores, steps, recipe.sharpness)
        loss = F.cross_entropy(logits, labels[chosen], label_smoothing=recipe.smoothing)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        total += float(loss.detach())
        if update % check == 0 or update == len(plan):
            scores = scores_of(net, images[count:], steps, dark=recipe.dark)
            right = (scores.argmax(dim=1) == labels[count:]).float().mean()
            line = {
                "update": update,
                "of": len(plan),
                "steps": steps,
                "loss": round(total / check, 4),
                "held_out": round(float(right), 4),
                "fired": [round(share, 3) for share in net.fired()],
                "minutes": round((time.monotonic() - began) / 60, 1),
            }
            total = 0.0
            print(json.dumps(line), flush=True)
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            _save(out / "last.pt", net, optimiser, schedule, update, recipe)
    return net


def _order(count: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    while True:
        yield from torch.randperm(count, generator=generator).split(batch)


def _save(
    path: Path,
    net: DigitNet,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    update: int,
    recipe: Recipe,
) -> None:
    """Write atomically; read back with weights_only (no code in the file)."""
    state = {
        "net": net.state_dict(),
        "optimiser": optimiser.state_dict(),
        "schedule": schedule.state_dict(),
        "updates": update,
        "recipe": asdict(recipe),
        "shape": asdict(net.shape),
    }
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def network_from(path: Path) -> tuple[DigitNet, dict[str, Any]]:
    """Return the network of a checkpoint, in eval mode, and its recipe; raises InputError."""
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"there is no checkpoint {path}") from error
    if "net" not in state or "shape" not in state:
        raise InputError(f"{path} is not a checkpoint of a digit network")
    net = DigitNet(DigitShape(**state["shape"]))
    net.load_state_dict(state["net"])
    return net.eval(), state["recipe"]
