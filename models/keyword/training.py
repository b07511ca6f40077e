"""What `edgesnn train keyword` does: find out what a folder holds, and train on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from edgesnn.errors import InputError
from edgesnn.senses.hearing import HearingSpec
from edgesnn.sources.sound_file import read_sound

from .data import Word, background, fsdd, speech_commands, spike_file, split_fsdd
from .material import Material, Sounds, Spikes
from .net import LABELS
from .recipe import Recipe
from .train import train

SHD_CLASSES, SSC_CLASSES = 20, 35


def train_keyword(
    out: Path,
    *,
    data: Path,
    words: Path | None = None,
    noise: Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
    resume: bool = False,
    recipe: Recipe | None = None,
    portable: bool = False,
) -> tuple[Path, Material]:
    """Train the keyword network; return its checkpoint, and what it was trained and tested with.

    Checkpoints and the log go to `out`.

    data: folder of the Free Spoken Digit Dataset (takes 10 and above are trained on, 5 to 9 test),
        of Google Speech Commands (WORD/*.wav; testing_list.txt tests), of SHD or of SSC
        (shd_train.h5, shd_test.h5; ssc_train.h5, ssc_test.h5).
    portable: neurons as Loihi has them (`layers.leaky.StockLeaky`).
    words: more words in the layout of Speech Commands. noise: folder of sounds to mix in.
    Raises InputError.
    """
    recipe = recipe or Recipe()
    if portable:
        recipe = replace(recipe, shape={**recipe.shape, "neuron": "stock"})
    recipe = replace(recipe, seed=seed).lasting(epochs or recipe.epochs)
    material = material_of(data, words, noise)
    train(out, material, recipe, resume=resume)
    return out / "last.pt", material


def material_of(data: Path, words: Path | None, noise: Path | None) -> Material:
    """Return what a folder gives; see `train_keyword`."""
    spikes = sorted(data.glob("s[hs][dc]_train.h5"))
    return _spikes(data, spikes[0].name[:3]) if spikes else sounds(data, words, noise)


def _spikes(data: Path, name: str) -> Material:
    classes = SHD_CLASSES if name == "shd" else SSC_CLASSES
    trained = spike_file(data / f"{name}_train.h5", classes=classes)
    tested = spike_file(data / f"{name}_test.h5", classes=classes)
    labels = tuple(f"class {i}" for i in range(classes))
    return Spikes(labels, trained, {f"{name} test": tested})


def sounds(
    data: Path, words: Path | None, noise: Path | None, *, held_out: str | None = None
) -> Material:
    """Return what a folder of recorded words gives; see `train_keyword`.

    held_out: a speaker of the Free Spoken Digit Dataset, who is tested on and not trained on.
    """
    spec = HearingSpec()
    rate_hz = spec.rate_hz
    if any((data / label).is_dir() for label in LABELS):
        trained = speech_commands(data, rate_hz, test=False)
        tests = {"Speech Commands, testing list": speech_commands(data, rate_hz, test=True)}
        digits = [word for word in trained if word.label < len(LABELS) - 1]
        extra = [word for word in trained if word.label == len(LABELS) - 1]
        trained, tests = digits, {k: _digits(v) for k, v in tests.items()}
    else:
        spoken = fsdd(data, rate_hz)
        trained, tested = split_fsdd(spoken)
        tests, extra = {"FSDD, takes 5 to 9": tested}, []
        if held_out is not None:
            trained = [word for word in trained if word.speaker != held_out]
            tests = {f"FSDD, {held_out}": [w for w in spoken if w.speaker == held_out]}
    if words is not None:
        extra = extra + speech_commands(words, rate_hz)
    if not trained or not all(tests.values()):
        raise InputError(f"{data} holds too few digits: nothing to train on, or to test with")
    noises = [] if noise is None else background(noise, rate_hz)
    for path in sorted((data / "_background_noise_").glob("*.wav")):
        noises.append(read_sound(path, rate_hz).astype(np.float32))
    return Sounds(trained, extra, noises, tests, spec)


def _digits(words: list[Word]) -> list[Word]:
    return [word for word in words if word.label < len(LABELS) - 1]
