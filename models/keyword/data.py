"""Data sets of spoken words: Free Spoken Digit Dataset, Speech Commands folders, SHD and SSC files.

Words are sounds (float32 samples in [-1, 1] at the rate of the hearing), or, where a data set holds
spikes already, event counts per frame and channel.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.apps.keyword.spoken import spoken_digits
from edgesnn.errors import InputError, MissingDependency
from edgesnn.sources.sound_file import read_sound

from .net import LABELS, UNKNOWN

Sound = NDArray[np.float32]
Counts = NDArray[np.uint8]
SHD_UNITS, SHD_CHANNELS, STEP_S = 700, 140, 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Word:
    """One recorded word. speaker: "" where unknown; index: of FSDD, -1 elsewhere."""

    name: str
    label: int
    speaker: str
    index: int
    sound: Sound


@dataclass(frozen=True, slots=True, eq=False)
class SpikeTrain:
    """One recording that holds spikes already. counts: uint8 (steps, 2, channels), 10 ms a step.

    All spikes are ON.
    """

    label: int
    counts: Counts


def fsdd(directory: Path, rate_hz: int) -> list[Word]:
    """Return the words of `recordings/D_SPEAKER_I.wav`; raises InputError when there is none."""
    return [
        _word(item.path, item.digit, item.speaker, item.take, rate_hz)
        for item in spoken_digits(directory)
    ]


def speech_commands(directory: Path, rate_hz: int, *, test: bool | None = None) -> list[Word]:
    """Return the words of `WORD/*.wav`: digits by their names, all other words "unknown".

    The speaker is the part of the file's name before "_nohash_". Folders that begin with "_"
    (background noise) are left out. test: only those that testing_list.txt names, or only the
    others. Raises InputError when there is none.
    """
    listed = directory / "testing_list.txt"
    tests = set(listed.read_text().split()) if listed.is_file() else set()
    found = []
    for path in sorted(directory.glob("*/*.wav")):
        if test is not None and (path.relative_to(directory).as_posix() in tests) != test:
            continue
        word = path.parent.name.lower()
        if not word.startswith("_"):
            label = LABELS.index(word) if word in LABELS else UNKNOWN
            found.append(_word(path, label, path.stem.split("_nohash_")[0], -1, rate_hz))
    if not found:
        raise InputError(f"{directory} holds no WORD/*.wav, such as seven/0a7c2a8d_nohash_0.wav")
    return found


def background(directory: Path, rate_hz: int) -> list[Sound]:
    """Return all sounds below a folder (.wav, .ogg, .flac), noise to mix in."""
    paths = sorted(p for kind in ("wav", "ogg", "flac") for p in directory.rglob(f"*.{kind}"))
    if not paths:
        raise InputError(f"{directory} holds no .wav, .ogg or .flac")
    return [read_sound(path, rate_hz).astype(np.float32) for path in paths]


def spike_file(path: Path, *, classes: int) -> list[SpikeTrain]:
    """Return the recordings of an SHD or SSC file (HDF5: spikes/times, spikes/units, labels).

    700 units are summed in fives, times (seconds) in steps of 10 ms. Raises InputError for a file
    of another layout, MissingDependency without h5py.
    """
    try:
        import h5py  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise MissingDependency(
            'SHD and SSC files need h5py; install it with: pip install ".[train]"'
        ) from error
    try:
        with h5py.File(path, "r") as file:
            times, units = file["spikes"]["times"], file["spikes"]["units"]
            labels = np.asarray(file["labels"], np.int64)
            if len(times) != len(labels) or len(units) != len(labels):
                raise InputError(f"{path}: {len(times)} recordings but {len(labels)} labels")
            if labels.size and not 0 <= labels.min() <= labels.max() < classes:
                raise InputError(f"{path}: labels are not from 0 to {classes - 1}")
            return [
                SpikeTrain(int(labels[i]), _binned(path, times[i], units[i]))
                for i in range(len(labels))
            ]
    except (OSError, KeyError) as error:
        raise InputError(
            f"{path} is no SHD or SSC file (wanted spikes/times, spikes/units and labels): {error}"
        ) from error


def _binned(path: Path, times: Any, units: Any) -> Counts:
    t, unit = np.asarray(times, np.float64), np.asarray(units, np.int64)
    if unit.size and not 0 <= unit.min() <= unit.max() < SHD_UNITS:
        raise InputError(f"{path}: units are not from 0 to {SHD_UNITS - 1}")
    step = (t / STEP_S).astype(np.int64)
    counts = np.zeros((int(step.max(initial=0)) + 1, 2, SHD_CHANNELS), np.int64)
    np.add.at(counts[:, 1], (step, unit * SHD_CHANNELS // SHD_UNITS), 1)
    return np.minimum(counts, 255).astype(np.uint8)


def _word(path: Path, label: int, speaker: str, index: int, rate_hz: int) -> Word:
    sound = read_sound(path, rate_hz).astype(np.float32)
    return Word(path.name, label, speaker, index, sound)


def split_fsdd(words: Iterable[Word]) -> tuple[list[Word], list[Word]]:
    """Return (to train on, to test on): takes 5 to 9 test, those above train.

    Takes 0 to 4 are the official test set: they are in neither.
    """
    words = list(words)
    return [w for w in words if w.index >= 10], [w for w in words if 5 <= w.index < 10]
