"""Surfaces for simulated scenes: gray pictures with the statistics of the world, drawn at random.

Natural pictures have power spectra near 1/f^2 (Field 1987), and occlusion gives them edges: "dead
leaves", opaque discs over each other with radii r distributed as r^-3, have both (Lee, Mumford and
Huang 2001). Made things add lettering, stripes, checks and plain shapes with much empty space.
Every picture is a log intensity: mean 0, standard deviation 1, float32 of shape (SIDE, SIDE).
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 512
Image = NDArray[np.float32]
Random = np.random.Generator
SHARES = (0.34, 0.16, 0.3, 0.1, 0.1)
"""Of the kinds of surfaces, see `texture`."""


def log_uniform(rng: Random, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def texture(rng: Random, shares: tuple[float, ...] = SHARES) -> Image:
    """Draw a surface of any kind; shares: of leaves, clouds, shapes, letters and stripes."""
    kinds = (dead_leaves, clouds, shapes, lettering, stripes)
    picture = kinds[rng.choice(len(kinds), p=shares)](rng)
    picture = _standard(picture)
    if rng.random() < 0.4:  # the fine grain of paper, cloth, stone
        picture = picture + _standard(clouds(rng, log_uniform(rng, 0.4, 1.0))) * rng.uniform(0, 0.3)
    if rng.random() < 0.5:
        picture = _blurred(picture, rng.uniform(0.4, 1.8))
    return _standard(picture)


def clouds(rng: Random, slope: float | None = None) -> Image:
    """Gaussian noise with amplitudes of 1 / frequency^slope."""
    slope = rng.uniform(0.8, 1.9) if slope is None else slope
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    frequency[0, 0] = 1
    amplitude = frequency**-slope * np.exp(-((frequency / rng.uniform(0.15, 0.45)) ** 2))
    amplitude[0, 0] = 0
    phase = rng.uniform(0, 2 * np.pi, amplitude.shape)
    noise: NDArray[Any] = np.fft.irfft2(amplitude * np.exp(1j * phase), (SIDE, SIDE))
    return noise.astype(np.float32)


def dead_leaves(rng: Random) -> Image:
    """Opaque discs, ellipses and polygons that hide each other, radii distributed as r^-3."""
    picture = np.zeros((SIDE, SIDE), np.float32)
    smallest, largest = log_uniform(rng, 3, 12), rng.uniform(60, 160)
    # The inverse of the distribution of radii: many small leaves, few large.
    share = rng.random(int(min(2500, 5 * (SIDE / smallest) ** 2)))
    radii = (smallest**-2 - share * (smallest**-2 - largest**-2)) ** -0.5
    for radius in radii:
        draw_patch(picture, rng, rng.integers(0, SIDE, 2), float(radius), float(rng.normal()))
    return picture


def shapes(rng: Random) -> Image:
    """Plain shapes with empty space between them, as on a poster."""
    picture = np.full((SIDE, SIDE), rng.uniform(-1, 1), np.float32)
    size = log_uniform(rng, 6, 60)
    many = 1.3 * (SIDE / size) ** 2 * log_uniform(rng, 0.03, 0.6)
    dark = rng.random() < 0.4  # all of one tone, as the shapes of the well-known recordings
    for _ in range(int(np.clip(many, 6, 900))):
        tone = -2.0 if dark else float(rng.normal())
        radius = size * rng.uniform(0.3, 1.3)
        draw_patch(picture, rng, rng.integers(0, SIDE, 2), radius, tone, lines=True)
    return picture


def lettering(rng: Random) -> Image:
    """Lines of random letters."""
    page = np.full((SIDE, SIDE), 255, np.uint8)
    size = log_uniform(rng, 0.4, 2.5)
    thick = max(1, round(size * rng.uniform(1, 3)))
    letters = np.array(list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789    "))
    for row in np.arange(0, SIDE + 40, size * rng.uniform(28, 50)):
        line = "".join(rng.choice(letters, 60))
        at = (int(rng.integers(-40, 10)), int(row))
        cv2.putText(page, line, at, int(rng.integers(0, 5)), size, 0, thick, cv2.LINE_AA)
    return page.astype(np.float32)


def stripes(rng: Random) -> Image:
    """Stripes in one direction, or checks."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    angle, rate = rng.uniform(0, np.pi), log_uniform(rng, 0.05, 0.7)
    wave = np.sin(rate * (x * np.cos(angle) + y * np.sin(angle)))
    if rng.random() < 0.7:
        across = rate * rng.uniform(0.5, 1.5)
        wave = wave * np.sin(across * (y * np.cos(angle) - x * np.sin(angle)))
    stripes: Image = np.tanh(wave * rng.uniform(1, 5)).astype(np.float32)
    return stripes


