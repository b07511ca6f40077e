"""The kinds of encoders, one line each: how events of a step become x."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgesnn.events import Events
from edgesnn.senses.cells import CellsEncoder, CellsSpec
from edgesnn.senses.encoder import Encoder, EncoderSpec

AnyEncoderSpec = EncoderSpec | CellsSpec
ENCODERS: dict[str, type[Any]] = {"counts": EncoderSpec, "cells": CellsSpec}
"""Kinds of encoders, as a bundle names them; "counts" where it names none."""


class AnyEncoder(Protocol):
    """Encodes the steps of one source. used: events of the last step that count."""

    used: int

    def encode(self, events: Events, start_us: int) -> NDArray[np.uint8]:
        """Return x of a step that begins at start_us, a new array."""
        ...


def open_encoder(
    spec: AnyEncoderSpec, input_shape: tuple[int, int, int], size: tuple[int, int], step_us: int
) -> AnyEncoder:
    """Return the encoder of a description for a sensor of (width, height); raises InputError."""
    if isinstance(spec, CellsSpec):
        return CellsEncoder(spec, input_shape, size, step_us)
    return Encoder(spec, input_shape, size)
