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
    """Train in stages, each in OUT/NAME, and write a mean of them; with --start the last only."""
    from ..checkpoints import LAST
    from .mean import write_mean
    from .recipe import MEAN_OF, STAGES
    from .ship import ship
    from .train import train

    start: Path | None = given["start"]
    stages = STAGES if start is None else STAGES[-1:]
    for name, recipe, shape in stages:
        updates = given["updates"] or recipe.updates
        seed = recipe.seed if given["seed"] is None else given["seed"] + recipe.seed
        own = replace(recipe, updates=updates, seed=seed, check=min(recipe.check, updates))
        train(out / name, own, start=start, resume=given["resume"], shape=shape)
        start = out / name / LAST
    if stages is STAGES:
        write_mean([out / name / LAST for name in MEAN_OF], out)
        start = out / LAST
    assert start is not None
    return ship(start, out, card=card)


TRAINING = Training(
    options=(
        Option(
            "--start",
            "Checkpoint from which the last stage alone is trained.",
            Path,
            metavar="CKPT",
        ),
        Option("--updates", "Optimiser steps of each stage.", int, least=1),
    ),
    train=_train,
)
