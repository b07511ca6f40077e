"""Train a digit network: images as first-spike times, or N-MNIST recordings as events.

The number of steps of a trial grows during training (as in the follow-up of Che et al., AAAI 2026,
"Parallel training TTFS SNNs"): few steps are cheap and teach the weights, the full number then
teaches the times. The last part of the training images is held out and validates.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from edgesnn.errors import InputError

from .digits_material import Digits
from .digits_net import DigitNet, DigitShape
from .digits_recipe import Recipe
from .digits_teacher import Teacher, distilled, taught


@torch.no_grad()
def accuracy(net: DigitNet, digits: Digits, steps: int) -> float:
    """Share of the digits held out that are right."""
    net.eval()
    hits = [(net(x).argmax(dim=1) == labels).float() for x, labels in digits.held(steps)]
    return float(torch.cat(hits).mean())


def train(
    out: Path,
    digits: Digits,
    recipe: Recipe,
    *,
    updates: int | None = None,
    resume: bool = False,
) -> DigitNet:
    """Train a network; checkpoints and the log go to `out`. Returns it at the end.

    updates: in all, shared out over the phases as in the recipe; None: the recipe's own number.
    """
    torch.manual_seed(recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    net = DigitNet(DigitShape(**recipe.shape), recipe.dropout, recipe.alpha)
    plan = planned(recipe, len(digits), updates)
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=len(plan), pct_start=0.1
    )
    teacher = None
    if recipe.teacher:
        teacher = _teacher(out, digits, recipe, net.shape, len(plan), resume=resume)
    order = _order(len(digits), recipe.batch, torch.Generator().manual_seed(recipe.seed))
    done = 0
    if resume and (out / "last.pt").exists():
        saved = torch.load(out / "last.pt", weights_only=True)
        net.load_state_dict(saved["net"])
        optimiser.load_state_dict(saved["optimiser"])
        schedule.load_state_dict(saved["schedule"])
        done = saved["updates"]
        torch.set_rng_state(saved["random"][0])
        digits.go_on_from(saved["random"][1])
        for _ in range(done):
            next(order)
    began, total, summed = time.monotonic(), 0.0, 0
    check = max(1, len(plan) // 20)
    for update in range(done + 1, len(plan) + 1):
        steps = plan[update - 1]
        x, labels = digits.drawn(next(order), steps)
        net.train()
        logits = net.logits(net(x), steps, recipe.sharpness)
        if teacher is not None and steps == net.shape.steps:
            with torch.no_grad():
                view = teacher(x)
            loss = distilled(logits, labels, view, recipe.taught)
        else:
            loss = F.cross_entropy(logits, labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        total, summed = total + float(loss.detach()), summed + 1
        if update % check == 0 or update == len(plan):
            line = {
                "update": update,
                "of": len(plan),
                "steps": steps,
                "loss": round(total / summed, 4),
                "held_out": round(accuracy(net, digits, steps), 4),
                "fired": [round(share, 3) for share in net.fired()],
                "minutes": round((time.monotonic() - began) / 60, 1),
            }
            total, summed = 0.0, 0
            print(json.dumps(line), flush=True)
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            random = (torch.get_rng_state(), digits.random_state())
            _save(out / "last.pt", net, optimiser, schedule, update, recipe, random)
    return net


def _teacher(
    out: Path, digits: Digits, recipe: Recipe, shape: DigitShape, updates: int, *, resume: bool
) -> Teacher:
    """Return the trained teacher of a network that gets `updates`; it is kept in `out`."""
    teacher, path = Teacher(shape.size, shape.padding, shape.classes), out / "teacher.pt"
    if resume and path.exists():
        teacher.load_state_dict(torch.load(path, weights_only=True))
        return teacher.eval()
    order = _order(len(digits), recipe.batch, torch.Generator().manual_seed(recipe.seed + 1))
    epochs = sum(share for _, share in recipe.phases)
    taught(
        teacher,
        lambda chosen: digits.drawn(chosen, shape.steps),
        order,
        max(2, round(updates * recipe.teacher / epochs)),
        out / "log.jsonl",
    )
    torch.save(teacher.state_dict(), path)
    return teacher


def planned(recipe: Recipe, count: int, updates: int | None) -> list[int]:
    """Return the number of steps of a trial in each update."""
    epochs = sum(share for _, share in recipe.phases)
    per_epoch = max(1, count // recipe.batch) if updates is None else updates / epochs
    return [steps for steps, share in recipe.phases for _ in range(round(share * per_epoch))]


def _order(count: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    while True:
        shuffled = torch.randperm(count, generator=generator)
        yield from (shuffled[first : first + batch] for first in range(0, count, batch))


def _save(
    path: Path,
    net: DigitNet,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    update: int,
    recipe: Recipe,
    random: tuple[Tensor, Any],
) -> None:
    """Write atomically; read back with weights_only (no code in the file)."""
    state = {
        "net": net.state_dict(),
        "optimiser": optimiser.state_dict(),
        "schedule": schedule.state_dict(),
        "updates": update,
        "recipe": asdict(recipe),
        "random": random,
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
