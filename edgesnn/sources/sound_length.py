"""Whether a sound file holds what its header says: libsndfile plays what is there, and is silent.

.wav (RIFF) and .aiff (FORM) are chunks of a name, a length and that many bytes; the sound is one of
them. The last page of an .ogg has a mark.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

_MOST_CHUNKS = 1000
_UNKNOWN = (0, 0xFFFFFFFF)
"""Lengths of a sound that was written without going back to its header."""
_PAGES_BYTES = 1 << 17
_LAST_PAGE = 4


def length_notes(path: Path, heard_s: float) -> tuple[str, ...]:
    """Say it where a file is cut off, or holds more than is heard of it.

    heard_s: how long the sound is that is played, seconds.
    """
    size = path.stat().st_size
    with path.open("rb") as raw:
        mark = raw.read(4)
        if mark == b"OggS":
            return () if _ends(raw, size) else (f"the file is cut off after {heard_s:.1f} s",)
        if mark not in (b"RIFF", b"FORM"):
            return ()
        order: Literal["little", "big"] = "little" if mark == b"RIFF" else "big"
        end = None
        for name, at, length in chunks_of(raw, order):
            if end is None and name not in (b"data", b"SSND"):
                continue
            if end is not None and not name.isascii():
                break
            if end is None and length in _UNKNOWN:
                return ()
            if end is None and at + length > size:
                whole_s = heard_s * length / max(1, size - at)
                return (f"the file is cut off: {heard_s:.1f} of {whole_s:.1f} s are there",)
            end = at + length + length % 2
    behind = 0 if end is None else size - end
    if behind < 8:
        return ()
    told = f"{behind:,} bytes behind the sound, of which its header tells nothing, were not heard"
    return (told,)


def chunks_of(raw: BinaryIO, order: Literal["little", "big"]) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, begin and length of each chunk of a RIFF or FORM file."""
    at = 12
    for _ in range(_MOST_CHUNKS):
        raw.seek(at)
        head = raw.read(8)
        if len(head) < 8:
            return
        length = int.from_bytes(head[4:], order)
        yield head[:4], at + 8, length
        at += 8 + length + length % 2


def _ends(raw: BinaryIO, size: int) -> bool:
    """Whether the last page of an Ogg file is marked as such."""
    raw.seek(max(0, size - _PAGES_BYTES))
    tail = raw.read()
    at = tail.rfind(b"OggS")
    return at >= 0 and len(tail) > at + 5 and bool(tail[at + 5] & _LAST_PAGE)
