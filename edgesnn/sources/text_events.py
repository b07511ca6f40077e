"""Recordings as text, `.txt` or `.csv`: a line for each event.

`t x y p` or `x y p t`, with spaces, tabs, commas or semicolons between them; a line of names, also
behind "#", says it otherwise. Comments ("#", "%", "//") are left out, and a first line of two
numbers is the sensor's width and height. Times with fractions are seconds and whole ones
microseconds, unless --time-unit says it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError
from edgesnn.events import events_from_arrays
from edgesnn.sources.columns import Polarity, named
from edgesnn.sources.found import Found
from edgesnn.sources.mending import in_microseconds
from edgesnn.sources.stored import Spool
from edgesnn.text import shown

_LINES = 1 << 17
_LONGEST_LINE = 4096
_COMMENTS = ("#", "%", "//")
_BETWEEN = str.maketrans(",;\t", "   ", "\"'")
_ORDERS = (("t", "x", "y", "p"), ("x", "y", "p", "t"), ("x", "y", "t", "p"))
"""Of four columns without names, the most usual first."""
_MOST_BACK = 100
"""One time in so many may be before the one above it where columns have no names."""
Table = NDArray[Any]
Numbered = tuple[int, str]


def events_from_text(
    path: Path, size: tuple[int, int] | None = None, unit: str | None = None
) -> Found:
    """Read a file; raises InputError that names the line which is no event."""
    spool, told, seconds = Spool(), Polarity(), False
    order: dict[str, int] = {}
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        lines = _Lines(file, path)
        for block in lines.blocks():
            table = _table(block, path)
            if not order:
                order = _order(table, lines.names, path)
                t = table[:, order["t"]]
                seconds = unit is None and not _whole(t).all()
            columns = {name: table[:, at] for name, at in order.items()}
            whole = ["x", "y", "p"] if seconds or unit else ["x", "y", "p", "t"]
            _check_whole({name: columns[name] for name in whole}, block, path)
            t = in_microseconds(columns["t"], "s" if seconds else unit or "us", str(path))
            x, y = columns["x"], columns["y"]
            spool.write(events_from_arrays(t, x, y, told.on(columns["p"])))
    notes = told.notes(path)
    if seconds:
        notes = ("its times have fractions and were read as seconds", *notes)
    return Found(spool, size or lines.size, notes)


class _Lines:
    """The lines of a file that say something, without comments.

    names: of the columns, where a line tells them. size: (width, height), where the first tells it.
    """

    def __init__(self, file: TextIO, path: Path) -> None:
        self._file, self._path, self._number = file, path, 0
        self.names: list[str] = []
        self.size: tuple[int, int] | None = None

    def blocks(self) -> Iterator[list[Numbered]]:
        """Yield lines of events, with their numbers, some at a time."""
        block: list[Numbered] = []
        for number, line in self._told():
            if not block and not self._is_event(line):
                continue
            block.append((number, line))
            if len(block) == _LINES:
                yield block
                block = []
        if block:
            yield block

    def _told(self) -> Iterator[Numbered]:
        for number in range(1, 1 << 62):
            line = self._file.readline(_LONGEST_LINE)
            if not line:
                return
            if len(line) == _LONGEST_LINE or "\0" in line:
                raise _no_event(self._path, number, line)
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


def _table(block: list[Numbered], path: Path) -> Table:
    """Return the numbers of lines, (lines, columns): whole ones as they are, however large."""
    texts = [line for _, line in block]
    for kind in (np.int64, np.float64):
        try:
            return np.loadtxt(texts, kind, comments=None, ndmin=2)
        except (ValueError, OverflowError):
            continue
    columns = len(texts[0].split())
    for number, line in block:
        parts = line.split()
        try:
            if len(parts) == columns and [float(part) for part in parts]:
                continue
        except ValueError:
            pass
        raise _no_event(path, number, line)
    raise InputError(f"{path} is no text of events")


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
    for order in _ORDERS:
        if count == 4 and _can_be(table, order):
            return {name: at for at, name in enumerate(order)}
    raise InputError(
        f"{path} does not say which of its {count} columns is which; name them in its first line, "
        "such as: t x y p"
    )


def _can_be(table: Table, order: tuple[str, ...]) -> bool:
    columns = dict(zip(order, table.T, strict=True))
    values = set(np.unique(columns["p"]).tolist())
    back = int(np.count_nonzero(np.diff(columns["t"]) < 0))
    return (values <= {0, 1} or values <= {-1, 1}) and back * _MOST_BACK <= len(table)


def _whole(values: Table) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = values == np.rint(values)
    return found


def _check_whole(columns: dict[str, Table], block: list[Numbered], path: Path) -> None:
    """Raise InputError for places, polarities and times that are none."""
    for name, values in columns.items():
        fits = _whole(values)
        if name in "xy":
            fits &= (values >= 0) & (values < 65536)
        if not fits.all():
            at = int(fits.argmin())
            raise InputError(
                f"{path}: line {block[at][0]:,} has {name} = {values[at]}, which is none"
            )
