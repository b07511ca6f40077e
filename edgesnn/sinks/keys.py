"""Single keys of a terminal, without Enter; nothing where standard input is none."""

from __future__ import annotations

import os
import re
import select
import sys
import time
from contextlib import suppress
from typing import Any, TextIO

try:
    import termios
    import tty
except ImportError:  # Windows
    termios = tty = None  # type: ignore[assignment]


ANSWER_S = 0.1
"""How long a terminal may take to say what its background is."""
_ASK = "\x1b]11;?\x1b\\\x1b[c"
"""OSC 11 asks for the background's colour; DA1, which every terminal answers, ends the wait."""
_COLOUR = re.compile(r"\x1b\]11;rgba?:([0-9a-fA-F]+)/([0-9a-fA-F]+)/([0-9a-fA-F]+)[^\x1b\x07]*")
_ANSWERS = re.compile(r"\x1b\]11;[^\x07\x1b]*(\x07|\x1b\\)|\x1b\[\?[0-9;]*c")

_BEGUN = re.compile(r"\x1b(\][^\x07\x1b]*\x1b?|\[[?0-9;]*)?$")


class Keys:
    """Listens between `listen` and `leave`, which puts the terminal back as it was."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._before: Any = None
        self._typed = ""

    def listen(self) -> None:
        """Take keys one by one, without echo; Ctrl-C and Ctrl-Z go on being signals."""
        try:
            number = sys.stdin.fileno()
            if termios is None or not os.isatty(number) or os.getpgrp() != os.tcgetpgrp(number):
                return
            self._before = termios.tcgetattr(number)
            tty.setcbreak(number)
        except (OSError, ValueError, AttributeError, termios.error):
            return
        self._number = number

    def pressed(self) -> str:
        """Return the keys pressed since the last call; never blocks."""
        typed = _ANSWERS.sub("", self._typed + self._read(0))
        begun = _BEGUN.search(typed)  # of an answer that is still on its way
        self._typed = begun.group() if begun else ""
        return typed.removesuffix(self._typed)

    def background(self, out: TextIO) -> float | None:
        """Ask the terminal for its background; return its brightness, 0 to 1, None: no answer.

        Keys that are pressed meanwhile are told by `pressed`.
        """
        if self._number is None:
            return None
        out.write(_ASK)
        out.flush()
        told, until = "", time.monotonic() + ANSWER_S
        while not _ends(told) and (left := until - time.monotonic()) > 0:
            told += self._read(left)
        self._typed += _ANSWERS.sub("", told)
        return brightness(told)

    def _read(self, patience_s: float) -> str:
        if self._number is None or not select.select([self._number], [], [], patience_s)[0]:
            return ""
        try:
            return os.read(self._number, 256).decode(errors="replace")
        except OSError:
            return ""

    def leave(self) -> None:
        """Give the keyboard back."""
        if self._number is not None:
            with suppress(OSError, termios.error):  # the terminal may be gone
                termios.tcsetattr(self._number, termios.TCSADRAIN, self._before)
            self._number = None


def let_go(number: int) -> None:
    """Make a terminal that was stopped (Ctrl-S) take output again; what waits for it is dropped."""
    if termios is not None:
        with suppress(OSError, termios.error):
            before = termios.tcgetattr(number)
            without = [before[0] & ~termios.IXON, *before[1:]]
            termios.tcsetattr(number, termios.TCSANOW, without)  # a stopped line starts again
            termios.tcsetattr(number, termios.TCSANOW, before)
            termios.tcflush(number, termios.TCOFLUSH)


def _ends(told: str) -> bool:
    """Whether the answer to DA1 has come: there will be no other."""
    return re.search(r"\x1b\[\?[0-9;]*c", told) is not None


def brightness(told: str) -> float | None:
    """Return how bright the colour in an answer to OSC 11 is, 0 to 1 (ITU-R BT.601)."""
    found = _COLOUR.search(told)
    if found is None:
        return None
    red, green, blue = (int(part, 16) / int("f" * len(part), 16) for part in found.groups())
    return 0.299 * red + 0.587 * green + 0.114 * blue
