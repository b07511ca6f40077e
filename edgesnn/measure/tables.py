"""Tables and shares for people, as `eval`, `models` and `profile` print them."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from edgesnn.text import in_utf8

if TYPE_CHECKING:
    from rich.table import Table


_WIDEST, _LONGEST_WORD = 1000, 24


def print_json(report: Any) -> None:
    """Print a report on one line, in UTF-8 whatever the locale."""
    print(json.dumps(report, ensure_ascii=False), file=in_utf8(sys.stdout))


def right(report: dict[str, Any]) -> str:
    """Say how many of a report's recordings were right."""
    return f"{report['correct']} of {report['n']} right: {percent(report['accuracy'])}"


def print_saved(report: dict[str, Any]) -> None:
    """Say how many steps an exit rule saved, where there was one."""
    if report["exit"] is not None:
        saved = percent(report["exit"]["steps_saved"])
        print(f"exit {report['exit']['rule']}: {saved} of the steps were not needed")


def percent(share: float | None) -> str:
    """Return a share as text; nothing for None."""
    return "" if share is None else f"{100 * share:.1f} %"


def table_of(words: list[str], numbers: list[str]) -> Table:
    """Return an empty table with columns of words and then of numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in words:
        table.add_column(title, overflow="fold")
    for title in numbers:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def show(table: Table) -> None:
    """Print a table; its cells are text, not markup."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(highlight=False, markup=False, emoji=False)
    # In a narrow terminal lines run over: names and numbers that were cut would be lost.
    for column in table.columns:
        if not column.no_wrap:
            words = [word for cell in (column.header, *column.cells) for word in str(cell).split()]
            column.min_width = min(max(map(len, words), default=0), _LONGEST_WORD)
    wide = console.options.update(width=_WIDEST)
    console.width = max(console.width or 80, Measurement.get(console, wide, table).minimum + 2)
    with console.capture() as drawn:
        console.print(table)
    print(drawn.get(), end="")
