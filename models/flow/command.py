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
    """Train in two stages, the first into OUT/first; with --start only the second."""
    from ..checkpoints import LAST
    from .ship import ship
    from .train import FIRST, SECOND, train

    def of(recipe: Any) -> Any:
        updates = given["updates"] or recipe.updates
        seed = recipe.seed if given["seed"] is None else given["seed"] + recipe.seed
        return replace(recipe, updates=updates, seed=seed, check=min(recipe.check, updates))

    start: Path | None = given["start"]
    if start is None:
        train(out / "first", of(FIRST), resume=given["resume"])
        start = out / "first" / LAST
    train(out, of(SECOND), start=start, resume=given["resume"])
    return ship(out / LAST, out, card=card)


TRAINING = Training(
    options=(
        Option("--start", "Checkpoint of the first stage.", Path, metavar="CKPT"),
        Option("--updates", "Optimiser steps of each stage.", int, least=1),
    ),
    train=_train,
)
