"""Events that lie in a file, read piece by piece: memory does not grow with the recording.

Formats that are not events as they lie in memory are decoded into a spool: in memory while it is
small, and in a temporary file without a name when it is not.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO, Protocol

import numpy as np

from edgesnn.errors import InputError, RunError
from edgesnn.events import EVENT, Events

BLOCK = 1 << 20
"""Events that are read at once: 16 MB."""
_HELD_BYTES = 64_000_000


class Stored(Protocol):
    """Events in the order of a recording, wherever they lie."""

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def read(self, first: int, stop: int) -> Events:
        """Return events first, first + 1, ... before stop, or up to the last; raises OSError."""
        ...


class Held:
    """Events in memory."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._events)

    def read(self, first: int, stop: int) -> Events:
        """Return a part of them, not copied."""
        return self._events[first:stop]


class InFile:
    """`count` events from byte `begins` of an open file on, which is closed with the last of us."""

    def __init__(self, file: IO[bytes], begins: int, count: int) -> None:
        self._file, self._begins, self._count = file, begins, count

    def __del__(self) -> None:
        """Close the file: nothing else knows when the last event was read."""
        self._file.close()

    def __len__(self) -> int:
        """Return how many there are."""
        return self._count

    def read(self, first: int, stop: int) -> Events:
        """Return a part of them."""
        stop = min(stop, self._count)
        self._file.seek(self._begins + first * EVENT.itemsize)
        said = self._file.read(max(0, stop - first) * EVENT.itemsize)
        if len(said) < (stop - first) * EVENT.itemsize:
            raise InputError("the recording became shorter while it was played")
        return np.frombuffer(said, EVENT)


class Part:
    """Some of the events of others."""

    def __init__(self, of: Stored, first: int, stop: int) -> None:
        self._of, self._first, self._stop = of, first, stop

    def __len__(self) -> int:
        """Return how many there are."""
        return self._stop - self._first

    def read(self, first: int, stop: int) -> Events:
        """Return a part of them."""
        return self._of.read(self._first + first, self._first + min(stop, len(self)))


class Spool(InFile):
    """Takes events in pieces, or bytes of them, and gives them back when it has all."""

    def __init__(self) -> None:
        super().__init__(tempfile.SpooledTemporaryFile(_HELD_BYTES), 0, 0)
        self.bytes = 0

    def write(self, events: Events) -> None:
        """Append events; raises RunError (no room for temporary files)."""
        self.write_bytes(np.ascontiguousarray(events).view(np.uint8).data)

    def write_bytes(self, said: bytes | memoryview) -> None:
        """Append bytes of events, cut anywhere."""
        try:
            self._file.write(said)
        except OSError as error:
            raise RunError(
                f"no room for temporary files in {tempfile.gettempdir()} "
                f"({error.strerror or error}); name another folder in TMPDIR"
            ) from error
        self.bytes += len(said)
        self._count = self.bytes // EVENT.itemsize


def stored(events: Events | Stored) -> Stored:
    """Return events as stored ones."""
    return Held(events) if isinstance(events, np.ndarray) else events


def blocks_of(events: Stored) -> Iterator[tuple[int, Events]]:
    """Yield all events in blocks, each with the number of its first."""
    for first in range(0, len(events), BLOCK):
        yield first, events.read(first, first + BLOCK)
