"""Keep what a source gave: .aedat4 through dv-processing, or our own .npz.

A thread of its own writes; the reading thread only queues packets. When a live source is faster
than the writer, whole packets are left out, and the number is told at the end: never silently.
A recording as the source is waited for instead. Whatever ends the run, close finalises the file.
"""

from __future__ import annotations

import queue
import sys
import threading
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgesnn.decision import Decision, Monitor, RunInfo, Summary
from edgesnn.errors import InputError, RunError
from edgesnn.events import EVENT, Events, Packet
from edgesnn.sources.camera import dv_processing
from edgesnn.sources.npz import npz_from_events

_QUEUED_PACKETS = 2048
_END = None


class _Writer(Protocol):
    def write(self, events: Events) -> None: ...

    def close(self) -> None: ...


class Recorder:
    """The sink behind --record. path: ends in .aedat4 or .npz; an existing file is replaced."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        if self._path.suffix not in (".aedat4", ".npz"):
            raise InputError(f"--record {path}: the name must end in .aedat4 or .npz")
        self._queue: queue.Queue[Events | None] = queue.Queue(_QUEUED_PACKETS)
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None
        self._can_wait = False
        self.left_out = 0
        """Events that were not written because the writer was too slow."""

    def open(self, info: RunInfo, monitor: Monitor) -> None:
        """Create the file; raises InputError when that is not possible."""
        if not self._path.parent.is_dir():
            raise InputError(f"--record {self._path}: there is no folder {self._path.parent}")
        try:
            writer: _Writer = (
                _NpzWriter(self._path, info.size)
                if self._path.suffix == ".npz"
                else _Aedat4Writer(self._path, info)
            )
        except (OSError, RuntimeError) as error:
            first = str(error).strip().splitlines()[0]
            raise InputError(f"--record {self._path} cannot be written: {first}") from error
        self._can_wait = info.can_wait
        self._thread = threading.Thread(
            target=self._write_all, args=(writer,), name="edgesnn-recorder"
        )
        self._thread.start()

    def packet(self, packet: Packet) -> None:
        """Queue a packet for writing; raises RunError once writing has failed."""
        if self._failure is not None:
            raise self._failed()
        if not len(packet.events):
            return
        if self._can_wait:
            self._put(packet.events)
        else:
            try:
                self._queue.put_nowait(packet.events)
            except queue.Full:
                self.left_out += len(packet.events)

    def decision(self, decision: Decision) -> None:
        """Decisions are not recorded: they follow from the events."""

    def close(self, summary: Summary | None) -> None:
        """Write what is queued and finalise the file; raises RunError when that failed."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._put(_END)
        thread.join()
        if self.left_out:
            print(
                f"edgesnn: {self._path.name} lacks {self.left_out} events; writing was slower than "
                "the camera (.npz is the faster format)",
                file=sys.stderr,
            )
        if self._failure is not None:
            raise self._failed()

    def _failed(self) -> RunError:
        return RunError(f"recording to {self._path} failed: {self._failure}")

    def _put(self, events: Events | None) -> None:
        """Wait for room, unless the writer has failed and nobody empties the queue."""
        while self._failure is None:
            try:
                return self._queue.put(events, timeout=0.1)
            except queue.Full:
                continue

    def _write_all(self, writer: _Writer) -> None:
        try:
            while (events := self._queue.get()) is not _END:
                writer.write(events)
            writer.close()
        except Exception as error:
            self._failure = error


class _NpzWriter:
    """Raw events go to PATH.raw as they come; close turns them into the .npz."""

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        self._path, self._size = path, size
        self._raw = path.with_name(path.name + ".raw")
        self._file = self._raw.open("wb")

    def write(self, events: Events) -> None:
        self._file.write(np.ascontiguousarray(events).view(np.uint8).data)

    def close(self) -> None:
        self._file.close()
        empty = self._raw.stat().st_size == 0
        events = np.empty(0, EVENT) if empty else np.memmap(self._raw, EVENT, "r")
        npz_from_events(self._path, events, self._size)
        self._raw.unlink()


class _Aedat4Writer:
    """dv-processing wants times that never fall: after a jump back the recording goes on where
    the clock was, as the slicer does."""

    def __init__(self, path: Path, info: RunInfo) -> None:
        self._dv: Any = dv_processing()
        name = info.source.partition(":")[2] or info.source
        config = self._dv.io.MonoCameraWriter.EventOnlyConfig(
            name, info.size, self._dv.CompressionType.LZ4
        )
        self._writer: Any = self._dv.io.MonoCameraWriter(str(path), config)
        self._last_us = 0
        self._offset_us = 0

    def write(self, events: Events) -> None:
        store = self._dv.EventStore()
        push = store.push_back
        t = events["t"] + self._offset_us
        if int(t[0]) < self._last_us:
            self._offset_us += self._last_us - int(t[0])
            t = events["t"] + self._offset_us
        t = np.maximum.accumulate(t)
        rows = zip(
            t.tolist(),
            events["x"].tolist(),
            events["y"].tolist(),
            events["p"].tolist(),
            strict=True,
        )
        for row in rows:
            push(*row)
        self._last_us = int(t[-1])
        self._writer.writeEvents(store)

    def close(self) -> None:
        # There is no close: the file is finalised when the writer is destroyed.
        self._writer = None
