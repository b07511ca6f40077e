"""What `edgesnn train digits` does: read images or recordings, and train on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from edgesnn.apps.digits.sets import read_index
from edgesnn.errors import InputError
from edgesnn.sources.idx import read_images

from .material import Digits, Images, Recordings
from .nmnist import nmnist
from .recipe import RECIPES, Recipe
from .train import train

HELD_OUT_IMAGES = 2000


def train_digits(
    out: Path,
    *,
    model: str,
    data: Path,
    updates: int | None = None,
    seed: int = 0,
    resume: bool = False,
    recipe: Recipe | None = None,
) -> Path:
    """Train a digit network; return its checkpoint. Checkpoints and the log go to `out`.

    model: mnist or fashion (data: folder of idx files; all but the last 2,000 training images are
    trained on) or nmnist (data: folder of recordings with an index file; every fifth is held out,
    and OUT/held_out.txt is the index of those). updates: of the optimiser, None: the recipe's.
    Raises InputError.
    """
    if model not in RECIPES:
        raise InputError(f"there is no recipe for {model!r}; there are: {', '.join(RECIPES)}")
    recipe = replace(recipe or RECIPES[model], seed=seed)
    digits: Digits
    if model == "nmnist":
        digits = Recordings(nmnist(data), recipe)
        out.mkdir(parents=True, exist_ok=True)
        lines = [f"{path.resolve()} {label}\n" for path, label in read_index(data, 10)[::5]]
        (out / "held_out.txt").write_text("".join(lines))
    else:
        images, labels = read_images(data, "train")
        held_out = min(HELD_OUT_IMAGES, len(images) // 5)
        pictures, classes = torch.from_numpy(images.copy()), torch.from_numpy(labels.copy())
        digits = Images(pictures, classes.long(), recipe, held_out)
    train(out, digits, recipe, updates=updates, resume=resume)
    return out / "last.pt"
