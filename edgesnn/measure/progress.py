"""How far a long measurement is, on standard error, for people who wait."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
_TERMINAL_S, _LOG_S = 0.5, 15.0


def counted(items: Iterable[T], total: int | None = None) -> Iterator[T]:
    """Pass items on and tell how many there were: in place on a terminal, a line now and then else.

    Nothing is told of what is over within half a second.
    """
    terminal = sys.stderr.isatty()
    every_s = _TERMINAL_S if terminal else _LOG_S
    last_s, told = time.monotonic(), False
    of = "" if total is None else f" of {total:,}"
    try:
        for number, item in enumerate(items):
            now_s = time.monotonic()
            if now_s - last_s >= every_s:
                last_s, told = now_s, True
                start, end = ("\r", "") if terminal else ("", "\n")
                print(f"{start}edgesnn: {number:,}{of} done", end=end, file=sys.stderr, flush=True)
            yield item
    finally:
        if told and terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
