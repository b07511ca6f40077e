"""What a reader of recordings finds in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgesnn.errors import InputError
from edgesnn.events import Events
from edgesnn.sources.stored import Stored, stored

_MOST_BYTES, _MOST_PACKED = 100_000_000, 100
"""Unpacked, and how many times the packed size: more than that no recording shrinks."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """events: in file order, times as the file has them; an array, or stored where a file may be
    larger than memory. size: (width, height) of the sensor, None where the file does not say.
    notes: sentences about what was mended, for people. until_us: up to when the source was silent
    after the last event; None where the file does not say.
    """

    events: Events | Stored
    size: tuple[int, int] | None
    notes: tuple[str, ...] = ()
    until_us: int | None = None

    def in_memory(self) -> Events:
        """Return all events as an array, (n,)."""
        kept = stored(self.events)
        return kept.read(0, len(kept))


def check_read(path: Path, what: str = "") -> None:
    """Raise InputError unless there is a plain file: no folder, pipe or device.

    what: the option that names it, for the sentence.
    """
    told = f"{what} {path}".strip()
    if path.is_dir():
        raise InputError(f"{told} is a folder; give one file of it")
    if not path.exists():
        raise InputError(f"there is no file {path}")
    if not path.is_file():
        raise InputError(f"{told} is a pipe or a device; copy it to a file")


def check_plain(path: Path) -> None:
    """The same of what is played."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(
            f"{path} is a pipe or a device, and only files are played; copy it to one, or give "
            "raw sound to --stdin"
        )
    check_read(path)


def check_counts_us(path: Path, unit: str | None, what: str) -> None:
    """Raise InputError where the user tells another unit for a format that has microseconds."""
    if unit not in (None, "us"):
        raise InputError(f"{path}: {what} counts in microseconds; leave --time-unit out")


def check_unpacks(path: Path, unpacked: int) -> None:
    """Raise InputError for a file that says it holds more than one of its size does, in bytes."""
    packed = max(1, path.stat().st_size)
    if unpacked > _MOST_BYTES and unpacked > _MOST_PACKED * packed:
        raise InputError(
            f"{path} says that its {packed:,} bytes unpack to {unpacked:,}: more than "
            f"{_MOST_PACKED} times as many, which no recording does; it is damaged"
        )


def counted(n: int, one: str, many: str | None = None) -> str:
    """Return "1 event" or "3 events"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"
