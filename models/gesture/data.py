"""Gesture clips for training: events in, augmented event-count levels out.

A clip is kept as packed events (`clips.py`), so that augmentation acts on the events
themselves: mirror images, time reversals, speed, shift, scale, rotation, thinning, noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LABELS = (
    "hand clapping",
    "right hand wave",
    "left hand wave",
    "right arm clockwise",
    "right arm counter-clockwise",
    "left arm clockwise",
    "left arm counter-clockwise",
    "arm roll",
    "air drums",
    "air guitar",
    "other gestures",
)
"""The classes of DVS128 Gesture (Amir et al., CVPR 2017), in the order of its label files."""

MIRRORED = (0, 2, 1, 6, 5, 4, 3, 7, 8, 9, 10)
"""Class of a clip's mirror image: sides swap, and so does the sense of rotation."""
REVERSED = (0, 1, 2, 4, 3, 6, 5, 7, 8, 9, 10)
"""Class of a clip played backwards (with ON and OFF swapped)."""

SENSOR = 128
GRID = 32
STEP_US = 25_000

LEVELS = tuple(int(min(7, round(2 * np.log2(1 + n) / 1.5))) if n else 0 for n in range(256))
"""Level of an event count: logarithmic, so that density matters less than shape; 7 at most."""


@dataclass(frozen=True, slots=True)
class Clip:
    """t (us), x, y (pixels), p (0/1) as arrays of one length, and the class."""

    t: Array
    x: Array
    y: Array
    p: Array
    label: int


def clip_from_packed(packed: Array, label: int) -> Clip:
    """Unpack `clips`' uint32 events (t in 100 us << 15 | y << 8 | x << 1 | p)."""
    return Clip(
        t=(packed >> 15).astype(np.int64) * 100,
        x=((packed >> 1) & 127).astype(np.float32),
        y=((packed >> 8) & 127).astype(np.float32),
        p=(packed & 1).astype(np.int64),
        label=label,
    )


def clip_from_events(events: Array, label: int) -> Clip:
    """Take a recording's events (dtype edgesnn.EVENT, 128 x 128), times from its start."""
    return Clip(
        t=events["t"] - events["t"][0],
        x=events["x"].astype(np.float32),
        y=events["y"].astype(np.float32),
        p=events["p"].astype(np.int64),
        label=label,
    )


def mirrored(clip: Clip) -> Clip:
    """The mirror image."""
    return Clip(clip.t, SENSOR - 1 - clip.x, clip.y, clip.p, MIRRORED[clip.label])


def reversed_in_time(clip: Clip) -> Clip:
    """The clip played backwards: what grew brighter grows darker."""
    t, x, y, p = (a[::-1] for a in (clip.t.max() - clip.t, clip.x, clip.y, 1 - clip.p))
    return Clip(t, x, y, p, REVERSED[clip.label])


