"""Drawing an upper body: textured, shaded sprites of limbs, warped into a gray image.

A sprite holds its mask and its mask times texture, so that one affine warp gives both and pasting
is `image = image * (1 - mask) + texture`. Only the sprite's own rectangle is touched.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sprite:
    """A patch to warp: layers (h, w, 2) = mask, mask * brightness.

    anchor: (x, y) in the patch that lands on the point it is placed at. length: of the limb's
    axis, 0 for a round part. reach: how far the patch extends beyond its points, pixels.
    """

    layers: Image
    anchor: tuple[float, float]
    length: float
    reach: float


def texture(rng: np.random.Generator, height: int, width: int, contrast: float) -> Image:
    """Return log-brightness of cloth: grain, patches, stripes or cloudy; standard deviation about
    `contrast`."""
    pattern: NDArray[Any]
    kind = rng.integers(4)
    if kind == 0:
        pattern = rng.normal(0, 1, (height, width))
    elif kind == 1:
        coarse = rng.normal(0, 1, (max(2, height // 6), max(2, width // 6)))
        pattern = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    elif kind == 2:
        stripes = np.sin(np.arange(width) * rng.uniform(0.2, 1.2) + rng.uniform(0, 6.28))
        pattern = np.broadcast_to(stripes, (height, width))
    else:
        pattern = cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), 2) * 4
    return (pattern * contrast).astype(np.float32)


def limb(
    rng: np.random.Generator,
    length: float,
    radii: tuple[float, float],
    brightness: float,
    contrast: float,
) -> Sprite:
    """Return a tapered capsule: radius radii[0] at its start, radii[1] at its end, pixels."""
    widest = max(radii)
    height, width = int(2 * widest + 6), int(length + 2 * widest + 6)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    left, middle = widest + 3, height / 2
    along = np.clip((x - left) / max(length, 1.0), 0, 1)
    radius = radii[0] + (radii[1] - radii[0]) * along
    distance = np.hypot(x - (left + along * length), y - middle)
    mask = np.clip(radius - distance + 0.5, 0, 1)
    shade = 1 - 0.3 * np.clip(distance / np.maximum(radius, 1), 0, 1) ** 2
    cloth = brightness * np.exp(texture(rng, height, width, contrast)) * shade
    layers = np.dstack([mask, mask * cloth]).astype(np.float32)
    return Sprite(layers, (left, middle), length, widest + 3)


def ellipse(
    rng: np.random.Generator, radii: tuple[float, float], brightness: float, contrast: float
) -> Sprite:
    """Return a shaded ellipse of radii (x, y), pixels: a head, a hand."""
    height, width = int(2 * radii[1] + 5), int(2 * radii[0] + 5)
    y, x = np.mgrid[0:height, 0:width]
    distance = np.hypot((x - width / 2) / radii[0], (y - height / 2) / radii[1])
    mask = np.clip((1 - distance) * min(radii) + 0.5, 0, 1)
    shade = 1 - 0.3 * np.clip(distance, 0, 1) ** 2
    skin = brightness * np.exp(texture(rng, height, width, contrast)) * shade
    layers = np.dstack([mask, mask * skin]).astype(np.float32)
    return Sprite(layers, (width / 2, height / 2), 0.0, 1.3 * (max(radii) + 3))


def draw_limb(image: Image, sprite: Sprite, start: NDArray[Any], end: NDArray[Any]) -> None:
    """Lay a limb's axis from start to end, (x, y): it shortens with distance (foreshortening)."""
    dx, dy = float(end[0] - start[0]), float(end[1] - start[1])
    distance = math.hypot(dx, dy) + 1e-6
    stretch = max(distance / sprite.length, 0.15)
    c, s = dx / distance, dy / distance
    ax, ay = sprite.anchor
    matrix = np.array(
        [
            [c * stretch, -s, start[0] - (c * stretch * ax - s * ay)],
            [s * stretch, c, start[1] - (s * stretch * ax + c * ay)],
        ]
    )
    low, high = np.minimum(start, end) - sprite.reach, np.maximum(start, end) + sprite.reach
    _paste(image, sprite.layers, matrix, low, high)


def draw_part(image: Image, sprite: Sprite, at: NDArray[Any], angle: float = 0.0) -> None:
    """Place a round part centred at (x, y), turned by angle (radians, clockwise on screen)."""
    c, s = math.cos(angle), math.sin(angle)
    ax, ay = sprite.anchor
    matrix = np.array([[c, -s, at[0] - (c * ax - s * ay)], [s, c, at[1] - (s * ax + c * ay)]])
    _paste(image, sprite.layers, matrix, at - sprite.reach, at + sprite.reach)


def _paste(
    image: Image, layers: Image, matrix: NDArray[Any], low: NDArray[Any], high: NDArray[Any]
) -> None:
    x0, y0 = max(0, int(low[0])), max(0, int(low[1]))
    x1, y1 = min(image.shape[1], int(high[0]) + 2), min(image.shape[0], int(high[1]) + 2)
    if x1 <= x0 or y1 <= y0:
        return
    matrix[0, 2] -= x0
    matrix[1, 2] -= y0
    warped = cv2.warpAffine(layers, matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
    region = image[y0:y1, x0:x1]
    region -= warped[:, :, 0] * region
    region += warped[:, :, 1]
