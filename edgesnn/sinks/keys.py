"""Single keys of a terminal, without Enter; nothing where standard input is none."""

from __future__ import annotations

import os
import select
import sys
from typing import Any

try:
    import termios
    import tty
except ImportError:  # Windows
    termios = tty = None  # type: ignore[assignment]


class Keys:
    """Listens between `listen` and `leave`, which puts the terminal back as it was."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._before: Any = None

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
        if self._number is None or not select.select([self._number], [], [], 0)[0]:
            return ""
        try:
            return os.read(self._number, 64).decode(errors="replace")
        except OSError:
            return ""

    def leave(self) -> None:
        """Give the keyboard back."""
        if self._number is not None:
            termios.tcsetattr(self._number, termios.TCSADRAIN, self._before)
            self._number = None
