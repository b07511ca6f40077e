"""Does memory stay flat over an hour of sound? The keyword app at full speed, in this process.

    python benchmarks/hour_of_sound.py [--hours 1] [--file PATH]

Plays a recording (the bundled one) again and again, as `edgesnn run keyword --loop --speed max`
does, and prints the resident memory ten times on the way, with the words told and the steps taken.
"""

from __future__ import annotations

import argparse
import math
import threading
import time
from pathlib import Path

from load import resident_mb

from edgesnn.app import load_app, sample_path
from edgesnn.backend import backend
from edgesnn.bundle import load_bundle
from edgesnn.decide.decision import NOTHING, Decision
from edgesnn.events import Packet
from edgesnn.sources.sound_file import open_sound_file
from edgesnn.stream.pipeline import run
from edgesnn.stream.sink import Monitor, RunInfo, Summary


class Watcher:
    """A sink that prints the memory whenever another tenth of the time has passed."""

    def __init__(self, seconds: float) -> None:
        self.words = 0
        self._tenth_us = seconds * 1e5
        self._due_us = 0.0

    def open(self, info: RunInfo, monitor: Monitor) -> None:
        """Print the head."""
        self._monitor = monitor
        print(f"{'minutes':>8} {'steps':>9} {'words':>6} {'MB':>7}")

    def packet(self, packet: Packet) -> None:
        """Nothing to keep."""

    def decision(self, decision: Decision) -> None:
        """Count a word; print when it is time."""
        self.words += decision.index != NOTHING
        snapshot = self._monitor.latest()
        if decision.t_us >= self._due_us and snapshot is not None:
            self._due_us += self._tenth_us
            minutes = decision.t_us / 6e7
            print(
                f"{minutes:8.1f} {snapshot.steps:9} {self.words:6} {resident_mb():7.1f}", flush=True
            )

    def close(self, summary: Summary | None) -> None:
        """Nothing to close."""


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--file", type=Path)
    given = parser.parse_args()
    app = load_app("keyword")
    bundle = load_bundle(app.model)
    assert bundle.hearing is not None
    seconds = given.hours * 3600
    source = open_sound_file(
        given.file or sample_path(app), bundle.hearing, speed=math.inf, loop=True
    )
    watcher, began = Watcher(seconds), time.monotonic()
    summary = run(
        source,
        bundle,
        backend("onnx_cpu").load(bundle),
        [watcher],
        backend_name="onnx_cpu",
        stop=threading.Event(),
        duration_s=seconds,
    )
    print(
        f"{summary.steps} steps in {time.monotonic() - began:.0f} s, "
        f"{summary.realtime_factor:.0f} x real time, {summary.dropped} dropped, "
        f"{watcher.words} words, {resident_mb():.1f} MB at the end"
    )


if __name__ == "__main__":
    main()