def outline(rng: Random) -> Image:
    """Alpha of an object, 0 to 1, shape (SIDE / 2, SIDE / 2), its radius 0.42 of that side."""
    side = SIDE // 2
    alpha = np.zeros((side, side), np.float32)
    centre, radius = side / 2, side * 0.42
    kind = rng.integers(4)
    if kind == 0:
        axes = int(radius), int(radius * rng.uniform(0.3, 1))
        cv2.ellipse(alpha, (side // 2, side // 2), axes, 0, 0, 360, 1.0, -1)
    elif kind == 1:
        cv2.fillPoly(alpha, [_polygon(rng, np.array([centre, centre]), radius)], 1.0)
    elif kind == 2:
        w, h = (radius * rng.uniform(0.15, 0.9, 2)).astype(int)
        cv2.rectangle(
            alpha, (side // 2 - w, side // 2 - h), (side // 2 + w, side // 2 + h), 1.0, -1
        )
    else:
        rough = cv2.GaussianBlur(rng.normal(0, 1, (side, side)), (0, 0), side / 12)
        y, x = np.mgrid[:side, :side]
        distance = np.hypot(x - centre, y - centre) / radius
        alpha[(rough / rough.std() + 1.5 - 2 * distance > 0) & (distance < 1)] = 1
    return _blurred(alpha, rng.uniform(0.7, 2.0))


def draw_patch(
    picture: Image, rng: Random, at: NDArray[Any], radius: float, tone: float, lines: bool = False
) -> None:
    """Draw a random shape of about a radius at (x, y); lines: outlines and strokes too."""
    x, y = int(at[0]), int(at[1])
    kind = rng.integers(5 if lines else 3)
    thick = -1 if not lines or rng.random() < 0.75 else int(rng.integers(1, 4))
    if kind == 0:
        axes = int(radius) + 1, int(radius * rng.uniform(0.3, 1)) + 1
        cv2.ellipse(picture, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, tone, thick)
    elif kind == 1:
        cv2.fillPoly(picture, [_polygon(rng, at, radius)], tone)
    elif kind in (2, 3):
        w, h = (rng.uniform(0.3, 1.2, 2) * radius).astype(int)
        turned = ((x, y), (2.0 * w + 1, 2.0 * h + 1), float(rng.uniform(0, 90)))
        corners = cv2.boxPoints(turned).astype(np.int32)
        cv2.drawContours(picture, [corners], 0, tone, thick)
    else:
        dx, dy = (rng.normal(0, 2 * radius, 2)).astype(int)
        cv2.line(picture, (x - dx, y - dy), (x + dx, y + dy), tone, int(rng.integers(1, 6)))


def _polygon(rng: Random, at: NDArray[Any], radius: float) -> NDArray[np.int32]:
    corners = int(rng.integers(3, 9))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = radius * rng.uniform(0.5, 1, corners)[:, None]
    points: NDArray[np.int32] = (at + reach * np.c_[np.cos(angles), np.sin(angles)]).astype(
        np.int32
    )
    return points


def _standard(picture: Image) -> Image:
    spread = max(float(picture.std()), 1e-6)
    standard: Image = ((picture - picture.mean()) / spread).astype(np.float32)
    return standard


def _blurred(picture: Image, sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)
