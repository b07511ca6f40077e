"""Programs for the engine on a machine without Python: what builds them, inputs and true outputs.

    python tests/engine_tape.py OUT.tape

`engine_replay.c` plays the tape with an engine that was compiled for another processor: the shipped
networks on their parity vectors, and random programs of every kind of node on random inputs, each
output compared with the reference's.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO
from unittest import mock

import numpy as np
from loops import looping_images, looping_program
from programs import frames, random_program

from edgesnn.bundle import load_bundle
from edgesnn.hardware import events
from edgesnn.hardware.reference import run_sequence
from edgesnn.program import Program, Tensor

CALLS = ("engine_plan", "engine_shape", "engine_node", "engine_weights", "engine_delays")
"""Those that build a plan, in the order of their numbers on the tape."""
SHIPPED, RANDOM, STEPS = ("gesture", "keyword", "mnist", "nmnist"), 40, 30


class Tape:
    """Stands for the engine's library: notes the calls that build a plan, and makes none."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        """Return what notes a call of that name."""
        return lambda *given: self._note(name, given)

    def _note(self, name: str, given: tuple[Any, ...]) -> int:
        if name not in CALLS:
            return 0
        self._file.write(struct.pack("<2i", CALLS.index(name), len(given)))
        for value in given:
            if value is None:
                self._file.write(struct.pack("<iq", 0, 0))
            elif isinstance(value, np.ndarray):
                data = np.ascontiguousarray(value).tobytes()
                self._file.write(struct.pack("<iq", 2, len(data)) + data)
            else:
                self._file.write(struct.pack("<iq", 1, int(value)))
        return name == "engine_plan"  # stands for the plan, of which a tape has one at a time

    def steps(self, xs: Tensor, ys: Tensor) -> None:
        """Note inputs and outputs of a stream from its start."""
        self._file.write(struct.pack("<5i", -1, 3, len(xs), xs[0].size, ys[0].size))
        self._file.write(xs.astype(np.uint8).tobytes() + ys.astype("<i4").tobytes())


def note(file: BinaryIO, program: Program, xs: Tensor) -> None:
    """Put a program and a run of it on the tape."""
    tape = Tape(file)
    with (
        mock.patch.object(events, "library", lambda: tape),
        mock.patch.object(events, "pointer", lambda values: values),
        mock.patch.object(events, "array", lambda values: (values, len(values))),
    ):
        model = events.EventsModel(program)
        model.plan = None  # there is none to give back
    tape.steps(xs, run_sequence(program, xs))


def main(path: Path) -> None:
    """Write a tape of all programs."""
    with path.open("wb") as file:
        for name in SHIPPED:
            bundle = load_bundle(name)
            note(file, bundle.program, bundle.parity["x"])
        for seed in range(RANDOM):
            for program in (random_program(seed), looping_program(seed), looping_images(seed)):
                note(file, program, frames(program, STEPS, seed, 0.3))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
