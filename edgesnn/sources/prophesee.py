"""Recordings of Prophesee's cameras: .raw files of what the sensor sent (EVT 2.0, 2.1, 3.0).

A head of lines that begin with "%" says how words are encoded and, since 2022 or so, how large the
sensor is; older heads name the plugin of the camera, which tells it. Layout: Prophesee, "RAW File
Format".
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

import numpy as np

from edgesnn.errors import InputError
from edgesnn.sources.evt import Decoder, Evt2, Evt3, Evt21, Words
from edgesnn.sources.found import Found, check_counts_us, counted
from edgesnn.sources.stored import Spool
from edgesnn.text import shown

_BLOCK_BYTES = 1 << 19
_TRIED_BYTES = 1 << 16
_MOST_HEAD_BYTES = 1 << 20
_SENSORS = {
    "gen31": (640, 480),
    "gen3": (640, 480),
    "gen41": (1280, 720),
    "gen4": (1280, 720),
    "imx636": (1280, 720),
    "genx320": (320, 320),
}
_UNKNOWN_SHARE = 100
"""One word in so many may be of no kind that the format has: more are another format's."""


def head_of(file: BinaryIO) -> dict[str, str]:
    """Read the lines of a head, "% keyword value", and stop where they end."""
    said: dict[str, str] = {}
    while file.tell() < _MOST_HEAD_BYTES:
        begins = file.tell()
        line = file.readline(4096)
        text = line.decode("utf-8", "replace").strip().replace("\t", " ")
        # Data may begin with "%" too; what follows is hardly ever text.
        if not (line.startswith(b"%") and line.endswith(b"\n") and text.isprintable()):
            file.seek(begins)
            break
        keyword, _, value = text[1:].strip().partition(" ")
        if keyword == "end":
            break
        said[keyword.lower()] = value.strip()
    return said


def events_from_prophesee(
    path: Path, size: tuple[int, int] | None = None, unit: str | None = None
) -> Found:
    """Read a .raw file; raises InputError when its head does not say how it is encoded, or lies."""
    check_counts_us(path, unit, "a .raw file")
    with path.open("rb") as file:
        head = head_of(file)
        name, parts = _format(head)
        decoder = _decoder(path, name, parts, file)
        spool, each, rest = Spool(), decoder.word.itemsize, 0
        while said := file.read(_BLOCK_BYTES):
            rest = len(said) % each
            words: Words = np.frombuffer(said[: len(said) - rest], decoder.word)
            spool.write(decoder.decode(words))
    if decoder.unknown * _UNKNOWN_SHARE > decoder.count:
        raise InputError(
            f"{path} says that it is {name}, and {decoder.unknown:,} of its {decoder.count:,} "
            "words are none of that: it is damaged, or its head is another file's"
        )
    notes = []
    if decoder.early:
        notes.append(
            f"{counted(decoder.early, 'event')} before the first time and place were left out: "
            "nothing says when and where they were"
        )
    if decoder.unknown:
        notes.append(f"{counted(decoder.unknown, 'word')} of no known kind said nothing")
    if rest:
        notes.append(f"its last {counted(rest, 'byte')} are no whole word: the file was cut off")
    return Found(spool, size or _size(head, parts), tuple(notes), decoder.clock_us)


def _format(head: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Return what words are, "EVT3", and the other parts of that line: height, width, ..."""
    name, *rest = head.get("format", "").split(";")
    parts = dict(part.lower().split("=", 1) for part in rest if "=" in part)
    if not name and "evt" in head:
        name = "EVT" + head["evt"].removesuffix(".0").replace(".", "")
    return name.strip().upper(), parts


def _decoder(path: Path, name: str, parts: dict[str, str], file: BinaryIO) -> Decoder:
    match name:
        case "EVT2":
            return Evt2()
        case "EVT21":
            return Evt21(_swapped(parts, file))
        case "EVT3":
            return Evt3()
    said = f"says that it is {shown(name)}" if name else "does not say how it is encoded"
    raise InputError(f"{path} {said}; edgesnn reads EVT 2.0, EVT 2.1 and EVT 3.0")


def _swapped(parts: dict[str, str], file: BinaryIO) -> bool:
    """Whether the halves of 64-bit words are swapped; where the head does not say, the words do."""
    if "endianness" in parts:
        return parts["endianness"] == "legacy"
    begins = file.tell()
    said = file.read(_TRIED_BYTES)
    file.seek(begins)
    first: Words = np.frombuffer(said[: len(said) // 8 * 8], Evt21.word)
    tried = [Evt21(swapped) for swapped in (False, True)]
    for one in tried:
        one.decode(first)
    plain, swapped_round = (one.unknown + one.early for one in tried)
    return swapped_round < plain


def _size(head: dict[str, str], parts: dict[str, str]) -> tuple[int, int] | None:
    """Return (width, height) as a head tells it, None where it does not."""
    told = [f"{parts.get('width', '')}x{parts.get('height', '')}", head.get("geometry", "")]
    for one in told:
        if found := re.fullmatch(r"(\d{1,5})x(\d{1,5})", one):
            width, height = int(found[1]), int(found[2])
            return (width, height) if width and height else None
    plugin = head.get("plugin_name", "").lower().split("_")
    return next((_SENSORS[part] for part in plugin if part in _SENSORS), None)
