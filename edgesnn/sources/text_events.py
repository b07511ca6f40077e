"""Recordings as text, `.txt` or `.csv`: a line for each event.

`t x y p` or `x y p t`, with spaces, tabs, commas or semicolons between them; a line of names, also
behind "#", says it otherwise. Comments ("#", "%", "//") are left out, and a first line of two
numbers is the sensor's width and height. Times with fractions are seconds and whole ones
microseconds, unless --time-unit says it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError
from edgesnn.sources.columns import Gathered, named, order_of
from edgesnn.sources.found import Found
from edgesnn.text import shown

_LINES = 1 << 17
_AT_ONCE = 1 << 22  # characters
_LONGEST_LINE = 4096
_COMMENTS = ("#", "%", "//")
_BETWEEN = str.maketrans(",;\t", "   ", "\"'")
_PLAIN = dict.fromkeys(map(ord, "0123456789.eE+- \n"))
Table = NDArray[Any]
Numbered = tuple[int, str]


def events_from_text(
    path: Path, size: tuple[int, int] | None = None, unit: str | None = None
) -> Found:
    """Read a file; raises InputError that names the line which is no event."""
    gathered = Gathered(path, unit)
    order: dict[str, int] = {}
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        lines = _Lines(file, path)
        for block in lines.blocks():
            table = _table(*block, lines.columns, path)
            order = order or _order(table, lines.names, path)
            columns = {name: table[:, at] for name, at in order.items()}
            gathered.add(columns, lines=block[0])
    notes = (*gathered.notes(), *(("its last line was cut off",) if lines.cut_off else ()))
    return Found(gathered.spool, size or lines.size, notes)


class _Lines:
    """The lines of a file that say something, without comments.

    names: of the columns, where a line tells them. size: (width, height), where the first tells it.
    columns: in the first event. cut_off: whether the file ends within a line that is no event.
    """

    def __init__(self, file: TextIO, path: Path) -> None:
        self._file, self._path, self._number = file, path, 0
        self._waiting: deque[str] = deque()
        self.names: list[str] = []
        self.size: tuple[int, int] | None = None
        self.columns = 0
        self.cut_off = self._ended = False

    def blocks(self) -> Iterator[tuple[list[int], list[str]]]:
        """Yield the numbers of lines of events and what they say, some at a time."""
        numbers: list[int] = []
        lines: list[str] = []
        for number, line in self._told():
            if not self.columns and not self._is_event(line):
                continue
            if self._ended and not _numbers(line, self.columns):
                self.cut_off = True
                break
            self.columns = self.columns or len(line.split())
            numbers.append(number)
            lines.append(line)
            while plain := self._plain():
                first = self._number - len(plain) + 1
                yield [*numbers, *range(first, self._number + 1)], lines + plain
                numbers, lines = [], []
            if len(lines) >= _LINES:
                yield numbers, lines
                numbers, lines = [], []
        if lines:
            yield numbers, lines

    def _plain(self) -> list[str]:
        """Return the next lines where all are numbers and nothing else, many times as fast.

        Others wait to be looked at one by one.
        """
        if self._waiting:
            return []
        text = self._file.read(_AT_ONCE) + self._file.readline(_LONGEST_LINE)
        spaced = text.translate(_BETWEEN)
        lines = [line.strip() for line in spaced.split("\n")]
        lines.pop()
        lengths = set(map(len, lines)) or {0}
        numbers = text.endswith("\n") and not spaced.translate(_PLAIN)
        if numbers and min(lengths) > 0 and max(lengths) < _LONGEST_LINE:
            self._number += len(lines)
            return lines
        self._waiting.extend(StringIO(text))
        return []

    def _told(self) -> Iterator[Numbered]:
        while True:
            line = self._waiting.popleft() if self._waiting else self._file.readline(_LONGEST_LINE)
            if not line:
                return
            number = self._number = self._number + 1
            if len(line) >= _LONGEST_LINE or "\0" in line:
                raise _no_event(self._path, number, line)
            self._ended = bool(self.columns) and not line.endswith("\n")
            line = line.translate(_BETWEEN).strip()
            if line.startswith(_COMMENTS):
                self._take_names(line.lstrip("#%/ ").split())
            elif line:
                yield number, line

    def _is_event(self, line: str) -> bool:
        """Whether a line is one, and no head; before the first event it may be."""
        parts = line.split()
        if self._take_names(parts):
            return False
        if len(parts) == 2 and self.size is None and all(part.isdecimal() for part in parts):
            width, height = map(int, parts)
            if 0 < width <= 65536 and 0 < height <= 65536:
                self.size = width, height
                return False
        return True

    def _take_names(self, parts: list[str]) -> bool:
        if len(named(parts)) < 4 or self.names:
            return False
        self.names = parts
        return True


def _table(numbers: list[int], texts: list[str], columns: int, path: Path) -> Table:
    """Return the numbers of lines, (lines, columns): whole ones as they are, however large."""
    for kind in (np.int64, np.float64):
        try:
            table = np.loadtxt(texts, kind, comments=None, ndmin=2)
        except (ValueError, OverflowError):
            continue
        if table.shape == (len(texts), columns):
            return table
    for number, line in zip(numbers, texts, strict=True):
        if not _numbers(line, columns):
            raise _no_event(path, number, line)
    raise InputError(f"{path} is no text of events")


def _numbers(line: str, count: int) -> bool:
    """Whether a line is so many numbers."""
    parts = line.split()
    try:
        return len(parts) == count and bool([float(part) for part in parts])
    except ValueError:
        return False


def _no_event(path: Path, number: int, line: str) -> InputError:
    return InputError(
        f"{path}: line {number:,} is no event ({shown(line[:40])!r}); wanted four numbers, t x y p"
    )


def _order(table: Table, names: list[str], path: Path) -> dict[str, int]:
    """Return where each of t, x, y, p is."""
    count = table.shape[1]
    if names:
        if len(names) != count:
            raise InputError(f"{path} names {len(names)} columns and has {count}")
        return {ours: names.index(name) for ours, name in named(names).items()}
    if count == 4 and (order := order_of(table)) is not None:
        return order
    raise InputError(
        f"{path} does not say which of its {count} columns is which; name them in its first line, "
        "such as: t x y p"
    )
