"""Do simulated clips look like real ones? Numbers first, then pictures side by side.

python -m edgesnn.models.gesture.statistics --real DIR --clips runs/clips [--draw OUT.png]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .clips import read_shard
from .data import GRID, LABELS, SENSOR, STEP_US, Clip, clip_from_packed, real_clips

STEPS = 56
COLUMNS = ("events/s", "active", "mean count", "ON share", "border/centre")


def statistics(clip: Clip) -> tuple[float, ...]:
    """Return the numbers of `COLUMNS` for the first 1.4 s of a clip.

    Events per second; share of the 32 x 32 cells with an event in a 25 ms step; mean count in
    those; share of ON events; event density in the outer eighth of the image over the rest.
    """
    k = clip.t // STEP_US
    inside = k < STEPS
    x, y = clip.x.astype(np.int64), clip.y.astype(np.int64)
    cell = (k * GRID + y * GRID // SENSOR) * GRID + x * GRID // SENSOR
    counts = np.bincount(cell[inside], minlength=STEPS * GRID * GRID)
    edge = SENSOR // 16
    central = (np.minimum(x, SENSOR - 1 - x) >= edge) & (np.minimum(y, SENSOR - 1 - y) >= edge)
    inner = (1 - 2 * edge / SENSOR) ** 2
    share = central[inside].mean()
    return (
        inside.sum() / (STEPS * STEP_US * 1e-6),
        float((counts > 0).mean()),
        float(counts[counts > 0].mean()),
        float(clip.p[inside].mean()),
        float(((1 - share) / (1 - inner)) / (share / inner)),
    )


def strip(clip: Clip, pictures: int = 10) -> NDArray[np.uint8]:
    """Draw single steps of a clip in a row: ON green, OFF red; (128, 128 * pictures, 3) BGR."""
    images = []
    for step in np.linspace(2, STEPS - 2, pictures).astype(int):
        chosen = clip.t // STEP_US == step
        image = np.full((SENSOR, SENSOR, 3), 40, np.uint8)
        for polarity, colour in ((1, (80, 220, 80)), (0, (80, 80, 240))):
            of = chosen & (clip.p == polarity)
            image[clip.y[of].astype(int), clip.x[of].astype(int)] = colour
        images.append(image)
    return np.hstack(images)


def _table(name: str, clips: Sequence[Clip]) -> None:
    print(f"{name:<30}" + "".join(f"{c:>15}" for c in COLUMNS))
    for label, title in enumerate(LABELS):
        rows = np.array([statistics(c) for c in clips if c.label == label])
        if len(rows):
            print(f"{title:<30}" + "".join(_cell(rows[:, i]) for i in range(len(COLUMNS))))


def _cell(values: NDArray[Any]) -> str:
    digits = 0 if values.mean() > 1000 else 2
    low, high = np.quantile(values, [0.1, 0.9])
    text = f"{values[0]:.{digits}f}" if len(values) == 1 else f"{low:.{digits}f}-{high:.{digits}f}"
    return f"{text:>15}"


def main() -> None:
    """Print both tables (10th to 90th percentile where there are several clips); draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, required=True, help="labelled folder of recordings")
    parser.add_argument("--clips", type=Path, required=True, help="folder of simulated shards")
    parser.add_argument("--draw", type=Path, help="PNG of real and simulated clips side by side")
    arguments = parser.parse_args()
    real = real_clips(arguments.real)
    shard = sorted(arguments.clips.glob("shard_*.npz"))[0]
    simulated = [clip_from_packed(*c) for c in read_shard(shard)]
    _table("real", real)
    _table("simulated", simulated)
    if arguments.draw:
        rows = [np.hstack([strip(c), strip(simulated[c.label])]) for c in real]
        cv2.imwrite(str(arguments.draw), np.vstack(rows))


if __name__ == "__main__":
    main()
