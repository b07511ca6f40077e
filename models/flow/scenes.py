"""Simulated scenes whose motion is known exactly, seen by a random DVS.

A scene is a textured plane and up to four textured objects before it, each moved by a map from its
texture to the sensor that changes with time:

    M(t) = T(place) R(angle) S(size) P(tilt) T(-centre)                       3 x 3, homogeneous
    q(t) = q0 + v t + a sin(2 pi f t + phase)         for place, angle, log size and tilt
    flow(x) = (M(t + d) h - M(t - d) h) / 2d,  h = M(t)^-1 x,  d = 0.5 ms

so translation, rotation, approach, perspective, acceleration, the sway of a hand or a walk (f from
0.5 to 8 Hz) and occlusion all have a true flow at every point. The plane is the camera's own
motion, objects move on their own or nearly with it; cameras and whole scenes also stand still.

Frames are drawn so densely that nothing moves more than 1.25 pixels between two of them, and the
emulator of webcams (`edgesnn.senses.emulator`) turns them into events.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from edgesnn.events import Events, empty_events
from edgesnn.senses.emulator import DvsEmulator, EmulatorParameters

from .surfaces import SENSOR, STEP_US, STEPS, Array, Surface
from .textures import SHARES, SIDE, Image, Random, log_uniform, outline, texture

CELL = 2
GRID = SENSOR // CELL
SLOWEST, FASTEST = 3.0, 1200.0
"""Speeds, px/s on SENSOR pixels, drawn log-uniformly between them."""
TOP_SPEED = 1.4 * FASTEST


@dataclass(frozen=True, slots=True)
class Mix:
    """What scenes are drawn from. surfaces: see `texture`; objects: shares of 0 to 4 of them.

    depths: share of the scenes in which a camera slides past what stands at several depths.
    """

    surfaces: tuple[float, ...] = SHARES
    objects: tuple[float, ...] = (0.42, 0.22, 0.16, 0.12, 0.08)
    depths: float = 0.0


WORLD = Mix()
CAMERA = Mix((0.26, 0.12, 0.46, 0.08, 0.08), (0.78, 0.09, 0.06, 0.04, 0.03))
"""Mostly a camera that moves before what stands still, and more of plain shapes."""
SLIDE = Mix(CAMERA.surfaces, CAMERA.objects, depths=0.4)
"""As CAMERA, and what is nearer moves faster."""
NEARER = (0.4, 2.5)
"""Speed of such a thing over that of the plane."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Surfaces from back to front. fastest: px/s that any part reaches. flicker: of the light."""

    plane: Surface
    objects: tuple[Surface, ...]
    fastest: float
    flicker: float


def random_scene(rng: Random, mix: Mix = WORLD) -> Scene:
    """Draw a scene; nothing in it is faster than TOP_SPEED."""
    while True:
        camera = _velocity(rng)
        kind = rng.random()
        if kind < 0.2:
            camera = np.zeros(2)
        slides = bool(mix.depths and camera.any() and rng.random() < mix.depths)
        plane = Surface(rng, _turned(rng, texture(rng, mix.surfaces)), None, camera, slides)
        many = int(rng.choice([0, 1, 2, 3, 4], p=mix.objects))
        if slides:
            many = int(rng.integers(2, 8))
        if 0.04 < kind < 0.2:  # (below: a scene in which nothing moves)
            many = max(1, many)
        objects = []
        for _ in range(many):
            velocity = _velocity(rng) if kind >= 0.04 else np.zeros(2)
            if rng.random() < 0.25:
                velocity = camera + 0.3 * velocity
            if slides:
                velocity = camera * log_uniform(rng, *NEARER)
            tone = _turned(rng, texture(rng, mix.surfaces))
            objects.append(Surface(rng, tone, outline(rng), velocity, slides))
        fastest = max(_fastest(s) for s in (plane, *objects))
        if fastest < TOP_SPEED and all(map(_before_the_camera, (plane, *objects))):
            flicker = rng.uniform(0.005, 0.05) if rng.random() < 0.15 else 0.0
            return Scene(plane, tuple(objects), fastest, flicker)


def random_sensor(rng: Random) -> EmulatorParameters:
    """Draw a DVS, from quiet to noisy."""
    on = log_uniform(rng, 0.08, 0.4)
    return EmulatorParameters(
        threshold_on=on,
        threshold_off=on * rng.uniform(0.75, 1.3),
        threshold_sigma=on * rng.uniform(0.03, 0.15),
        cutoff_hz=log_uniform(rng, 40, 1000),
        leak_hz=rng.uniform(0, 0.2),
        shot_hz=4 * rng.random() ** 3,
        refractory_us=log_uniform(rng, 50, 2000),
        hot_pixels=(int(rng.integers(0, 5)), rng.uniform(5, 150)),
    )


