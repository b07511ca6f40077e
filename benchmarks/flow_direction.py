"""Whether optical flow of a camera that slides along x goes along x, however it is turned.

    python benchmarks/flow_direction.py FILE.txt --sensor 240x180     (lines "t x y p", t in s)

For the last four windows of 30 ms: the share of events whose flow lies within 20 degrees of the
slide, and the mean FWL, of edgesnn on the recording as it is, mirrored, transposed and reversed in
time, and of OpenCV's methods on pictures of 15 ms.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgesnn.apps.flow.evaluation import FieldOf
from edgesnn.apps.flow.peers import methods, peer_field
from edgesnn.apps.flow.scores import FWL_US, fwl_of
from edgesnn.bundle import load_bundle
from edgesnn.cli.source import size_typed
from edgesnn.events import Events, events_from_arrays

WINDOWS, PICTURE_US, NEAR_DEG = 4, 15_000, 20
Size = tuple[int, int]


def turned(events: Events, size: Size) -> Iterator[tuple[str, Events, Size, int]]:
    """Yield name, events, sensor and the axis of the slide (0: x)."""
    width, height = size
    yield "as it is", events, size, 0
    mirrored = events.copy()
    mirrored["x"] = width - 1 - events["x"]
    yield "mirrored", mirrored, size, 0
    transposed = events.copy()
    transposed["x"], transposed["y"] = events["y"], events["x"]
    yield "transposed", transposed, (height, width), 1
    reverse = events[::-1].copy()
    reverse["t"], reverse["p"] = events["t"].max() - reverse["t"], 1 - reverse["p"]
    yield "reversed", reverse, size, 0


def told(events: Events, size: Size, axis: int, at: Callable[[int], Any]) -> str:
    """Say share and FWL of the fields that `at` gives for the ends of windows."""
    shares, fwls = [], []
    for n in range(WINDOWS):
        until_us = int(events["t"].max()) - FWL_US * (WINDOWS - 1 - n)
        field = at(until_us)
        seen = events[(events["t"] >= until_us - FWL_US) & (events["t"] < until_us)]
        v = field[:, seen["y"], seen["x"]]
        angle = np.degrees(np.arctan2(np.abs(v[1 - axis]), np.abs(v[axis])))
        shares.append(float((angle < NEAR_DEG).mean()))
        fwls.append(fwl_of(events, field, until_us, size) or np.nan)
    return f"{100 * np.mean(shares):5.1f} % along the slide   FWL {np.mean(fwls):.2f}"


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--sensor", required=True)
    given = parser.parse_args()
    size = size_typed(given.sensor)
    assert size is not None
    rows = np.loadtxt(given.path)
    t = np.rint((rows[:, 0] - rows[0, 0]) * 1e6).astype(np.int64)
    events = events_from_arrays(t, *rows[:, 1:4].T.astype(np.int64))
    for name, part, own, axis in turned(events, size):
        model = FieldOf(load_bundle("flow"), own, "onnx_cpu", None)

        def field(until_us: int, model: FieldOf = model, part: Events = part) -> Any:
            return model.at(part[part["t"] < until_us], until_us)

        print(f"{'edgesnn, ' + name:22} {told(part, own, axis, field)}")
    for name, method in methods().items():

        def peer(until_us: int, method: Any = method) -> Any:
            return peer_field(method, events, until_us, PICTURE_US, size)

        print(f"{name:22} {told(events, size, 0, peer)}")


if __name__ == "__main__":
    main()
