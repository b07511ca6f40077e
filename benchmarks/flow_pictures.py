"""Draw what optical flow sees in the bundled recording, beside the truth and OpenCV's flow.

    python benchmarks/flow_pictures.py docs/pictures/flow.png

Columns: the events of 20 ms, edgesnn, the truth, DIS (medium) and Farneback on two pictures of
20 ms; rows: moments of the recording. Flow is shown where events were seen; all on one scale.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgesnn.app import load_app, sample_path
from edgesnn.apps.flow.evaluation import FieldOf
from edgesnn.apps.flow.peers import methods, peer_field
from edgesnn.bundle import load_bundle
from edgesnn.models.flow.demo import MOVES, SIZE
from edgesnn.sinks.motion_picture import coloured, wheel
from edgesnn.sinks.window import event_pixels
from edgesnn.sources.reading import read_events

MOMENTS_S = (0.6, 3.0, 6.4, 7.6)
SHOWN_US, MAX_SPEED, SCALE, GAP, HEAD = 20_000, 200.0, 2, 6, 22
_TEXT = (230, 230, 230)
Image = NDArray[np.uint8]


def truth_at(seconds: float) -> NDArray[np.float64]:
    """Return the true motion of every pixel, (2, SIZE, SIZE), px/s."""
    left = seconds
    for move in MOVES:
        if left < move.seconds:
            break
        left -= move.seconds
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    u = move.u + move.grow * x - move.turn * y
    return np.stack([u, move.v + move.turn * x + move.grow * y])


def picture() -> Image:
    """Return the whole picture, blue first."""
    events, size = read_events(sample_path(load_app("flow")))
    own, peers = FieldOf(load_bundle("flow"), size, "onnx_cpu"), methods()
    names = ["events", "edgesnn", "truth", "DIS", "Farneback"]
    rows = []
    for seconds in MOMENTS_S:
        until_us = int(seconds * 1e6)
        seen = events[(events["t"] >= until_us - SHOWN_US) & (events["t"] < until_us)]
        counts = np.zeros((2, SIZE, SIZE), np.uint8)
        np.add.at(counts, (seen["p"], seen["y"], seen["x"]), 1)
        mask = cv2.dilate(counts.sum(0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        fields = [
            own.at(events[events["t"] < until_us], until_us),
            truth_at(seconds),
            *(
                peer_field(peers[name], events, until_us, SHOWN_US, size)
                for name in ("dis_medium", "farneback")
            ),
        ]
        tiles = [event_pixels(counts), *(_shown(field, mask) for field in fields)]
        rows.append(_joined([_large(tile) for tile in tiles], 1))
    whole = _joined(rows, 0)
    head = np.full((HEAD, whole.shape[1], 3), 20, np.uint8)
    for i, name in enumerate(names):
        place = (i * (SIZE * SCALE + GAP) + 6, HEAD - 7)
        cv2.putText(head, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, _TEXT, 1, cv2.LINE_AA)
    side = HEAD * 2
    whole[6 : 6 + side, -side - 6 : -6] = np.maximum(
        whole[6 : 6 + side, -side - 6 : -6], wheel(side)[..., ::-1]
    )
    return np.concatenate([head, whole])


def _shown(field: Any, mask: NDArray[np.bool_]) -> Image:
    colours = np.where(mask[..., None], coloured(np.asarray(field), MAX_SPEED), 0)
    return np.ascontiguousarray(colours[..., ::-1].astype(np.uint8))


def _large(tile: Image) -> Image:
    return np.asarray(
        cv2.resize(tile, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_NEAREST), np.uint8
    )


def _joined(tiles: list[Image], axis: int) -> Image:
    shape = list(tiles[0].shape)
    shape[axis] = GAP
    parts = [tiles[0]]
    for tile in tiles[1:]:
        parts += [np.full(shape, 60, np.uint8), tile]
    return np.concatenate(parts, axis=axis)


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    path = parser.parse_args().path
    cv2.imwrite(str(path), picture(), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
