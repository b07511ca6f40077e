"""Whether optical flow of a camera that slides along x goes along x, however it is turned.

    python benchmarks/flow_direction.py FILE.txt --sensor 240x180 [--truth TRUTH.npz]

FILE: lines "t x y p", t in seconds.
For four windows of 30 ms, after the first 30 ms: the share of events whose flow lies within 20
degrees of the slide, and the mean FWL, of edgesnn and of OpenCV's methods on pictures of 30 ms, on
the recording as it is, mirrored, transposed and reversed in time, in windows of the same events;
reversed also in those of its own first 30 ms on, which are of others. And the FWL of the same
motion with what is across the slide taken away. With --truth the relative error
at the events of the 10 ms before t_ref too, and the FWL that the truth itself reaches there: flow_x
(H, W) is px/s along x of the undistorted picture at t_ref (s, of FILE's clock; nan where unknown),
K (3, 3) and D (5) are the camera's.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgesnn.apps.flow.evaluation import FieldOf
from edgesnn.apps.flow.peers import Method, methods, peer_field
from edgesnn.apps.flow.scores import FWL_US, fwl_of
from edgesnn.backend import AUTO
from edgesnn.bundle import load_bundle
from edgesnn.cli.source import size_typed
from edgesnn.events import Events, events_from_arrays

WINDOWS, NEAR_DEG, SCORED_US = 4, 20, 10_000
Size = tuple[int, int]


@dataclass(frozen=True)
class Turned:
    """A copy of a recording: axis of the slide (0: x), and where windows end, us."""

    name: str
    events: Events
    size: Size
    axis: int = 0
    ends: tuple[int, ...] = tuple(FWL_US * (n + 2) for n in range(WINDOWS))


def turned(events: Events, size: Size) -> Iterator[Turned]:
    """Yield the recording as it is, and its copies."""
    width, height = size
    yield Turned("as it is", events, size)
    mirrored = events.copy()
    mirrored["x"] = width - 1 - events["x"]
    yield Turned("mirrored", mirrored, size)
    transposed = events.copy()
    transposed["x"], transposed["y"] = events["y"], events["x"]
    yield Turned("transposed", transposed, (height, width), axis=1)
    reverse = events[::-1].copy()
    last = int(events["t"].max())
    reverse["t"], reverse["p"] = last - reverse["t"], 1 - reverse["p"]
    same = tuple(last + 1 - FWL_US * (n + 1) for n in range(WINDOWS))
    yield Turned("reversed", reverse, size, ends=same)
    yield Turned("reversed, own start", reverse, size)


def told(copy: Turned, at: Callable[[int], Any]) -> str:
    """Say share and FWL of the fields that `at` gives for the ends of windows."""
    events, size, axis = copy.events, copy.size, copy.axis
    shares, fwls, straight = [], [], []
    for until_us in copy.ends:
        field = at(until_us)
        seen = events[(events["t"] >= until_us - FWL_US) & (events["t"] < until_us)]
        v = field[:, seen["y"], seen["x"]]
        angle = np.degrees(np.arctan2(np.abs(v[1 - axis]), np.abs(v[axis])))
        shares.append(float(((angle < NEAR_DEG) & v.any(0)).mean()))
        fwls.append(fwl_of(events, field, until_us, size) or np.nan)
        along = field.copy()
        along[1 - axis] = 0
        straight.append(fwl_of(events, along, until_us, size) or np.nan)
    return (
        f"{100 * np.mean(shares):5.1f} % along the slide   FWL {np.mean(fwls):.3f}, "
        f"straight {np.mean(straight):.3f}"
    )


@dataclass(frozen=True)
class Truth:
    """Motion along x (H, W), px/s, in the undistorted picture at one time of the recording."""

    flow: NDArray[np.floating[Any]]
    at_us: int
    K: NDArray[np.floating[Any]]
    D: NDArray[np.floating[Any]]

    def told(self, events: Events, size: Size, at: Callable[[int], Any]) -> str:
        """Say the mean relative error of `at`'s field at the events just before, and how sharp the
        truth itself makes those of a window whose motion is known, beside the field."""
        found, truth = at(self.at_us), self.on_pixels(size)
        before = events[(events["t"] < self.at_us)]
        before = before[np.abs(truth[before["y"], before["x"]]) > 1]  # px/s; nan is not
        last = before[before["t"] >= self.at_us - SCORED_US]
        wanted = truth[last["y"], last["x"]]
        u, v = found[:, last["y"], last["x"]]
        off = np.hypot(u - wanted, v) / np.abs(wanted)
        slide = np.stack([np.nan_to_num(truth), np.zeros_like(truth)])
        own, best = (fwl_of(before, field, self.at_us, size) or np.nan for field in (found, slide))
        return (
            f"relative error {off.mean():.3f} at {len(last):,} events; FWL of those whose motion "
            f"is known {own:.2f}, by the truth {best:.2f}"
        )

    def on_pixels(self, size: Size) -> NDArray[np.floating[Any]]:
        """Return the motion along x at each pixel of the sensor, nan where it is not known."""
        width, height = size
        raw = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(float)
        flat = raw.reshape(-1, 1, 2)
        x, y = np.rint(cv2.undistortPoints(flat, self.K, self.D, P=self.K)[:, 0].T).astype(int)
        h, w = self.flow.shape
        inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
        found = np.full(width * height, np.nan)
        found[inside] = self.flow[y[inside], x[inside]]
        return found.reshape(height, width)


def truth_of(path: Path, first_s: float) -> Truth:
    """Read a truth; first_s: time of the recording's first event."""
    with np.load(path) as file:
        at_us = round((float(file["t_ref"]) - first_s) * 1e6)
        flow = file["flow_x"].astype(np.float64)
        return Truth(flow, at_us, file["K"].astype(np.float64), file["D"].astype(np.float64))


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--sensor", required=True)
    parser.add_argument("--truth", type=Path)
    given = parser.parse_args()
    size = size_typed(given.sensor)
    assert size is not None
    rows = np.loadtxt(given.path)
    t = np.rint((rows[:, 0] - rows[0, 0]) * 1e6).astype(np.int64)
    events = events_from_arrays(t, *rows[:, 1:4].T.astype(np.int64))
    truth = truth_of(given.truth, rows[0, 0]) if given.truth else None
    for copy in turned(events, size):
        part, own = copy.events, copy.size
        fields: dict[str, Callable[[int], Any]] = {
            method: partial(of_peer, found, part, own) for method, found in methods().items()
        }
        model = FieldOf(load_bundle("flow"), own, AUTO)
        for who, at in {"edgesnn": partial(of_model, model, part), **fields}.items():
            print(f"{f'{who}, {copy.name}':34} {told(copy, at)}")
            if truth is not None and part is events:
                print(f"{'':34} {truth.told(events, size, at)}")


def of_model(model: FieldOf, events: Events, until_us: int) -> Any:
    """Return a model's field at a moment."""
    return model.at(events[events["t"] < until_us], until_us)


def of_peer(method: Method, events: Events, size: Size, until_us: int) -> Any:
    """Return a peer's."""
    return peer_field(method, events, until_us, FWL_US, size)


if __name__ == "__main__":
    main()
