"""Fields of motion as colours: the hue says where to, the brightness how fast; a wheel says both.

Hue 0 (red) moves right, then clockwise: yellow-green down, cyan left, violet up. Brightness is the
root of speed / max_speed, 1 at most, so that slow motion is seen beside fast one (the root is
DSEC's convention); the scale is fixed, never by frame.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.decide.motion_field import Motion, MotionField

MAX_SPEED = 400.0
"""Pixels per second that have the full brightness where nobody says it."""
Image = NDArray[np.uint8]
_FAINTEST = 0.25
_ARROWS = "→↘↓↙←↖↑↗"


def coloured(velocity: NDArray[Any], max_speed: float) -> Image:
    """Return the colours of motion (2, h, w), px/s: uint8 (h, w, 3), red first."""
    hue = np.arctan2(velocity[1], velocity[0]) / (2 * np.pi) % 1
    value = np.sqrt(np.minimum(np.hypot(velocity[0], velocity[1]) / max_speed, 1))
    # HSV with full saturation: each of red, green, blue is a trapezoid of the hue.
    distance = np.abs((hue[..., None] * 6 - np.array([0, 2, 4]) + 3) % 6 - 3)
    shade = np.clip(2 - distance, 0, 1)
    return np.asarray(np.rint(255 * shade * value[..., None]), np.uint8)


def field_picture(field: MotionField, max_speed: float, *, dense: bool = False) -> Image:
    """Return a field's colours, (h, w, 3), red first; black where nothing was seen, or dense."""
    # What hardly moves is seen all the same.
    speed = np.hypot(*field.velocity)
    least = _FAINTEST**2 * max_speed
    lift = np.maximum(1, least / np.maximum(speed, 1e-6))
    colours = coloured(field.velocity * lift, max_speed)
    return colours if dense else np.where(field.seen[..., None], colours, 0).astype(np.uint8)


def wheel(side: int, max_speed: float = 1.0) -> Image:
    """Return the legend: a disc of side x side whose colours move away from its middle."""
    at = (np.arange(side) - (side - 1) / 2) / (side / 2)
    x, y = np.meshgrid(at, at)
    colours = coloured(np.stack([x, y]) * max_speed, max_speed)
    return np.where((np.hypot(x, y) <= 1)[..., None], colours, 0).astype(np.uint8)


def arrow_of(motion: Motion) -> str:
    """Return the arrow nearest to where the whole view moves."""
    return _ARROWS[round(float(np.arctan2(motion.v, motion.u)) / (np.pi / 4)) % 8]


def motion_text(motion: Motion) -> str:
    """Say the motion of the whole view: "→ 120 px/s, turns 0.50 rad/s, grows 20 %/s"."""
    text = f"{arrow_of(motion) if motion.speed else '·'} {motion.speed:.0f} px/s"
    if abs(motion.turn) >= 0.05:
        text += f", turns {motion.turn:+.2f} rad/s"
    if abs(motion.grow) >= 0.05:
        text += f", grows {100 * motion.grow:+.0f} %/s"
    return text
