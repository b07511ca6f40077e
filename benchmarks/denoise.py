"""What the filters remove and keep, beside dv-processing's, in one run.

    python benchmarks/denoise.py [FILE] [--noise-hz 2] [--hot 5] [--json]

Adds known noise to a recording (of every pixel so many events a second, and hot pixels of 500 Hz),
and tells for each filter which share of the noise it removes, which share of the recording's own
events it keeps (their own noise among them), and how many events a second it takes, in packets of
10 ms.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np

from edgesnn.app import load_app, sample_path
from edgesnn.events import EVENT, Events
from edgesnn.senses.background import SUPPORT_US, BackgroundActivity
from edgesnn.senses.hot import HotPixels
from edgesnn.sources.reading import read_events

Filter = Callable[[Events], Events]
HOT_HZ, PACKET_US = 500, 10_000
_ADDED = 2  # a bit of p that marks added events; filters do not look at p


def noisy(events: Events, size: tuple[int, int], noise_hz: float, hot: int) -> Events:
    """Return a recording with noise added, in order of time."""
    rng = np.random.default_rng(0)
    first, last = int(events["t"][0]), int(events["t"][-1])
    lasts_s = (last - first) / 1e6
    count = rng.poisson(noise_hz * size[0] * size[1] * lasts_s)
    per_hot = int(HOT_HZ * lasts_s)
    added = np.zeros(count + hot * per_hot, EVENT)
    added["t"] = rng.integers(first, last, len(added))
    added["x"], added["y"] = (
        rng.integers(0, size[0], len(added)),
        rng.integers(0, size[1], len(added)),
    )
    for i in range(hot):
        part = slice(count + i * per_hot, count + (i + 1) * per_hot)
        added["x"][part], added["y"][part] = rng.integers(0, size[0]), rng.integers(0, size[1])
    added["p"] = rng.integers(0, 2, len(added))
    whole = np.concatenate([events.view(np.uint64), added.view(np.uint64)]).view(EVENT)
    marks = np.concatenate([np.zeros(len(events), np.uint8), np.full(len(added), _ADDED, np.uint8)])
    whole["p"] |= marks
    return whole[np.argsort(whole["t"], kind="stable")]


def dv_background(size: tuple[int, int]) -> Filter:
    """Return dv-processing's filter of background activity, with the same time."""
    import dv_processing as dv  # type: ignore[import-not-found]

    own = dv.noise.BackgroundActivityNoiseFilter(
        size, backgroundActivityDuration=timedelta(microseconds=SUPPORT_US)
    )

    def feed(events: Events) -> Events:
        store = dv.EventStore()
        for t, x, y, p in events.tolist():
            store.push_back(t, x, y, bool(p & 1))
        began = time.perf_counter()
        own.accept(store)
        out = own.generateEvents()
        feed.spent += time.perf_counter() - began  # type: ignore[attr-defined]
        kept = out.numpy().view(EVENT) if out.size() else np.zeros(0, EVENT)
        return _marked(events, kept)

    feed.spent = 0.0  # type: ignore[attr-defined]
    return feed


def _marked(events: Events, kept: Events) -> Events:
    """Find the kept events among all, and so their marks: the order is the same."""
    found, at = [], 0
    plain = [(t, x, y) for t, x, y, _ in events.tolist()]
    for row in kept.tolist():
        while plain[at] != row[:3]:
            at += 1
        found.append(at)
        at += 1
    return events[found]


def measured(name: str, filtered: Filter, events: Events) -> dict[str, object]:
    """Run one filter over all packets; return its row."""
    cuts = np.searchsorted(events["t"], np.arange(events["t"][0], events["t"][-1], PACKET_US)[1:])
    parts = np.split(events, cuts)
    began = time.perf_counter()
    kept = [filtered(part) for part in parts]
    spent = getattr(filtered, "spent", None) or time.perf_counter() - began
    added = int(np.count_nonzero(events["p"] & _ADDED))
    left = sum(int(np.count_nonzero(part["p"] & _ADDED)) for part in kept)
    own = sum(map(len, kept)) - left
    return {
        "filter": name,
        "noise_removed": 1 - left / max(1, added),
        "signal_kept": own / (len(events) - added),
        "million_events_per_s": len(events) / spent / 1e6,
    }


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--noise-hz", type=float, default=2.0)
    parser.add_argument("--hot", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    events, size = read_events(given.file or sample_path(load_app("gesture")))
    whole = noisy(events, size, given.noise_hz, given.hot)
    hot, background = HotPixels(size), BackgroundActivity(size)
    both = HotPixels(size), BackgroundActivity(size)
    rows = [
        measured("hot", hot.feed, whole),
        measured("background", background.feed, whole),
        measured("full (both)", lambda part: both[1].feed(both[0].feed(part)), whole),
        measured("dv-processing, background", dv_background(size), whole),
    ]
    if given.json:
        print(json.dumps(rows))
        return
    print(f"{len(whole):,} events, {len(whole) - len(events):,} of them added noise")
    for row in rows:
        print(
            f"{row['filter']:<28} noise removed {row['noise_removed']:6.1%}  "
            f"signal kept {row['signal_kept']:6.1%}  {row['million_events_per_s']:5.1f} M events/s"
        )


if __name__ == "__main__":
    main()
