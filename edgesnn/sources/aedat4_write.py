"""Write AEDAT4 from NumPy, uncompressed: one copy an event and no dv-processing.

dv-processing's writer wants its own store, which takes NumPy events one by one (about 1 M events/s
with the interpreter locked). The layout (inivation's AEDAT4 description; every number checked
against a file that dv-processing wrote), little endian:

    #!AER-DAT4.0\\r\\n
    size, FlatBuffer "IOHE": compression 0 = none, position of the packet table -1 = none, XML text
    then packets: stream id, size, and a FlatBuffer "EVTS": one vector of 16-byte events

Readers without the table find the packets by walking over them, which is also what they do with a
file whose writer was killed: everything flushed can be read.
"""

from __future__ import annotations

import struct
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from edgesnn.events import EVENT, Events
from edgesnn.stream.slicer import RESET_US

_MAGIC = b"#!AER-DAT4.0\r\n"
_UNTIL = b'<attr key="silentUntil" type="string">'
_PACKET_EVENTS = 10_000
"""What dv-processing puts into a packet."""
_XML = """<dv version="2.0">
    <node name="outInfo" path="/outInfo/">
        <node name="0" path="/outInfo/0/">
            <attr key="compression" type="string">NONE</attr>
            <attr key="originalModuleName" type="string">edgesnn</attr>
            <attr key="originalOutputName" type="string">events</attr>
            <attr key="typeDescription" type="string">Array of events (polarity ON/OFF).</attr>
            <attr key="typeIdentifier" type="string">EVTS</attr>
            <node name="info" path="/outInfo/0/info/">
                <attr key="sizeX" type="int">{width}</attr>
                <attr key="sizeY" type="int">{height}</attr>
                <attr key="source" type="string">{camera}</attr>
                <attr key="silentUntil" type="string">{until:020d}</attr>
            </node>
        </node>
    </node>
</dv>
"""


class Aedat4File:
    """An open file of one event stream; write batches, then close.

    Times in an AEDAT4 never fall: after a jump back as the slicer knows it the recording goes on
    where the clock was, as the slicer does; a late event gets the time of the one before it.
    changed: events whose time had to be changed. until_us: up to when nothing came after the last
    event, told before `close`; the format has no place for it, so it is an attribute of our own in
    the header, which other readers pass over.
    """

    def __init__(self, path: Path, camera: str, size: tuple[int, int]) -> None:
        self._file = path.open("wb")
        self._last_us = -(2**62)
        self._offset_us = 0
        self.changed = 0
        self.until_us: int | None = None
        self._head = _MAGIC + _header(camera, size)
        self._file.write(self._head)
        self._file.flush()

    def write(self, events: Events) -> None:
        """Append events, shape (n,), dtype EVENT, n > 0; raises OSError (disk full)."""
        t = self._rising(events["t"] + self._offset_us)
        rows = np.zeros(len(events), EVENT)  # the padding is written too: no stray memory
        rows["t"] = t
        for name in ("x", "y", "p"):
            rows[name] = events[name]
        for first in range(0, len(rows), _PACKET_EVENTS):
            part = rows[first : first + _PACKET_EVENTS]
            self._file.write(_packet_head(len(part)) + part.tobytes())
        self._file.flush()

    def _rising(self, t: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return times as the file tells them, and count those that had to be changed."""
        told = t.copy()
        while True:
            clock = np.maximum.accumulate(np.concatenate([[self._last_us], told]))[:-1]
            jumps = told < clock - RESET_US
            if not jumps.any():
                break
            at = int(jumps.argmax())
            self._offset_us += int(clock[at] - told[at])
            told[at:] += clock[at] - told[at]
        rising: NDArray[np.int64] = np.maximum(told, clock)
        self.changed += int(np.count_nonzero(rising != t))
        self._last_us = int(rising[-1])
        return rising

    def close(self) -> None:
        """Write until when it was silent and close the file; it was readable all the time."""
        if self.until_us is not None and self.until_us + self._offset_us > max(0, self._last_us):
            at = self._head.index(_UNTIL) + len(_UNTIL)
            self._file.seek(at)
            self._file.write(b"%020d" % (self.until_us + self._offset_us))
        self._file.close()


def silent_until(header: bytes) -> int | None:
    """Return until when a file of ours was silent after its last event; None where it is not told.

    header: the beginning of a file, all of its XML text.
    """
    _, found, rest = header.partition(_UNTIL)
    told = rest[:20]
    return int(told) or None if found and told.isdigit() and len(told) == 20 else None


def _header(camera: str, size: tuple[int, int]) -> bytes:
    info = _XML.format(width=size[0], height=size[1], camera=escape(camera), until=0).encode()
    # Root at 24, file id, two bytes of padding twice over, then the vtable at 14: its size, the
    # table's size, and where in the table compression, table position and text are.
    fixed = struct.pack("<I4s6x5H", 24, b"IOHE", 10, 24, 4, 12, 8)
    table = struct.pack("<iiIq4x", 10, 0, 16, -1)
    body = fixed + table + struct.pack("<I", len(info)) + info + b"\0"
    body += b"\0" * (-len(body) % 8)
    return struct.pack("<I", len(body)) + body


def _packet_head(n: int) -> bytes:
    """Return all of a packet of n events that comes before them."""
    # Stream 0 and the size of what follows; then the FlatBuffer: its size, root at 16, file id,
    # the vtable at 10 (its size, the table's size, the vector's place), the table, the length.
    return struct.pack("<iIII4s2x3HiII", 0, 32 + 16 * n, 28 + 16 * n, 16, b"EVTS", 6, 8, 4, 6, 4, n)
