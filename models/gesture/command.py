"""What `edgesnn train gesture` takes and does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgesnn.app import Training
from edgesnn.bundle import Bundle
from edgesnn.errors import InputError
from edgesnn.options import Option


def _train(out: Path, card: dict[str, Any], given: Mapping[str, Any]) -> Bundle:
    if not (given["data"] or given["clips"] or given["recordings"]):
        raise InputError(
            "there is nothing to train on; give --data with the DVS128 Gesture folder, --clips "
            "with simulated clips, or --recordings with labelled recordings"
        )
    from .ship import ship
    from .training import train_gesture

    folders = {name: given[name] for name in ("data", "clips", "recordings", "validate", "start")}
    schedule = {name: given[name] for name in ("resume", "updates", "seed")}
    trained = train_gesture(out, **folders, **schedule)
    return ship(
        trained.checkpoint,
        out,
        sets=trained.checks,
        calibrate_on=next(iter(trained.checks)),
        card=card,
    )


TRAINING = Training(
    options=(
        Option("--data", "Folder of the DVS128 Gesture data set.", Path, metavar="DIR"),
        Option("--clips", "Simulated clips (shard_*.npz).", Path, metavar="DIR"),
        Option("--recordings", "Labelled recordings to train on too.", Path, metavar="DIR"),
        Option("--validate", "Labelled recordings that only validate.", Path, metavar="DIR"),
        Option("--start", "Checkpoint to begin from.", Path, metavar="CKPT"),
        Option("--updates", "Optimiser steps.", int, least=1),
    ),
    train=_train,
)
