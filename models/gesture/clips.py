"""Simulated clips on disk, in shards.

    python -m edgesnn.models.gesture.clips --out runs/clips --count 4400 --seed 0 --workers 2

The first shard is never trained on; `--recordings` writes its clips as files that `edgesnn eval`
reads. A shard `shard_NNNNN.npz` holds `events` (uint32: t in 100 us << 15 | y << 8 | x << 1 | p),
`offsets` (n + 1) and `labels`. Clip i depends on the seed and i alone, whatever the order it is
made in; finished shards are kept, so a run that was cut off goes on where it stopped.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgesnn.events import Events, events_from_arrays
from edgesnn.sources.npz_write import npz_from_events

from .data import LABELS, SENSOR, Clip, clip_from_packed
from .simulator import gesture_events

CLIPS_PER_SHARD = 220
DURATION_US = 1_600_000
TICK_US = 100


def packed(events: Events) -> NDArray[np.uint32]:
    """Pack events of a 128 x 128 sensor, t below 13 s, into uint32; t is cut to 100 us."""
    words = (events["t"] // TICK_US) << 15
    words |= events["y"].astype(np.int64) << 8
    words |= events["x"].astype(np.int64) << 1
    result: NDArray[np.uint32] = (words | events["p"]).astype(np.uint32)
    return result


def clip(seed: int, index: int, duration_us: int = DURATION_US) -> tuple[NDArray[np.uint32], int]:
    """Return clip `index` of a data set, packed, and its class: index modulo 11."""
    label = index % len(LABELS)
    return packed(gesture_events(np.random.default_rng((seed, index)), label, duration_us)), label


def write_shard(out: Path, seed: int, number: int) -> Path:
    """Make one shard unless it is there; it appears under its name only when complete."""
    path = out / f"shard_{number:05d}.npz"
    if not path.exists():
        cv2.setNumThreads(1)
        first = number * CLIPS_PER_SHARD
        clips = [clip(seed, first + i) for i in range(CLIPS_PER_SHARD)]
        part = out / f"part_{number:05d}.npz"
        np.savez(
            part,
            events=np.concatenate([events for events, _ in clips]),
            offsets=np.cumsum([0] + [len(events) for events, _ in clips]),
            labels=np.array([label for _, label in clips], np.int8),
        )
        part.replace(path)
    return path


def read_shard(path: Path) -> list[tuple[NDArray[np.uint32], int]]:
    """Return the packed events and class of every clip of a shard."""
    with np.load(path, allow_pickle=False) as shard:
        events, offsets, labels = shard["events"], shard["offsets"], shard["labels"]
    return [(events[offsets[i] : offsets[i + 1]], int(labels[i])) for i in range(len(labels))]


def write_recordings(folder: Path, clips: Sequence[Clip]) -> None:
    """Write clips as .npz files with a labels.csv, for `edgesnn eval --data`."""
    lines = ["file,label,name"]
    for i, c in enumerate(clips):
        events = events_from_arrays(c.t, c.x, c.y, c.p)
        npz_from_events(folder / f"{i:05d}.npz", events, (SENSOR, SENSOR))
        lines.append(f"{i:05d}.npz,{c.label},{LABELS[c.label]}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def _write(arguments: tuple[Any, ...]) -> Path:
    return write_shard(*arguments)


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=4400, help="clips; whole shards of 220")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--recordings",
        action="store_true",
        help="write the held-out shard as recordings with a labels.csv, and nothing else",
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.recordings:
        held_out = range(CLIPS_PER_SHARD)
        clips = [clip_from_packed(*clip(arguments.seed, i)) for i in held_out]
        return write_recordings(arguments.out, clips)
    shards = -(-arguments.count // CLIPS_PER_SHARD)
    jobs = [(arguments.out, arguments.seed, number) for number in range(shards)]
    with multiprocessing.Pool(arguments.workers) as pool:
        for path in pool.imap(_write, jobs):
            print(path, flush=True)


if __name__ == "__main__":
    main()
