"""Train a digit network: images as first-spike times, or N-MNIST recordings as events.

The number of steps of a trial grows during training (as in the follow-up of Che et al., AAAI 2026,
"Parallel training TTFS SNNs"): few steps are cheap and teach the weights, the full number then
teaches the times. The last part of the training images is held out and validates.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from edgesnn.errors import InputError
from edgesnn.events import Events

from .digits_data import jittered, latency_spikes
from .digits_net import DigitNet, DigitShape
from .digits_teacher import Teacher, distilled, taught
from .nmnist import changed, spikes_of


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the result, besides the data.

    phases: (steps of a trial, epochs), one after the other. dark: whether dark pixels spike too.
    jitter: see `digits_data.jittered`. alpha: of the surrogate gradient; sharpness: see
    `DigitNet.logits`. teacher: epochs of a conventional network that the last phase learns from
    (0: none), taught: what its view weighs beside the labels.
    """

    phases: tuple[tuple[int, float], ...]
    jitter: dict[str, Any]
    dark: bool = False
    batch: int = 64
    rate: float = 2e-3
    weight_decay: float = 1e-3
    dropout: float = 0.1
    alpha: float = 2.0
    sharpness: float = 12.0
    teacher: float = 0.0
    taught: float = 0.7
    seed: int = 0
    shape: dict[str, Any] = field(default_factory=dict)


MNIST = Recipe(
    phases=((2, 6), (6, 6)),
    jitter={"degrees": 10, "scale": 0.1, "shear": 0.1, "shift": 2.5, "flip": False, "erase": 0.0},
    rate=4e-3,
    sharpness=8.0,
    shape={"steps": 6},
)
FASHION = Recipe(
    phases=((2, 4), (3, 5), (6, 7)),
    jitter={"degrees": 0, "scale": 0.0, "shear": 0.0, "shift": 0.0, "flip": True, "erase": 0.0},
    dark=True,
    rate=4e-3,
    dropout=0.0,
    sharpness=10.0,
    teacher=10,
    shape={"steps": 6, "near": 40, "far": 80, "deep": 80, "ramp": True},
)
NMNIST = Recipe(
    phases=((4, 60), (12, 40)),
    jitter={},
    batch=40,
    rate=4e-3,
    sharpness=8.0,
    dropout=0.3,
    shape={"size": 34, "padding": 1, "steps": 12},
)
RECIPES = {"mnist": MNIST, "fashion": FASHION, "nmnist": NMNIST}


class Digits(Protocol):
    """What is trained on, in two parts: `train` and `held`."""

    def __len__(self) -> int:
        """How many may be trained on."""
        ...

    def drawn(self, chosen: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Return changed copies of those chosen: spikes (steps, B, 2, H, W), labels (B,)."""
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

    def drawn(self, chosen: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """See `Digits`."""
        moved = jittered(self._images[chosen], self._generator, **self._recipe.jitter)
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
    """N-MNIST recordings; every fifth is held out, `everything` trains on these too."""

    def __init__(
        self, recordings: list[tuple[Events, int]], recipe: Recipe, *, everything: bool = False
    ) -> None:
        self._held = recordings[::5]
        self._trained = [r for i, r in enumerate(recordings) if i % 5 or everything]
        self._rng = np.random.default_rng(recipe.seed)

    def __len__(self) -> int:
        """How many may be trained on."""
        return len(self._trained)

    def drawn(self, chosen: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """See `Digits`."""
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
    began, total = time.monotonic(), 0.0
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
        total += float(loss.detach())
        if update % check == 0 or update == len(plan):
            line = {
                "update": update,
                "of": len(plan),
                "steps": steps,
                "loss": round(total / check, 4),
                "held_out": round(accuracy(net, digits, steps), 4),
                "fired": [round(share, 3) for share in net.fired()],
                "minutes": round((time.monotonic() - began) / 60, 1),
            }
            total = 0.0
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
