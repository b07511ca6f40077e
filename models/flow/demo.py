"""A synthetic camera before a wall of shapes: it looks around, turns, comes closer, stands still.

    python -m edgesnn.models.flow.demo apps/flow/sample_flow.npz      the bundled recording

The scene follows the host clock; written to a file, it follows a clock of its own.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edgesnn.events import joined_events
from edgesnn.senses.emulator import DvsEmulator, EmulatorParameters
from edgesnn.sources.demo import SceneCamera
from edgesnn.sources.npz_write import npz_from_events

from .textures import SIDE, Image, draw_patch

SIZE = 128
_FRAME_NS = 3_000_000
_SHAPES = 170
_FILE_FRAME_US, _FILE_S, _FILE_SEED = 2_000, 9.6, 1
_SENSOR = EmulatorParameters(threshold_on=0.38, threshold_off=0.38, cutoff_hz=300.0, shot_hz=0.05)


@dataclass(frozen=True, slots=True)
class Move:
    """How the picture moves for some seconds: px/s, rad/s (clockwise), and growth by 1/s."""

    seconds: float
    u: float = 0.0
    v: float = 0.0
    turn: float = 0.0
    grow: float = 0.0


MOVES = (
    Move(1.2, u=110),
    Move(1.2, v=60),
    Move(1.2, u=-160),
    Move(0.8),
    Move(1.2, u=-20, v=-40),
    Move(1.2, turn=1.5),
    Move(1.0, grow=0.5),
    Move(1.0, grow=-0.5),
    Move(0.8, turn=-2.0),
)
"""One round of the scene; after it the next begins."""


class Scene:
    """The wall, seen at any time; it never ends."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        wall = np.full((SIDE, SIDE), 120, np.float32)
        for _ in range(_SHAPES):
            draw_patch(
                wall, rng, rng.integers(0, SIDE, 2), rng.uniform(8, 30), rng.uniform(40, 220)
            )
        self._light = cv2.GaussianBlur(wall, (0, 0), 1.0)
        self._at_us = 0
        at = SIZE / 2 - SIDE / 2
        self._map = np.array([[1.0, 0, at], [0, 1.0, at], [0, 0, 1]])

    @property
    def move(self) -> Move:
        """What the picture does now."""
        left = self._at_us * 1e-6 % sum(move.seconds for move in MOVES)
        for move in MOVES:
            if left < move.seconds:
                return move
            left -= move.seconds
        return MOVES[-1]

    def frame(self, t_us: int) -> Image:
        """Return the light at a time not before the last one asked for, (SIZE, SIZE)."""
        while self._at_us < t_us:
            span = min(1_000, t_us - self._at_us)
            self._advance(self.move, span * 1e-6)
            self._at_us += span
        light = cv2.warpAffine(
            self._light,
            self._map[:2],
            (SIZE, SIZE),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
        return np.asarray(light, np.float32)

    def _advance(self, move: Move, dt: float) -> None:
        c, angle, size = SIZE / 2 - 0.5, move.turn * dt, math.exp(move.grow * dt)
        cosine, sine = size * math.cos(angle), size * math.sin(angle)
        step = np.array(
            [
                [cosine, -sine, c - cosine * c + sine * c + move.u * dt],
                [sine, cosine, c - sine * c - cosine * c + move.v * dt],
                [0, 0, 1],
            ]
        )
        self._map = step @ self._map


def open_demo(seed: int = 0) -> SceneCamera:
    """Open the synthetic camera; the seed fixes the wall."""
    return SceneCamera(Scene(seed), SIZE, _SENSOR, seed, _FRAME_NS)


def write(path: Path) -> int:
    """Write a round of the scene as a recording; return how many events it holds."""
    scene, emulator = Scene(_FILE_SEED), DvsEmulator((SIZE, SIZE), _SENSOR, _FILE_SEED)
    until_us = round(_FILE_S * 1e6)
    times = range(_FILE_FRAME_US, until_us + 1, _FILE_FRAME_US)
    events = joined_events([emulator.frame(scene.frame(t), t) for t in times])
    npz_from_events(path, events, (SIZE, SIZE), until_us)
    return len(events)


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    path = parser.parse_args().path
    print(f"{path}: {write(path):,} events, {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
