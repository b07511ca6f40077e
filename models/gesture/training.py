"""What `edgesnn train gesture` does: gather the clips it was pointed at, train, validate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from edgesnn.errors import InputError

from .data import Clip, real_clips
from .dvs_gesture import dvs_gesture
from .train import Recipe, held_out, train, with_variants

RECORDINGS_SHARE = 0.3
"""Share of recordings in a batch when there are simulated clips as well."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What came out: the last checkpoint, and the clips it was validated on, by name."""

    checkpoint: Path
    checks: dict[str, list[Clip]]


def train_gesture(
    out: Path,
    *,
    data: Path | None = None,
    clips: Path | None = None,
    recordings: Path | None = None,
    validate: Path | None = None,
    start: Path | None = None,
    resume: bool = False,
    updates: int | None = None,
    seed: int = 0,
    recipe: Recipe | None = None,
) -> Trained:
    """Train the gesture network; checkpoints and the log go to `out`.

    data: folder of the official DVS128 Gesture set; its train split is trained on, its test split
        validates. clips: folder of simulated shards (`edgesnn.models.gesture.clips`); the first
        shard validates. recordings: labelled folder (labels.csv) that is trained on too.
    validate: labelled folder that is only validated, as it is and with its mirror images and
        time reversals. start: checkpoint to begin from. updates, seed: of the recipe.
    Raises InputError.
    """
    trained: list[Clip] = []
    checks: dict[str, list[Clip]] = {}
    if data is not None:
        trained += dvs_gesture(data, "train")
        checks["DVS128 Gesture, test split"] = dvs_gesture(data, "test")
    if recordings is not None:
        trained += real_clips(recordings)
    if clips is not None:
        if not any(clips.glob("shard_*.npz")):
            raise InputError(
                f"there are no shard_*.npz in {clips}; make them with: "
                "python -m edgesnn.models.gesture.clips --out DIR"
            )
        checks["simulated gestures, held out"] = held_out(clips)
    if validate is not None:
        real = real_clips(validate)
        checks[f"recordings of {validate.name}"] = real
        checks[f"recordings of {validate.name}, mirrored and reversed too"] = with_variants(real)
    if not trained and clips is None:
        raise InputError("there is nothing to train on: give --data, --clips or --recordings")
    if not checks:
        checks["the recordings it was trained on"] = trained
    share = 1.0 if clips is None else RECORDINGS_SHARE if trained else 0.0
    recipe = recipe or Recipe()
    recipe = replace(recipe, seed=seed, share=share, updates=updates or recipe.updates)
    train(out, clips, trained, checks, recipe, start, resume)
    return Trained(out / "last.pt", checks)