def frames(clip: Clip, steps: int, start_us: int = 0) -> Array:
    """Bin into uint8 levels (steps, 2, 32, 32) from start_us on; pixels pooled 4 x 4."""
    k = (clip.t - start_us) // STEP_US
    x, y = clip.x.astype(np.int64), clip.y.astype(np.int64)
    inside = (k >= 0) & (k < steps) & (clip.x >= 0) & (x < SENSOR) & (clip.y >= 0) & (y < SENSOR)
    cell = ((k * 2 + clip.p) * GRID + y * GRID // SENSOR) * GRID + x * GRID // SENSOR
    counts = np.bincount(cell[inside], minlength=steps * 2 * GRID * GRID)
    levels = np.array(LEVELS, np.uint8)[np.minimum(counts, 255)]
    return levels.reshape(steps, 2, GRID, GRID)


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far each random change goes. Probabilities of the label-changing ones are explicit."""

    mirror: float = 0.5
    reverse: float = 0.3
    polarity: float = 0.1
    scale: tuple[float, float] = (0.75, 1.3)
    aspect: float = 0.1
    shift: float = 14.0
    rotation_deg: float = 8.0
    speed: tuple[float, float] = (0.75, 1.35)
    keep: tuple[float, float] = (0.25, 1.0)
    noise_per_step: float = 60.0
    hot_pixels: int = 3


def augmented(
    clip: Clip, steps: int, rng: np.random.Generator, how: Augmentation = Augmentation()
) -> tuple[Array, int]:
    """Return (levels (steps, 2, 32, 32), class) of a randomly changed clip."""
    if rng.random() < how.mirror:
        clip = mirrored(clip)
    if rng.random() < how.reverse:
        clip = reversed_in_time(clip)
    t, x, y, p = clip.t, clip.x, clip.y, clip.p
    keep = rng.uniform(*how.keep) if rng.random() < 0.7 else 1.0
    if keep < 1.0:
        kept = rng.random(len(t), np.float32) < keep
        t, x, y, p = t[kept], x[kept], y[kept], p[kept]
    t = (t * rng.uniform(*how.speed)).astype(np.int64)
    x, y = _moved(x, y, rng, how)
    if rng.random() < how.polarity:
        p = 1 - p
    changed = _with_noise(Clip(t, x, y, p, clip.label), steps, rng, how)
    span = steps * STEP_US
    slack = int(t[-1]) - span if len(t) else 0
    start = int(rng.integers(min(0, slack), max(1, slack)))
    return frames(changed, steps, max(start, -span // 3)), clip.label


def _moved(x: Array, y: Array, rng: np.random.Generator, how: Augmentation) -> tuple[Array, Array]:
    scale = np.exp(rng.uniform(*np.log(how.scale)))
    stretch = np.exp(rng.uniform(-how.aspect, how.aspect))
    angle = np.deg2rad(rng.uniform(-how.rotation_deg, how.rotation_deg))
    c, s = np.float32(np.cos(angle) * scale), np.float32(np.sin(angle) * scale)
    dx, dy = rng.uniform(-how.shift, how.shift, 2).astype(np.float32)
    half = np.float32(SENSOR / 2)
    # A little jitter keeps enlarged pixels from leaving a comb of empty columns.
    u = x - half + rng.random(len(x), np.float32)
    v = y - half + rng.random(len(y), np.float32)
    across, down = np.float32(stretch), np.float32(1 / stretch)
    return (c * u - s * v) * across + half + dx, (s * u + c * v) * down + half + dy


def _with_noise(clip: Clip, steps: int, rng: np.random.Generator, how: Augmentation) -> Clip:
    span = max(steps * STEP_US, int(clip.t[-1]) if len(clip.t) else 0)
    n = int(rng.uniform(0, how.noise_per_step) * rng.random() * span / STEP_US)
    parts = [(rng.integers(0, span, n), rng.uniform(0, SENSOR, (2, n)).astype(np.float32))]
    for _ in range(int(rng.integers(0, how.hot_pixels + 1))):
        m = int(rng.uniform(0.2, 4.0) * span / STEP_US)
        at = rng.uniform(0, SENSOR, (2, 1)).astype(np.float32)
        parts.append((rng.integers(0, span, m), np.repeat(at, m, axis=1)))
    t = np.concatenate([clip.t, *(q[0] for q in parts)])
    x = np.concatenate([clip.x, *(q[1][0] for q in parts)])
    y = np.concatenate([clip.y, *(q[1][1] for q in parts)])
    added = len(t) - len(clip.t)
    p = np.concatenate([clip.p, rng.integers(0, 2, added)])
    return Clip(t, x, y, p, clip.label)


def real_clips(directory: Path) -> list[Clip]:
    """Read a folder with labels.csv (file,label,name) and recordings of a 128 x 128 DVS."""
    from edgesnn.measure.evaluate import read_labels
    from edgesnn.sources.reading import read_events

    clips = []
    for entry in read_labels(directory, len(LABELS)):
        events, _ = read_events(entry.path)
        clips.append(clip_from_events(events, entry.label))
    return clips
