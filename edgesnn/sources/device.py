"""A camera or microphone of this machine, as `edgesnn devices` lists it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Device:
    """A camera or microphone, or why a kind of device cannot be looked for.

    kind: "camera" (DVS), "webcam", "microphone", or "missing" (model says what to install).
    option: what to type after `edgesnn run APP`; "" for missing ones.
    """

    kind: Literal["camera", "webcam", "microphone", "missing"]
    model: str
    option: str
