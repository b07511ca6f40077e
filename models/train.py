"""What `edgesnn train gesture` does: gather the clips it was pointed at, train, validate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgesnn.errors import InputError

from .dvs_gesture import dvs_gesture
from .gesture_data import Clip, real_clips
from .train_gesture import Recipe, held_out, train, with_variants


def train_gesture(
    out: Path,
    *,
    data: Path | None = None,
    clips: Path | None = None,
    recordings: Path | None = None,
    validate: Path | None = None,
    start: Path | None = None,
    resume: bool = False,
    recipe: Recipe | None = None,
    updates: int | None = None,
    seed: int = 0,
) -> Path:
    """Train the gesture network and return the path of its last checkpoint, OUT/last.pt.

    data: folder of the official DVS128 Gesture set; its train split is trained on, its test split
        validates. clips: folder of simulated shards (`edgesnn.models.gesture_clips`); the first
        shard validates. recordings: labelled folder (labels.csv) that may be trained on too.
    validate: labelled folder that is only validated, as it is and with its mirror images and
        time reversals. start: checkpoint to begin from. recipe: None is the usual one for
        this data, with that many updates (None: as many as usual) and that seed.
    Raises InputError.
    """
    trained: list[Clip] = []
    checks: dict[str, list[Clip]] = {}
    if data is not None:
        trained += dvs_gesture(data, "train")
        checks["dvs128_gesture_test"] = dvs_gesture(data, "test")
    if recordings is not None:
        trained += real_clips(recordings)
    if clips is not None:
        if not any(clips.glob("shard_*.npz")):
            raise InputError(f"there are no shard_*.npz in {clips}; make them with gesture_clips")
        checks["simulated"] = held_out(clips)
    if validate is not None:
        real = real_clips(validate)
        checks["real"] = real
        checks["real_variants"] = with_variants(real)
    if recipe is None:
        recipe = Recipe(share=1.0 if clips is None else 0.3 if trained else 0.0, seed=seed)
        if updates is not None:
            recipe = replace(recipe, updates=updates)
    train(out, clips, trained, checks, recipe, start, resume)
    return out / "last.pt"
