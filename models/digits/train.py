"""Train a digit network: images as first-spike times, or N-MNIST recordings as events.

The number of steps of a trial grows during training (as in the follow-up of Che et al., AAAI 2026,
"Parallel training TTFS SNNs"): few steps are cheap and teach the weights, the full number then
teaches the times. The last part of the training images is held out and validates.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

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
from .material import Digits
from .net import DigitNet, DigitShape
from .recipe import Recipe, Stage
from .teacher import Teacher, distilled, taught


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

    updates: in all, shared out over stages and phases as in the recipe; None: as many as it says.
    """
    torch.manual_seed(recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    net = DigitNet(DigitShape(**recipe.shape), alpha=recipe.alpha)
    hint = nn.Linear(net.sites, net.shape.classes, bias=False) if recipe.hint else None
    plans = [planned(stage, recipe, len(digits), updates) for stage in recipe.stages]
    whole = sum(map(len, plans))
    teacher = None
    if recipe.teacher:
        teacher = _teacher(out, digits, recipe, net.shape, whole, resume=resume)
    order = _order(len(digits), recipe.batch, torch.Generator().manual_seed(recipe.seed))
    saved: dict[str, Any] = {"updates": 0}
    if resume and (out / LAST).exists():
        saved = network_checkpoint(out / LAST)
        check_same(out / LAST, saved, {"recipe": asdict(recipe), "whole": whole})
        load_weights(net, saved["net"], out / LAST, "a digit network")
        if hint is not None:
            hint.load_state_dict(saved["hint"])
        torch.set_rng_state(saved["random"][0])
        digits.go_on_from(saved["random"][1])
        for _ in range(saved["updates"]):
            next(order)
    done, first = int(saved["updates"]), 0
    log, check = _Log(out, net, digits, whole), max(1, whole // 20)
    for stage, plan in zip(recipe.stages, plans, strict=True):
        last = first + len(plan)
        if done < last:
            net.dropout = stage.dropout
            optimiser, schedule = _optimiser([net, hint], recipe, stage.rate, len(plan))
            if done > first:
                go_on_with(saved, optimiser, schedule)
            for update in range(max(done, first) + 1, last + 1):
                steps = plan[update - first - 1]
                x, labels = digits.drawn(next(order), steps, stage.jitter)
                loss = _loss(net, hint, teacher, recipe, x, labels)
                descend(loss, optimiser, net)
                schedule.step()
                log.add(loss)
                if update % check == 0 or update == last:
                    log.write(update, steps)
                    state = {
                        "net": net.state_dict(),
                        "hint": {} if hint is None else hint.state_dict(),
                        "updates": update,
                        "whole": whole,
                        "recipe": asdict(recipe),
                        "random": (torch.get_rng_state(), digits.random_state()),
                        "shape": asdict(net.shape),
                    }
                    write_checkpoint(out, state | trainers(optimiser, schedule))
        first = last
    return net


def _loss(
    net: DigitNet,
    hint: nn.Module | None,
    teacher: Teacher | None,
    recipe: Recipe,
    x: Tensor,
    labels: Tensor,
) -> Tensor:
    """Return the loss of a batch, spikes (T, B, 2, H, W): of the populations and of the hint."""
    net.train()
    steps, view = len(x), None
    if teacher is not None and steps == net.shape.steps:
        with torch.no_grad():
            view = teacher(x)
    logits = net.logits(net(x), steps, recipe.sharpness)
    loss = distilled(logits, labels, view, recipe.taught)
    if hint is not None:
        hinted = distilled(hint(net.features / steps), labels, view, recipe.taught)
        loss = loss + recipe.hint * hinted
    return loss


class _Log:
    """Tells how a training goes, on stdout and in log.jsonl."""

    def __init__(self, out: Path, net: DigitNet, digits: Digits, whole: int) -> None:
        self._out, self._net, self._digits, self._whole = out, net, digits, whole
        self._began = time.monotonic()
        self._losses: list[float] = []

    def add(self, loss: Tensor) -> None:
        """Take the loss of an update."""
        self._losses.append(float(loss.detach()))

    def write(self, update: int, steps: int) -> None:
        """Write a line about the updates since the last one."""
        line = {
            "update": update,
            "of": self._whole,
            "steps": steps,
            "loss": round(sum(self._losses) / len(self._losses), 4),
            "held_out": round(accuracy(self._net, self._digits, steps), 4),
            "fired": [round(share, 3) for share in self._net.fired()],
            "minutes": round((time.monotonic() - self._began) / 60, 1),
        }
        self._losses.clear()
        tell(self._out, line)


def _optimiser(
    trained: list[nn.Module | None], recipe: Recipe, rate: float, updates: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Return the optimiser of a stage, and the rise and fall of its rate."""
    parameters = [p for module in trained if module is not None for p in module.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=recipe.weight_decay)
    rising = min(0.9, max(0.1, 1.5 / updates))  # more than one of very few updates
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=updates, pct_start=rising
    )
    return optimiser, schedule


def _teacher(
    out: Path, digits: Digits, recipe: Recipe, shape: DigitShape, updates: int, *, resume: bool
) -> Teacher:
    """Return the trained teacher of a network that gets `updates`; it is kept in `out`."""
    teacher, path = Teacher(shape.size, shape.padding, shape.classes), out / "teacher.pt"
    if resume and path.exists():
        teacher.load_state_dict(torch.load(path, weights_only=True))
        return teacher.eval()
    order = _order(len(digits), recipe.batch, torch.Generator().manual_seed(recipe.seed + 1))
    taught(
        teacher,
        lambda chosen: digits.drawn(chosen, shape.steps, recipe.stages[0].jitter),
        order,
        max(2, round(updates * recipe.teacher / recipe.epochs)),
        out / "log.jsonl",
    )
    torch.save(teacher.state_dict(), path)
    return teacher


def planned(stage: Stage, recipe: Recipe, count: int, updates: int | None) -> list[int]:
    """Return the steps of a trial in each update of a stage.

    count: trials in an epoch. updates: see `train`.
    """
    per_epoch = max(1, count // recipe.batch) if updates is None else updates / recipe.epochs
    return [steps for steps, share in stage.phases for _ in range(round(share * per_epoch))]


def _order(count: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    while True:
        shuffled = torch.randperm(count, generator=generator)
        yield from (shuffled[first : first + batch] for first in range(0, count, batch))


def network_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; raises InputError when it is missing or not of a digit network."""
    return read_checkpoint(path, ("net", "shape"), "a digit network")


def network_from(path: Path) -> tuple[DigitNet, dict[str, Any]]:
    """Return the network of a checkpoint, in eval mode, and its recipe; raises InputError."""
    state = network_checkpoint(path)
    net = DigitNet(DigitShape(**state["shape"]))
    net.load_state_dict(state["net"])
    return net.eval(), state["recipe"]
