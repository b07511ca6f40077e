"""Simulated gestures: a random person before a random wall, filmed by a random DVS.

A person is a torso, a head with hair, upper arms, forearms and hands (`body.py`), moved by
`motion.py`, drawn at 250 frames/s or more on 128 x 128 pixels and turned into events by the same
emulator as a webcam's frames (`edgesnn.senses.emulator`). What the real DVS128 Gesture clips show
and the emulator does not is added as events: scatter around the body's outline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgesnn.events import Events, events_from_arrays
from edgesnn.senses.emulator import DvsEmulator, EmulatorParameters

from .arms import LEFT, RIGHT, Build, Motion, Mover
from .body import Image, Sprite, draw_limb, draw_part, ellipse, limb
from .motion import MOVES, motion, stand

SIZE = 128
FRAMES_PER_SECOND = (250.0, 270.0)


def random_build(rng: np.random.Generator) -> Build:
    """Draw a body: its size stands for distance, its place for where the camera looks."""
    size = rng.uniform(0.8, 1.25)
    return Build(
        x=SIZE / 2 + rng.uniform(-12, 12),
        y=rng.uniform(42, 66),
        size=size,
        half_width=rng.uniform(12, 18) * size,
        arm=rng.uniform(44, 56) * size,
    )


@dataclass(frozen=True, slots=True)
class Person:
    """A body's sprites, and the wall behind it. Brightness is in 0 to 255."""

    build: Build
    wall: Image
    torso: Sprite
    head: Sprite
    hair: Sprite
    upper: dict[int, Sprite]
    fore: dict[int, Sprite]
    hand: dict[int, Sprite]
    front: tuple[int, int]

    def draw(self, joints: dict[str, dict[int, Any]], body: Any, head: Any) -> Image:
        """Return the gray image of one moment.

        joints: shoulder, elbow, hand by side, (x, y). body, head: offsets (x, y) by sway.
        """
        b = self.build
        image = self.wall.copy()
        draw_limb(
            image,
            self.torso,
            np.array([b.x, b.y + 2]) + body,
            np.array([b.x, b.y + 1.6 * b.arm]) + 0.3 * body,
        )
        draw_part(image, self.head, np.array([b.x, b.y - 15 * b.size]) + body + head)
        draw_part(image, self.hair, np.array([b.x, b.y - 23 * b.size]) + body + head)
        for side in self.front:
            shoulder, elbow, hand = (joints[j][side] + body for j in ("shoulder", "elbow", "hand"))
            draw_limb(image, self.upper[side], shoulder, elbow)
            draw_limb(image, self.fore[side], elbow, hand)
            dx, dy = hand - elbow
            draw_part(image, self.hand[side], hand, float(np.arctan2(dy, dx)) - np.pi / 2)
        return image


def random_person(rng: np.random.Generator) -> Person:
    """Draw clothes, skin and wall, each lighter or darker than the other."""
    b = random_build(rng)
    wall = rng.uniform(45, 190)
    darker = rng.random() < 0.65
    cloth = wall * np.exp(rng.uniform(-1.6, -0.3) if darker else rng.uniform(0.1, 0.7))
    skin = wall * np.exp(rng.uniform(-0.9, -0.15) if rng.random() < 0.6 else rng.uniform(0.1, 0.6))
    sleeve = cloth if rng.random() < 0.6 else skin
    grain = rng.uniform(0.05, 0.4)
    clouds = rng.normal(0, rng.uniform(0, 0.25), (6, 6))
    backdrop = wall * np.exp(cv2.resize(clouds, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC))
    upper, fore, palm = (rng.uniform(*r) * b.size for r in ((5.5, 9), (4.5, 7.5), (4.2, 7)))
    sides = (RIGHT, LEFT)
    half = b.arm / 2
    return Person(
        build=b,
        wall=backdrop.astype(np.float32),
        torso=limb(
            rng,
            1.6 * b.arm,
            (b.half_width * rng.uniform(0.95, 1.2), b.half_width * rng.uniform(0.8, 1.1)),
            cloth,
            grain,
        ),
        head=ellipse(
            rng,
            (rng.uniform(6.5, 9.5) * b.size, rng.uniform(9, 12) * b.size),
            skin,
            0.1 + grain / 2,
        ),
        hair=ellipse(rng, (8 * b.size, 5 * b.size), 0.6 * cloth, 0.1),
        upper={s: limb(rng, half, (upper, 1.1 * fore), cloth, grain) for s in sides},
        fore={s: limb(rng, half, (1.05 * fore, 0.8 * fore), sleeve, grain) for s in sides},
        hand={
            s: ellipse(rng, (palm, palm * rng.uniform(0.9, 1.35)), skin, 0.1 + grain / 2)
            for s in sides
        },
        front=(RIGHT, LEFT) if rng.random() < 0.5 else (LEFT, RIGHT),
    )


