"""How signals end a run: in order, and whatever comes after the first one."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_SAME_S = 1.0
"""A second Ctrl-C that comes so soon is the same one; a later one interrupts."""


@contextmanager
def stopped_by_signals(stop: threading.Event) -> Iterator[list[int]]:
    """Let the first SIGINT, SIGTERM or SIGHUP (the terminal is gone) set `stop`; note its number.

    An event instead of an exception, which could strike between opening a file and noting it.
    """
    received: list[int] = []
    first_s = 0.0

    def end(number: int, _frame: FrameType | None) -> None:
        nonlocal first_s
        now_s = time.monotonic()
        if not received:
            received.append(number)
            first_s = now_s
            stop.set()
        elif number == signal.SIGINT and now_s - first_s > _SAME_S:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in _ENDS}
    try:
        yield received
    finally:
        for number, handler in before.items():
            if not (received and number == signal.SIGINT):
                signal.signal(number, handler)


def end_undisturbed() -> None:
    """Ignore Ctrl-C from now on: all is closed, and the process is about to end by itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
