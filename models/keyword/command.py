"""What `edgesnn train keyword` takes and does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgesnn.app import Training
from edgesnn.bundle import Bundle
from edgesnn.options import Option


def _train(out: Path, card: dict[str, Any], given: Mapping[str, Any]) -> Bundle:
    from .ship import ship
    from .training import train_keyword

    names = ("data", "words", "noise", "epochs", "seed", "resume", "portable")
    checkpoint, material = train_keyword(out, **{name: given[name] for name in names})
    return ship(checkpoint, out, material=material, card=card)


TRAINING = Training(
    options=(
        Option(
            "--data",
            "Folder of FSDD, Speech Commands, SHD or SSC.",
            Path,
            default=...,
            metavar="DIR",
        ),
        Option("--words", "More words, WORD/*.wav.", Path, metavar="DIR"),
        Option("--noise", "Sounds to mix in.", Path, metavar="DIR"),
        Option("--portable", "Neurons as Loihi has them, one threshold a layer.", bool),
        Option("--epochs", "Times through the data, both stages together.", int, least=2),
    ),
    train=_train,
)
