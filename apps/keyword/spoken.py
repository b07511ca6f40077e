"""Recordings of spoken digits, as the Free Spoken Digit Dataset names them: D_SPEAKER_I.wav."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgesnn.errors import InputError

_NAME = re.compile(r"(\d)_([A-Za-z0-9]+)_(\d+)\.(?:wav|flac|ogg)")


@dataclass(frozen=True, slots=True)
class Spoken:
    """One recording. digit: 0 to 9; take: the number at the end of its name."""

    path: Path
    digit: int
    speaker: str
    take: int


def spoken_digits(directory: Path, takes: tuple[int, int] | None = None) -> list[Spoken]:
    """Return the recordings of DIR/recordings, or of DIR and its folders, sorted by name.

    takes: only those from the first to the last of these numbers. Raises InputError when there is
    none.
    """
    if not directory.is_dir():
        raise InputError(f"there is no folder {directory}")
    folder = directory / "recordings" if (directory / "recordings").is_dir() else directory
    found = []
    folders = [folder, *sorted(inner for inner in folder.iterdir() if inner.is_dir())]
    for path in [path for inner in folders for path in sorted(inner.iterdir())]:
        named = _NAME.fullmatch(path.name)
        if named is not None:
            digit, speaker, take = named.groups()
            found.append(Spoken(path, int(digit), speaker, int(take)))
    if not found:
        raise InputError(f"{folder} holds no D_SPEAKER_I.wav, such as 7_jackson_32.wav")
    first, last = takes or (0, max(item.take for item in found))
    chosen = [item for item in found if first <= item.take <= last]
    if not chosen:
        raise InputError(f"{folder} holds no recording numbered {first} to {last}")
    return chosen


def takes_typed(text: str) -> tuple[int, int]:
    """Return the range that was typed, such as 5-9; raises InputError."""
    first, _, last = text.partition("-")
    last = last or first
    numbers = all(part.isdecimal() and len(part) < 10 for part in (first, last))
    if not numbers or int(first) > int(last):
        raise InputError(f"--takes {text[:40]} is no range; give two numbers such as 5-9")
    return int(first), int(last)
