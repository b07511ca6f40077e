"""Keep what a source gave: .aedat4 or our own .npz.

A thread of its own writes; the reading thread only queues packets. When a live source is faster
than the writer, whole packets are left out, and the number is told at the end: never silently.
A recording as the source is waited for instead. Whatever ends the run, close finalises the file.
"""

from __future__ import annotations

import stat
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Protocol

import numpy as np

from edgesnn.decide.decision import Decision
from edgesnn.errors import InputError, RunError
from edgesnn.events import EVENT, Events, Packet
from edgesnn.sinks.opening import Opening
from edgesnn.sinks.whole_file import same_file
from edgesnn.sources.aedat4_write import Aedat4File
from edgesnn.sources.npz_write import npz_from_events
from edgesnn.sources.raw import HEAD_BYTES, raw_head
from edgesnn.sources.stored import InFile
from edgesnn.stream.ring import Ring
from edgesnn.stream.sink import Monitor, RunInfo, Summary
from edgesnn.text import shown

_QUEUED_EVENTS = 4_000_000  # 64 MB
_QUEUED_PACKETS = 2048
_LOOK_UP_S = 0.1


def open_sink(value: Path, run: Opening) -> Recorder:
    """Record to the file `value`; raises InputError for a name that cannot be used."""
    return Recorder(value, run.playing)


class _Writer(Protocol):
    until_us: int | None  # up to when the source was silent; told before `close`

    def write(self, events: Events) -> None: ...

    def close(self) -> None: ...


class Recorder:
    """The sink behind --record.

    path: ends in .aedat4 or .npz; an existing file is replaced. playing: the recording that is the
    source, which is never replaced.
    """

    def __init__(self, path: str | Path, playing: str | Path | None = None) -> None:
        self._path = Path(path)
        self.name = f"--record {path}"
        if self._path.suffix.lower() not in (".aedat4", ".npz"):
            raise InputError(f"--record {path}: the name must end in .aedat4 or .npz")
        try:
            found = self._path.stat().st_mode if self._path.exists() else None
        except OSError as error:  # a name the system does not take
            raise InputError(f"--record {str(path)[:80]}: {error.strerror}") from error
        if found is not None and stat.S_ISDIR(found):
            raise InputError(f"--record {path} is a folder; give the name of a file")
        if found is not None and not stat.S_ISREG(found):
            raise InputError(f"--record {path} is no plain file; give the name of one")
        if playing is not None and same_file(self._path, Path(playing)):
            raise InputError(f"--record {path} is the recording being played; give another name")
        self._ring = Ring(_QUEUED_EVENTS, _QUEUED_PACKETS)
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None
        self._failed = threading.Event()
        self._can_wait = False
        self._changed = self._laps = 0
        self._until_us: int | None = None

    @property
    def left_out(self) -> int:
        """Events that were not written because the writer was too slow."""
        return self._ring.dropped_events

    def open(self, info: RunInfo, monitor: Monitor) -> None:
        """Create the file; raises InputError when that is not possible."""
        folder = self._path.parent
        if not folder.is_dir():
            raise InputError(f"--record {self._path}: there is no folder {folder}")
        try:
            writer: _Writer = (
                _NpzWriter(self._path, info.size)
                if self._path.suffix.lower() == ".npz"
                else Aedat4File(self._path, info.source.partition(":")[2], info.size)
            )
        except OSError as error:
            raise InputError(
                f"--record {self._path} cannot be written: {error.strerror or error}"
            ) from error
        self._can_wait = info.can_wait
        self._thread = threading.Thread(
            target=self._write_all, args=(writer,), name="edgesnn-recorder"
        )
        self._thread.start()

    def packet(self, packet: Packet) -> None:
        """Queue a packet for writing; raises RunError once writing has failed."""
        if self._failure is not None:
            raise self._error()
        self._until_us = packet.watermark_us
        self._laps += packet.begins
        if not len(packet.events):
            return
        if self._can_wait:
            self._ring.push_wait(packet, self._failed)
        else:
            self._ring.push(packet)

    def decision(self, decision: Decision) -> None:
        """Decisions are not recorded: they follow from the events."""

    def close(self, summary: Summary | None) -> None:
        """Write what is queued and finalise the file; raises RunError when that failed."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._ring.end()
        try:
            thread.join()
        except KeyboardInterrupt:
            kept = self._path.with_name(f"{self._path.name}.raw")
            rest = f"; what there is lies in {shown(kept.name)}" if kept.exists() else ""
            print(f"edgesnn: {shown(self._path.name)} was not finished{rest}", file=sys.stderr)
            raise
        if self.left_out:
            print(
                f"edgesnn: {shown(self._path.name)} lacks {self.left_out} events; writing was "
                "slower than the camera",
                file=sys.stderr,
            )
        if self._laps:
            print(
                f"edgesnn: {shown(self._path.name)} holds {self._laps + 1} laps one after the "
                "other; played back it is one recording, and no network is reset between them",
                file=sys.stderr,
            )
        if self._changed:
            print(
                f"edgesnn: {self._changed} events of {shown(self._path.name)} have other times "
                "than the source gave them: an .aedat4 cannot go back (an .npz keeps every time)",
                file=sys.stderr,
            )
        if self._failure is not None:
            raise self._error()

    def _error(self) -> RunError:
        return RunError(f"recording to {self._path} failed: {self._failure}")

    def _write_all(self, writer: _Writer) -> None:
        try:
            with closing(writer):
                while not self._ring.ended:
                    packet = self._ring.pop(_LOOK_UP_S)
                    if packet is not None:
                        writer.write(packet.events)
                writer.until_us = self._until_us
            self._changed = getattr(writer, "changed", 0)
        except Exception as error:
            self._failure = error
            self._failed.set()


class _NpzWriter:
    """Events go to PATH.raw as they come (`raw.py`); close turns them into the .npz.

    What a killed run left there can be played, and is never overwritten.
    """

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        self._path, self._size = path, size
        self.until_us: int | None = None
        self._raw = path.with_name(path.name + ".raw")
        try:
            self._file = self._raw.open("xb")
        except FileExistsError as error:
            raise InputError(
                f"--record {path}: {self._raw.name} is there, which a run that was killed may have "
                f"left (play it with --file {self._raw}); move it away, or give another name"
            ) from error
        self._file.write(raw_head(size))
        self._file.flush()

    def write(self, events: Events) -> None:
        self._file.write(np.ascontiguousarray(events).view(np.uint8).data)

    def close(self) -> None:
        self._file.close()
        with self._raw.open("rb") as raw:
            count = (self._raw.stat().st_size - HEAD_BYTES) // EVENT.itemsize
            events = InFile(raw, HEAD_BYTES, count)
            npz_from_events(self._path, events, self._size, self.until_us)
        self._raw.unlink()
