"""One option of the command line, in the words of whoever takes it, not of the parser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Option:
    """An option as `--help` shows it and the command line checks it.

    name: as typed, with its dashes. about: one line for people. type: str, int, float, Path, or
    bool for a flag. metavar: what stands for the value. default: when it is not given; ... means
    that it must be. least, most: range of a number. bare: what it means when its value is left out,
    None where it may not be. panel: heading under which `--help` lists it.
    """

    name: str
    about: str
    type: type = str
    metavar: str | None = None
    default: Any = None
    least: float | None = None
    most: float | None = None
    bare: str | None = None
    panel: str | None = None

    @property
    def key(self) -> str:
        """The name as a Python identifier: what its value is found under."""
        return self.name.lstrip("-").replace("-", "_")
