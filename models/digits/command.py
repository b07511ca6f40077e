"""What `edgesnn train digits` takes and does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgesnn.app import Training
from edgesnn.bundle import Bundle
from edgesnn.options import Option


def _train(out: Path, card: dict[str, Any], given: Mapping[str, Any]) -> Bundle:
    from .ship import ship
    from .training import train_digits

    names = ("model", "data", "updates", "seed", "resume")
    checkpoint = train_digits(out, **{name: given[name] for name in names})
    name, data = given["model"], given["data"]
    about = f"{name} test set"
    if name == "nmnist":
        data, about = out / "held_out.txt", "N-MNIST recordings held out from training"
    return ship(checkpoint, out, name=name, data=data, about=about, card=card)


TRAINING = Training(
    options=(
        Option(
            "--data",
            "Folder of idx files, or N-MNIST recordings with an index file.",
            Path,
            default=...,
            metavar="DIR",
        ),
        Option("--model", "mnist, fashion or nmnist.", metavar="NAME", default="mnist"),
        Option("--updates", "Optimiser steps.", int, least=1),
    ),
    train=_train,
)
