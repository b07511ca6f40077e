"""Lines on an output whose reader may leave (`| head -1`): then the run ends, in silence."""

from __future__ import annotations

import errno
import io
import select
import threading
import time
from typing import TextIO

from edgesnn.errors import RunError

_LOOK_EVERY_S = 0.1


class LineWriter:
    """Writes lines and flushes each; sets `stop` when the reader has left, and drops the rest."""

    def __init__(self, out: TextIO, stop: threading.Event) -> None:
        self._out = out
        self._stop = stop
        self._unread = False
        self._looked_s = 0.0
        self._poll = _poll(out)
        self._terminal = out.isatty()

    def write(self, line: str) -> None:
        """Write one line; raises RunError when the output fails (disk full)."""
        if self._unread:
            return
        try:
            self._out.write(line + "\n")
            self._out.flush()
        except (OSError, ValueError) as error:
            number = getattr(error, "errno", None)
            if number == errno.EPIPE or (number == errno.EIO and self._terminal):
                self._leave()  # of a terminal that was closed nothing else is said
                return
            why = getattr(error, "strerror", None) or error
            raise RunError(f"the output cannot be written: {why}") from error

    def look(self) -> None:
        """Notice that the reader has left even when there is nothing to write; costs nothing."""
        now_s = time.monotonic()
        if self._poll is None or now_s - self._looked_s < _LOOK_EVERY_S:
            return
        self._looked_s = now_s
        if any(event & select.POLLERR for _, event in self._poll.poll(0)):
            self._leave()

    def _leave(self) -> None:
        self._unread = True
        self._stop.set()


def _poll(out: TextIO) -> select.poll | None:
    """Return what tells that a pipe has lost its reader; None for what is no file, and Windows."""
    if not hasattr(select, "poll"):
        return None
    try:
        number = out.fileno()
    except (io.UnsupportedOperation, ValueError):
        return None
    poll = select.poll()
    poll.register(number, 0)  # errors are told unasked
    return poll
