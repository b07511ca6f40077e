"""What is said between a stream's process and the Lava network, over two pipes.

To the network: one byte, the command, and after STEP the input x (uint8). From it: "R" once it
runs; "Y" and the output (int32, little endian) after every command; "E", a length of four bytes
and a text when something failed.
"""

from __future__ import annotations

import os
import struct

STEP, LOAD, DUMP = 1, 2, 3
RUNS, OUTPUT, FAILED = b"R", b"Y", b"E"
STATE = "state.npz"
"""What LOAD reads, in the folder that both sides know; DUMP writes NODE.npz for each node."""
_LONGEST = 1000


def take(fd: int, count: int) -> bytes:
    """Read so many bytes; a pipe that was closed raises EOFError."""
    parts = bytearray()
    while len(parts) < count:
        part = os.read(fd, count - len(parts))
        if not part:
            raise EOFError("the stream's process is gone")
        parts += part
    return bytes(parts)


def fail(fd: int, text: str) -> None:
    """Tell that something failed: in one write, so that no other process comes between."""
    said = text.encode(errors="replace")[:_LONGEST]
    os.write(fd, FAILED + struct.pack("<I", len(said)) + said)
