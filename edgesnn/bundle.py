"""A trained model on disk: plain files side by side, checked before they run.

NAME.json         program description, encoder, readout, card, sha256 of each other file
NAME.npz          the program's integer tensors
NAME.onnx         the exported step (made from the program, guarded against the reference)
NAME.parity.npz   inputs, outputs and final state, so that any port can prove itself
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgesnn.program import Program, Tensor

FILES = ("npz", "onnx", "parity.npz")


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """How the events of one step become x.

    sensor: (width, height) the network was trained on; other sensors are mapped onto it.
    levels: 256 entries uint8: level of an event count (counts over 255 count as 255).
    """

    sensor: tuple[int, int]
    levels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReadoutSpec:
    """How outputs over time become decisions; see `readout.py`.

    labels: name of each class. scale: score units per nat (softmax temperature).
    decay_shift: evidence forgets 1 / 2**decay_shift of itself each step.
    enter, leave: confidence to change the decision, and to give it up (hysteresis).
    quiet_events: fewer events than this in a quiet_us window mean that nobody gestures.
    """

    labels: tuple[str, ...]
    scale: float
    decay_shift: int
    enter: float
    leave: float
    quiet_events: int
    quiet_us: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model as loaded from disk. onnx is the exported graph's bytes; parity its test vector."""

    program: Program
    encoder: EncoderSpec
    readout: ReadoutSpec
    card: dict[str, Any]
    onnx: bytes
    parity: dict[str, Tensor]
