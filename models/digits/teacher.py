"""A conventional network that a digit network may learn from (distillation).

It sees the same trials, each pixel as the share of the window for which it has fired, has ordinary
activations, and is trained first. Its probabilities then stand beside the labels (Hinton, Vinyals &
Dean, arXiv 1503.02531, "Distilling the knowledge in a neural network"). Nothing of it ships.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Drawn = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From chosen numbers to spikes (T, B, 2, H, W) and labels (B,)."""


class Teacher(nn.Module):
    """Convolutions as those of `DigitNet`, wider, with batch normalisation and rectifiers.

    Input: spikes (T, B, 2, size, size); output: logits (B, classes).
    """

    def __init__(self, size: int, padding: int, classes: int, width: int = 48) -> None:
        super().__init__()
        side = ((size + 2 * padding - 5) // 2 + 1) // 2 - 2
        wide = 2 * width
        self.layers = nn.Sequential(
            nn.Conv2d(2, width, 5, stride=2, padding=padding, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, wide, 3, padding=1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(wide, wide, 3, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(wide * side * side, 256, bias=False),
            nn.BatchNorm1d(256),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(256, classes),
        )

    def forward(self, spikes: Tensor) -> Tensor:
        """See the class."""
        seen = spikes.cumsum(0).mean(0).contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.layers(seen)
        return logits


def taught(
    teacher: Teacher, drawn: Drawn, order: Iterator[Tensor], updates: int, log: Path
) -> Teacher:
    """Train a teacher and return it in eval mode."""
    optimiser = torch.optim.AdamW(teacher.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 2e-3, total_steps=updates, pct_start=0.1
    )
    began, total, check = time.monotonic(), 0.0, max(1, updates // 10)
    for update in range(1, updates + 1):
        spikes, labels = drawn(next(order))
        loss = F.cross_entropy(teacher(spikes), labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        total += float(loss.detach())
        if update % check == 0:
            minutes = round((time.monotonic() - began) / 60, 1)
            line = {"teacher": update, "loss": round(total / check, 4), "minutes": minutes}
            print(json.dumps(line), flush=True)
            with log.open("a") as file:
                file.write(json.dumps(line) + "\n")
            total = 0.0
    return teacher.eval()


def distilled(logits: Tensor, labels: Tensor, view: Tensor | None, share: float) -> Tensor:
    """Return the cross entropy with the labels and, weighing `share`, with the teacher's view.

    view: its logits (B, classes), or None where there is none: the labels alone.
    """
    ours = F.cross_entropy(logits, labels)
    if view is None:
        return ours
    theirs = F.cross_entropy(logits, view.softmax(dim=1))
    return (1 - share) * ours + share * theirs
