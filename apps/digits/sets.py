"""Labelled digits: N-MNIST recordings with an index file, one line `name label` each."""

from __future__ import annotations

from pathlib import Path

from edgesnn.errors import InputError
from edgesnn.text import shown

_SUFFIXES = (".bs2", ".bin")


def read_index(where: Path, classes: int) -> list[tuple[Path, int]]:
    """Return (recording, label) for each line of an index file, in its order.

    where: the index file, or a folder with just one .txt. A name may lack its suffix (.bs2, .bin);
    lines that begin with # are skipped. Raises InputError naming file and line.
    """
    index = where if where.is_file() else _only_text(where)
    try:
        lines = index.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{index} is not a text file: {error}") from error
    found = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        label = words[1][-9:].strip("+-_") if len(words) == 2 else ""
        if label != words[-1] or not label.isdecimal() or int(label) >= classes:
            raise InputError(
                f"{index}, line {number}: {shown(line.strip()[:80])!r} is not `name label` with a "
                f"label from 0 to {classes - 1}"
            )
        found.append((_recording(index, number, words[0]), int(label)))
    if not found:
        raise InputError(f"{index} names no recording; wanted a line `name label` for each")
    return found


def _only_text(folder: Path) -> Path:
    if not folder.is_dir():
        raise InputError(f"there is no folder or index file {folder}")
    texts = sorted(folder.glob("*.txt"))
    if len(texts) != 1:
        found = ", ".join(path.name for path in texts) or "none"
        raise InputError(
            f"{folder} needs one index file (.txt, a line `name label` for each recording); found "
            f"{found}; name the index file itself, or see that there is one"
        )
    return texts[0]


def _recording(index: Path, number: int, name: str) -> Path:
    path = index.parent / name
    for found in (path, *(Path(f"{path}{suffix}") for suffix in _SUFFIXES)):
        if found.is_file():
            return found
    raise InputError(f"{index}, line {number}: there is no {path} (nor with .bs2 or .bin)")