def scene_events(rng: Random, mix: Mix = WORLD) -> tuple[Events, Array]:
    """Return the events of a random scene of a mix and its flow.

    Events: t in us from 1 to STEPS * STEP_US. Flow: float32 (STEPS, 2, GRID, GRID), at the end of
    each step and the middle of each cell, in pixels per step.
    """
    scene, sensor = random_scene(rng, mix), random_sensor(rng)
    frames = max(2, math.ceil(max(scene.fastest / 1.25, 200) * STEP_US * 1e-6))  # per step
    if scene.flicker:  # 100 Hz needs frames of its own
        frames = max(frames, 8)
    emulator = DvsEmulator((SENSOR, SENSOR), sensor, rng)
    times = np.arange(STEPS * frames + 1) / frames * STEP_US * 1e-6
    plane_maps = scene.plane.maps(times)
    object_maps = [o.maps(times) for o in scene.objects]
    parts: list[Events] = []
    flow = np.zeros((STEPS, 2, GRID, GRID), np.float32)
    phase = rng.uniform(0, 2 * np.pi)
    for i, t in enumerate(times):
        light = cv2.warpPerspective(
            scene.plane.light,
            plane_maps[i],
            (SENSOR, SENSOR),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
        at_end = i > 0 and i % frames == 0
        found = scene.plane.flow(t, CENTRES) if at_end else np.empty(0)
        for surface, maps in zip(scene.objects, object_maps, strict=True):
            covered = _paste(light, surface, maps[i])
            if at_end and covered is not None:
                (x0, y0), alpha = covered
                mask = np.zeros((SENSOR, SENSOR), np.float32)
                mask[y0 : y0 + alpha.shape[0], x0 : x0 + alpha.shape[1]] = alpha
                # An object's edge is seen a little outside of it, and moves with the object.
                seen = cv2.resize(mask, (GRID, GRID), interpolation=cv2.INTER_AREA).ravel() > 0.15
                if seen.any():
                    found[seen] = surface.flow(t, CENTRES[seen])
        if scene.flicker:
            light *= np.float32(1 + scene.flicker * math.sin(2 * np.pi * 100 * t + phase))
        parts.append(emulator.frame(light, 1 + round(t * 1e6)))
        if at_end:
            flow[i // frames - 1] = found.T.reshape(2, GRID, GRID) * (STEP_US * 1e-6)
    return np.concatenate([empty_events(), *parts]), flow


def _centres() -> Array:
    y, x = np.mgrid[:GRID, :GRID]
    middle = (CELL - 1) / 2
    centres: Array = np.c_[CELL * x.ravel() + middle, CELL * y.ravel() + middle]
    return centres


CENTRES = _centres()


def _paste(light: Image, surface: Surface, map_: Array) -> tuple[tuple[int, int], Image] | None:
    """Draw an object into `light`; return where and with what alpha, None where it is outside."""
    assert surface.alpha is not None
    corners = surface.corners(map_)
    x0, y0 = np.clip(np.floor(corners.min(0)), 0, SENSOR).astype(int)
    x1, y1 = np.clip(np.ceil(corners.max(0)), 0, SENSOR).astype(int)
    if x1 <= x0 or y1 <= y0:
        return None
    shifted = np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1.0]]) @ map_
    size = int(x1 - x0), int(y1 - y0)
    alpha: Image = np.asarray(
        cv2.warpPerspective(surface.alpha, shifted, size, flags=cv2.INTER_LINEAR), np.float32
    )
    own = cv2.warpPerspective(
        surface.light, shifted, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    part = light[y0:y1, x0:x1]
    part += alpha * (own - part)
    return (int(x0), int(y0)), alpha


def _fastest(surface: Surface) -> float:
    times = np.linspace(0, STEPS * STEP_US * 1e-6, 9)
    points = CENTRES[[0, GRID - 1, -GRID, -1, GRID * GRID // 2 + GRID // 2]]
    if surface.alpha is not None:
        reach = surface.size * SIDE * 0.21 * 1.3
        around = np.array([[0, 0], [reach, 0], [-reach, 0], [0, reach], [0, -reach]])
        places = surface._place(times)
        flows = [surface.flow(t, p + around) for t, p in zip(times, places, strict=True)]
    else:
        flows = [surface.flow(t, points) for t in times]
    return max(float(np.linalg.norm(f, axis=1).max()) for f in flows)


def _before_the_camera(surface: Surface) -> bool:
    """Whether no part of the picture is so tilted that it meets the horizon."""
    edge = SENSOR - 1
    corners = np.array([[0, 0, 1], [edge, 0, 1], [0, edge, 1], [edge, edge, 1.0]]).T
    seen = np.linalg.inv(surface.maps(np.linspace(0, STEPS * STEP_US * 1e-6, 61))) @ corners
    return bool(((seen[:, 2] > 0) & (seen[:, 2] < 5)).all())


def _velocity(rng: Random) -> Array:
    angle, speed = rng.uniform(0, 2 * np.pi), log_uniform(rng, SLOWEST, FASTEST)
    return speed * np.array([math.cos(angle), math.sin(angle)])


def _turned(rng: Random, picture: Image) -> Image:
    return np.ascontiguousarray(np.rot90(picture, int(rng.integers(4))))
