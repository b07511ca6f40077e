"""What `edgesnn train flow` takes and does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgesnn.app import Training
from edgesnn.bundle import Bundle
from edgesnn.options import Option


def _train(out: Path, card: dict[str, Any], given: Mapping[str, Any]) -> Bundle:
    """Train in stages, each in OUT/NAME and the last in OUT; with --start only the last."""
    from ..checkpoints import LAST
    from .recipe import STAGES
    from .ship import ship
    from .train import train

    start: Path | None = given["start"]
    for name, recipe, shape in STAGES if start is None else STAGES[-1:]:
        updates = given["updates"] or recipe.updates
        seed = recipe.seed if given["seed"] is None else given["seed"] + recipe.seed
        own = replace(recipe, updates=updates, seed=seed, check=min(recipe.check, updates))
        folder = out if name == STAGES[-1][0] else out / name
        train(folder, own, start=start, resume=given["resume"], shape=shape)
        start = folder / LAST
    return ship(out / LAST, out, card=card)


TRAINING = Training(
    options=(
        Option("--start", "Checkpoint of the stage before the last.", Path, metavar="CKPT"),
        Option("--updates", "Optimiser steps of each stage.", int, least=1),
    ),
    train=_train,
)
