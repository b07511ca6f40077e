"""What turns the pictures of a camera into events."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgesnn.events import Events
from edgesnn.senses.emulator import DEFAULT, DvsEmulator, EmulatorParameters

SIZE = 128
"""Side of the square gray pictures that an eye takes."""
Gray = NDArray[np.uint8]


class Eye(Protocol):
    """Turns pictures into events. size: (width, height) of the events."""

    size: tuple[int, int]

    def frame(self, gray: Gray, t_us: int) -> tuple[Events, int]:
        """Take a square gray picture; return its events, and the time up to which all is told."""
        ...

    def follow(self, before: Eye) -> None:
        """Take over what the eye of the lap before has counted; what it saw is forgotten."""
        ...

    def notes(self) -> tuple[str, ...]:
        """Return what a person should know of the pictures."""
        ...


class Emulated:
    """The DVS emulator as an eye."""

    def __init__(self, parameters: EmulatorParameters = DEFAULT, seed: Any = 0) -> None:
        self.size = (SIZE, SIZE)
        self._emulator = DvsEmulator(self.size, parameters, seed)

    def frame(self, gray: Gray, t_us: int) -> tuple[Events, int]:
        """See `Eye`."""
        return self._emulator.frame(gray, t_us), t_us

    def follow(self, before: Eye) -> None:
        """See `Eye`: nothing is counted."""

    def notes(self) -> tuple[str, ...]:
        """See `Eye`: every picture is looked at."""
        return ()
