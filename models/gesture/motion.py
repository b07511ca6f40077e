"""How the eleven gestures of DVS128 Gesture move: hands and elbows over time, in the image.

The camera faces the person and nothing is mirrored: the right hand (side -1) is at image left.
"Clockwise" is as the person sees it, so a right arm turning clockwise goes, in the image, up,
left, down, right; the left arm turning clockwise goes round the same way in the image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arms import LEFT, RIGHT, Build, Motion, Mover


def clap(m: Mover) -> None:
    """Hands meet before the chest."""
    b, rng = m.build, m.rng
    turn = m.phase(rng.uniform(1.4, 4.2))
    span = rng.uniform(4, 15) * b.size
    x, y = b.x + rng.uniform(-8, 8) * b.size, b.y + b.arm * rng.uniform(0.2, 0.65)
    apart = span * (0.5 + 0.5 * np.cos(turn)) ** rng.uniform(0.7, 1.6) + rng.uniform(1, 4)
    tilt, uneven = rng.uniform(-0.9, 0.9), rng.uniform(0, 1)
    for side in (RIGHT, LEFT):
        share = apart * (1 + side * uneven)
        lift = span * 0.25 * np.sin(turn) * rng.uniform(-1, 1)
        m.set(
            side,
            m.track(
                x + side * share * np.cos(tilt) + m.smooth(1, 0.7),
                y + side * share * np.sin(tilt) + lift + m.smooth(1, 0.7),
            ),
        )


def wave(side: int) -> Callable[[Mover], None]:
    """Return the wave of one hand: the forearm upright, swinging about the elbow."""

    def move(m: Mover) -> None:
        raise_and_wave(m, side, m.phase(m.rng.uniform(1.0, 3.2)), m.rng.uniform(14, 48))
        m.rest(-side)

    return move


def raise_and_wave(m: Mover, side: int, turn: NDArray[Any], degrees: float) -> None:
    """Swing the forearm of a raised arm by +-degrees with the given phase."""
    b, rng = m.build, m.rng
    swing = np.deg2rad(degrees) * np.sin(turn)
    sway = rng.uniform(0, 6) * b.size * np.sin(turn)
    elbow = m.track(
        m.shoulder[side][:, 0] + side * rng.uniform(0, 16) * b.size + m.smooth(1.5, 1.2) + sway,
        b.y + rng.uniform(-10, 22) * b.size + m.smooth(1.5, 0.8),
    )
    angle = side * np.deg2rad(rng.uniform(-15, 25)) + swing
    forearm = b.arm * rng.uniform(0.42, 0.58)
    m.set(side, elbow + forearm * np.stack([np.sin(angle), -np.cos(angle)], axis=1), elbow)


def circle(side: int, clockwise: bool) -> Callable[[Mover], None]:
    """Return a large circle of one arm about its shoulder, clockwise as the person sees it."""

    def move(m: Mover) -> None:
        b, rng = m.build, m.rng
        hz = 1 / rng.uniform(0.55, 1.6)
        # As the person's clockwise, the hand goes up, image-left, down, image-right.
        angle = m.phase(hz) * (1 if clockwise else -1)
        radius, narrow = b.arm * rng.uniform(0.62, 1.1), rng.uniform(0.7, 1.1)
        u, v = -np.sin(angle) * radius * narrow, -np.cos(angle) * radius
        tilt = rng.uniform(-0.3, 0.3)
        dx, dy = side * rng.uniform(0, 0.45) * b.arm, rng.uniform(-0.05, 0.2) * b.arm
        hand = m.shoulder[side] + m.track(
            dx + u * np.cos(tilt) - v * np.sin(tilt), dy + u * np.sin(tilt) + v * np.cos(tilt)
        )
        bend = m.track(side * rng.uniform(0, 4) * b.size, rng.uniform(-1, 4) * b.size)
        m.set(side, hand, m.shoulder[side] + (hand - m.shoulder[side]) * 0.52 + bend)
        m.rest(-side)

    return move


def roll(m: Mover) -> None:
    """Forearms lie across the chest and turn about each other, either way."""
    b, rng = m.build, m.rng
    turn = m.phase(rng.uniform(0.8, 2.6)) * rng.choice([-1, 1])
    radius, overlap = rng.uniform(4, 13) * b.size, rng.uniform(0.1, 1.1) * b.half_width
    x, y = b.x + rng.uniform(-5, 5) * b.size, b.y + b.arm * rng.uniform(0.25, 0.62)
    for side in (RIGHT, LEFT):
        q = turn + (0 if side == RIGHT else np.pi)
        hand = m.track(
            x - side * overlap + rng.uniform(0, 4) * b.size * np.cos(q), y + radius * np.sin(q)
        )
        elbow = m.track(
            x
            + side * b.half_width * rng.uniform(0.75, 1.25)
            + rng.uniform(0, 2) * b.size * np.cos(q),
            y + radius * rng.uniform(-0.1, 0.45) * np.sin(q) + rng.uniform(-2, 6) * b.size,
        )
        m.set(side, hand, elbow)


def drums(m: Mover) -> None:
    """Two fists beat up and down before the body, mostly in turn."""
    b, rng = m.build, m.rng
    turn = m.phase(rng.uniform(1.3, 4.2))
    lag = np.pi if rng.random() < 0.8 else rng.uniform(-0.5, 0.5)
    stroke, y = rng.uniform(6, 20) * b.size, b.y + b.arm * rng.uniform(0.3, 0.75)
    for side in (RIGHT, LEFT):
        q = turn + (lag if side == LEFT else 0)
        beat = np.cos(q)
        beat = np.sign(beat) * np.abs(beat) ** rng.uniform(0.6, 1.3)
        size = stroke * rng.uniform(0.7, 1.2)
        x = b.x + side * b.half_width * rng.uniform(0.35, 1.25)
        hand = m.track(
            x + size * 0.25 * np.sin(q) * rng.uniform(-1, 1) + m.smooth(0.6, 2 * b.size),
            y + size * beat * 0.9 + m.smooth(0.6, 2 * b.size),
        )
        elbow = m.track(
            m.shoulder[side][:, 0] + side * rng.uniform(2, 10) * b.size,
            b.y + b.arm * rng.uniform(0.4, 0.55) + size * beat * 0.25,
        )
        m.set(side, hand, elbow)


def guitar(m: Mover) -> None:
    """One hand holds the neck out at the side, the other strums before belly or hip."""
    b, rng = m.build, m.rng
    strum = RIGHT if rng.random() < 0.7 else LEFT
    turn = m.phase(rng.uniform(1.3, 4.2))
    stroke, slant = rng.uniform(5, 15) * b.size, rng.uniform(-0.5, 0.5)
    x = b.x + strum * rng.uniform(-2, 14) * b.size
    y = b.y + b.arm * rng.uniform(0.6, 1.0)
    hand = m.track(
        x + stroke * np.sin(turn) * np.sin(slant) + 1.5 * b.size * np.cos(turn),
        y + stroke * np.sin(turn) * np.cos(slant),
    )
    elbow = m.track(
        m.shoulder[strum][:, 0] + strum * rng.uniform(4, 14) * b.size + 0.1 * stroke * np.sin(turn),
        b.y + b.arm * rng.uniform(0.4, 0.52) + 0.15 * stroke * np.sin(turn),
    )
    m.set(strum, hand, elbow)
    neck, shake = -strum, rng.uniform(0.3, 2.5)
    m.set(
        neck,
        m.track(
            m.shoulder[neck][:, 0] + neck * b.arm * rng.uniform(0.25, 0.75) + m.smooth(1.2, shake),
            b.y + b.arm * rng.uniform(0.05, 0.55) + m.smooth(1.2, shake),
        ),
    )


def other(m: Mover) -> None:
    """Anything else: both arms circling, jumping jacks, both waving, strokes, wandering hands."""
    choice = m.rng.integers(6)
    if choice == 5:
        _both_arms_turn(m)
    elif choice == 4:
        turn, degrees = m.phase(m.rng.uniform(1, 3)), m.rng.uniform(15, 45)
        opposite = m.rng.random() < 0.5
        raise_and_wave(m, RIGHT, turn, degrees)
        raise_and_wave(m, LEFT, turn + (np.pi if opposite else 0), degrees)
    else:
        _wandering_hands(m, lone=None if m.rng.random() < 0.6 else (RIGHT, LEFT)[choice % 2])


def _both_arms_turn(m: Mover) -> None:
    b, rng = m.build, m.rng
    turn = m.phase(1 / rng.uniform(0.6, 1.6)) * rng.choice([-1, 1])
    if rng.random() < 0.5:
        turn = np.pi / 2 + 1.4 * np.sin(turn)  # jumping jacks
    radius = b.arm * rng.uniform(0.6, 1.05)
    for side in (RIGHT, LEFT):
        hand = m.shoulder[side] + radius * np.stack([side * np.sin(turn), -np.cos(turn)], axis=1)
        m.set(side, hand, m.shoulder[side] + (hand - m.shoulder[side]) * 0.52)


def _wandering_hands(m: Mover, lone: int | None) -> None:
    b, rng = m.build, m.rng
    for side in (RIGHT, LEFT):
        if lone is not None and side != lone:
            m.rest(side)
            continue
        hz, reach = rng.uniform(0.5, 1.8), b.arm * rng.uniform(0.2, 0.7)
        angle, line = rng.uniform(0, np.pi), np.sin(m.phase(rng.uniform(0.5, 1.8))) * reach
        stray = reach * 0.5 if rng.random() < 0.5 else 0.0
        centre = rng.uniform(-0.2, 0.7) * side * b.arm, rng.uniform(-0.6, 0.6) * b.arm
        offset = m.track(
            centre[0] + line * np.cos(angle) + m.smooth(hz, stray),
            centre[1] + line * np.sin(angle) + m.smooth(hz, stray),
        )
        m.set(side, m.shoulder[side] + offset)


def stand(m: Mover) -> None:
    """Both arms at rest: nobody gestures."""
    m.rest(RIGHT)
    m.rest(LEFT)


MOVES: tuple[Callable[[Mover], None], ...] = (
    clap,
    wave(RIGHT),
    wave(LEFT),
    circle(RIGHT, clockwise=True),
    circle(RIGHT, clockwise=False),
    circle(LEFT, clockwise=True),
    circle(LEFT, clockwise=False),
    roll,
    drums,
    guitar,
    other,
)
"""One per class, in the order of `data.LABELS`."""


def motion(
    rng: np.random.Generator, move: Callable[[Mover], None], t: NDArray[Any], build: Build
) -> Motion:
    """Return the tracks of one gesture at times t (seconds)."""
    mover = Mover(rng, t, build)
    move(mover)
    return Motion(mover.shoulder, mover.elbow, mover.hand)
