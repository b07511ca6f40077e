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
    from ..checkpoints import LAST
    from .ship import ship
    from .train import Recipe, train

    typed = {"updates": given["updates"], "rate": given["rate"], "seed": given["seed"]}
    recipe = replace(
        Recipe(), **{name: value for name, value in typed.items() if value is not None}
    )
    train(out, recipe, start=given["start"], resume=given["resume"])
    return ship(out / LAST, out, card=card)


TRAINING = Training(
    options=(
        Option("--start", "Checkpoint to begin from.", Path, metavar="CKPT"),
        Option("--updates", "Optimiser steps.", int, least=1),
        Option("--rate", "Of learning, at its highest.", float),
    ),
    train=_train,
)
