"""The window's own process: pictures come in on stdin, `python -m edgesnn.sinks.window_process`.

A window wants the main thread (macOS), may not move between threads (Qt), and ends the process
when the display does not answer (Qt again). A process of its own gives it all that, and the run
keeps its interpreter for itself.

Protocol: the title as one line; we answer "ready" on stdout once the window is up; then pictures,
each as height and width (int32, little-endian) and height * width * 3 bytes, blue first. The
process ends when stdin does, and on q, Esc or the closing of the window. It tells the key d on
stdout.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
from io import RawIOBase

import numpy as np
from numpy.typing import NDArray

SIZE = struct.Struct("<ii")
_ENDS = (27, ord("q"))
_TOLD = (ord("d"),)
_REFRESH_MS = 15


class _Newest:
    """Reads pictures on a thread of its own and keeps the newest one."""

    def __init__(self, stream: RawIOBase) -> None:
        self.picture: NDArray[np.uint8] | None = None
        self.ended = False
        threading.Thread(target=self._read_all, args=(stream,), daemon=True).start()

    def _read_all(self, stream: RawIOBase) -> None:
        while head := _exactly(stream, SIZE.size):
            height, width = SIZE.unpack(head)
            if pixels := _exactly(stream, height * width * 3):
                self.picture = np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
        self.ended = True


def _exactly(stream: RawIOBase, count: int) -> bytes:
    """Read that many bytes; none when the stream ends before."""
    parts, missing = [], count
    while missing:
        part = stream.read(missing)
        if not part:
            return b""
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def main() -> None:
    """Show pictures until there are no more or the user has seen enough."""
    import cv2

    # Unbuffered: the reading thread must hold no lock when the interpreter shuts down.
    pictures = os.fdopen(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    title = pictures.readline().decode().strip()
    cv2.namedWindow(title, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    newest, shown = _Newest(pictures), None
    while not newest.ended:
        if newest.picture is not None and newest.picture is not shown:
            shown = newest.picture
            cv2.imshow(title, shown)
        key = cv2.waitKey(_REFRESH_MS) & 0xFF
        if key in _ENDS:
            break
        if key in _TOLD:
            sys.stdout.write(chr(key))
            sys.stdout.flush()
        if cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) < 1:
            break


if __name__ == "__main__":
    main()