def random_sensor(rng: np.random.Generator) -> EmulatorParameters:
    """Draw a DVS: thresholds of 5 to 22 % contrast, more or less noise."""
    threshold = float(np.exp(rng.uniform(np.log(0.05), np.log(0.22))))
    return EmulatorParameters(
        threshold_on=threshold,
        threshold_off=threshold * rng.uniform(0.85, 1.2),
        threshold_sigma=0.12 * threshold,
        cutoff_hz=rng.uniform(30, 200),
        leak_hz=rng.uniform(0, 0.1),
        shot_hz=0.5 * rng.uniform(0.1, 1) ** 3,
        refractory_us=rng.uniform(300, 2000),
        hot_pixels=(int(rng.integers(0, 4)), rng.uniform(5, 150)),
    )


class Scatter:
    """Events strewn around the body's outline, as real clips show: more or less of them.

    They fall where the picture has edges, and a few pixels around.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._per_second = 7000.0 * rng.random() ** 1.3
        self._cumulative: NDArray[Any] | None = None
        self._frames = 0

    def events(self, image: Image, start_us: int, stop_us: int) -> Events:
        """Return the scatter between two frames; the outline is looked at again now and then."""
        rng = self._rng
        if self._cumulative is None or self._frames % 32 == 0:
            level = cv2.log(image + 5)
            edges = np.abs(cv2.Laplacian(level, cv2.CV_32F)) + 0.05 * np.abs(
                level - np.median(level)
            )
            around = edges + 2 * cv2.GaussianBlur(edges, (0, 0), 5)
            total = np.cumsum(around, dtype=np.float64)
            self._cumulative = total / total[-1]
        self._frames += 1
        n = rng.poisson(self._per_second * (stop_us - start_us) * 1e-6)
        at = np.minimum(np.searchsorted(self._cumulative, rng.random(n)), SIZE * SIZE - 1)
        t = np.sort(rng.integers(start_us + 1, stop_us + 1, n))
        return events_from_arrays(t, at % SIZE, at // SIZE, rng.random(n) < 0.5)


def gesture_events(rng: np.random.Generator, label: int, duration_us: int) -> Events:
    """Return the events of one simulated clip, 128 x 128, t from 0; the same rng, the same clip.

    label: class, 0 to 10. Costs about a third of a second of one core for 1.6 s.
    """
    person, sensor, scatter = random_person(rng), random_sensor(rng), Scatter(rng)
    frames = int(duration_us * 1e-6 * rng.uniform(*FRAMES_PER_SECOND))
    t_us = np.linspace(0, duration_us, frames + 1).astype(np.int64)
    t = t_us * 1e-6
    mover = Mover(rng, t, person.build)
    body = mover.track(
        mover.smooth(0.5, rng.uniform(0.2, 1.5)), mover.smooth(0.5, rng.uniform(0.1, 0.8))
    )
    head = mover.track(
        mover.smooth(1.0, rng.uniform(0.1, 0.8)), mover.smooth(1.0, rng.uniform(0.1, 0.6))
    )
    flicker = rng.uniform(0, 0.03) if rng.random() < 0.3 else 0.0
    light = 1 + flicker * np.sin(2 * np.pi * 100 * t)
    tracks = motion(rng, MOVES[label], t, person.build)
    emulator = DvsEmulator((SIZE, SIZE), sensor, rng)
    parts = []
    for i in range(len(t)):
        image = person.draw(joints_at(tracks, i), body[i], head[i]) * np.float32(light[i])
        parts.append(emulator.frame(image, int(t_us[i])))
        if i:
            parts.append(scatter.events(image, int(t_us[i - 1]), int(t_us[i])))
    events = np.concatenate(parts)
    return events[np.argsort(events["t"], kind="stable")]


def joints_at(tracks: Motion, i: int) -> dict[str, dict[int, Any]]:
    """Return the joints at sample i: name, side, (x, y)."""
    return {
        name: {side: track[i] for side, track in getattr(tracks, name).items()}
        for name in ("shoulder", "elbow", "hand")
    }


class GestureScene:
    """An endless scene for a synthetic camera: one person, gesture after gesture, with pauses.

    seed: fixes the whole scene. size: of the frames, pixels (a square).
    """

    gesture_s, pause_s = 4.0, 1.5
    samples_per_second = 250

    def __init__(self, seed: int = 0, size: int = SIZE) -> None:
        if size != SIZE:
            raise ValueError(f"the scene is drawn at {SIZE} x {SIZE}, not {size}")
        self._rng = np.random.default_rng(seed)
        self._person = random_person(self._rng)
        self._began_us = 0
        self._lasts_us = 0
        self._tracks: Motion
        self.label = -1
        """What is being performed: a class, or -1 in a pause."""

    def frame(self, t_us: int) -> Image:
        """Return the gray frame (128, 128) float32, 0 to 255, at t_us >= that of the last call."""
        while t_us >= self._began_us + self._lasts_us:
            self._next()
        at = (t_us - self._began_us) * self.samples_per_second // 1_000_000
        still = np.zeros(2)
        return self._person.draw(joints_at(self._tracks, int(at)), still, still)

    def _next(self) -> None:
        self._began_us += self._lasts_us
        pause = self.label >= 0
        self.label = -1 if pause else int(self._rng.integers(len(MOVES)))
        seconds = self.pause_s if pause else self.gesture_s
        self._lasts_us = int(seconds * 1e6)
        t = np.arange(int(seconds * self.samples_per_second)) / self.samples_per_second
        move = stand if pause else MOVES[self.label]
        self._tracks = motion(self._rng, move, t, self._person.build)
