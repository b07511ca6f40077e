"""Do the simulated scenes look like recordings? The same numbers of both, side by side.

    python benchmarks/flow_statistics.py [--data DIR] [--scenes 200]

DIR: recordings in the layouts that `edgesnn eval flow` reads. Per step of
10 ms on cells of 2 pixels (as training sees them): share of the cells with events; events of a cell
that has any; share of ON; share of these cells whose neighbours (8) have events too; share that had
events in the step before; time surface: share of all cells whose newest event is younger than 20,
60, 140 and 240 ms. Percentiles over steps: 10, 50, 90.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from edgesnn.apps.flow.graded import windows_of
from edgesnn.bundle import load_bundle
from edgesnn.events import Events
from edgesnn.measure.tables import show, table_of
from edgesnn.models.flow.data import BINS, counts_of, scene
from edgesnn.models.flow.surfaces import STEP_US

SEED = 1_000_000
YOUNGER = (2, 6, 14, 24)
Numbers = dict[str, list[float]]


def told_of(counts: np.ndarray, found: Numbers) -> None:
    """Add the numbers of each step of counts (steps * BINS, 2, H, W) to those found."""
    steps = counts.reshape(-1, BINS, 2, *counts.shape[2:]).sum(1).astype(np.int64)
    age = np.full(steps.shape[2:], YOUNGER[-1])
    before = np.zeros(steps.shape[2:], bool)
    for n, both in enumerate(steps):
        events = both.sum(0)
        seen = events > 0
        age = np.where(seen, 0, age + 1)
        if seen.sum() >= 10 and n >= YOUNGER[-1] // 2:
            padded = np.pad(seen, 1)
            h, w = seen.shape
            around = sum(padded[y : y + h, x : x + w] for y in range(3) for x in range(3)) - seen
            found["cells with events, %"].append(100 * seen.mean())
            found["events of such a cell"].append(events[seen].mean())
            found["ON, %"].append(100 * both[1].sum() / events.sum())
            found["neighbours with events, %"].append(100 * around[seen].mean() / 8)
            found["had events a step before, %"].append(100 * before[seen].mean())
            for young in YOUNGER:
                name = f"cells younger than {10 * young} ms, %"
                found[name].append(100 * (age < young).mean())
        before = seen


def of_recording(events: Events, size: tuple[int, int], found: Numbers) -> None:
    """Add the numbers of a recording, on the cells that are chosen for its sensor."""
    cell = load_bundle("flow").fitted(size).encoder.cell  # type: ignore[union-attr]
    shifted = events.copy()
    shifted["t"] -= int(events["t"][0]) - 1
    steps = int(shifted["t"][-1]) // STEP_US
    told_of(counts_of(shifted, steps, size, cell), found)


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--scenes", type=int, default=200)
    given = parser.parse_args()
    told: dict[str, Any] = {"scenes": defaultdict(list)}
    for number in range(given.scenes):
        told_of(scene(SEED, number).counts, told["scenes"])
    if given.data is not None:
        told["recordings"] = defaultdict(list)
        seen = set()
        for window in windows_of(given.data):
            if not isinstance(window, str) and window.file not in seen:
                seen.add(window.file)
                of_recording(window.events, window.size, told["recordings"])
    table = table_of(["a step of 10 ms"], list(told))
    for name in told["scenes"]:
        cells = [np.percentile(found[name], (10, 50, 90)) for found in told.values()]
        table.add_row(name, *("  ".join(f"{v:.1f}" for v in row) for row in cells))
    show(table)


if __name__ == "__main__":
    main()
