"""A DVS pixel array, emulated: gray frames in, events out.

The model follows Hu, Liu and Delbruck, "v2e: From video frames to realistic DVS events" (CVPRW
2021). Per pixel, with frame times t and the last reset level B:

    L   = lin-log intensity: log(I) above 20 of 255, linear below
    Lp += eps (L - Lp)      photoreceptor low pass, eps = dt 2 pi f3dB (I + 20) / 275, at most 1
    B  -= leak * dt         the reset level leaks, so that a still pixel fires ON now and then
    ON  events while Lp - B >= theta_on, OFF while Lp - B <= -theta_off; each moves B by theta

Thresholds differ from pixel to pixel (Gaussian mismatch). A pixel is blind for a refractory time
after an event; what would have been seen then is lost. Shot noise fires at random, more in the
dark. An event's time is where the straight line between two frames crosses the level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.events import Events, empty_events, events_from_arrays

LIN_LOG_BORDER = 20.0
SMALLEST_THRESHOLD = 0.01


@dataclass(frozen=True, slots=True)
class EmulatorParameters:
    """The sensor. The defaults are v2e's.

    threshold_on, threshold_off: contrast in units of ln(intensity). threshold_sigma: standard
    deviation from pixel to pixel, same units. cutoff_hz: bandwidth at full brightness, 0 =
    unlimited. leak_hz: ON events a second of a still pixel. shot_hz: noise events a second of a
    pixel in the dark. refractory_us: dead time of a pixel. hot_pixels: (how many, events/s each).
    """

    threshold_on: float = 0.2
    threshold_off: float = 0.2
    threshold_sigma: float = 0.03
    cutoff_hz: float = 300.0
    leak_hz: float = 0.01
    shot_hz: float = 0.001
    refractory_us: float = 500.0
    hot_pixels: tuple[int, float] = (0, 0.0)


DEFAULT = EmulatorParameters()
CLEAN = EmulatorParameters(threshold_sigma=0.02, cutoff_hz=0.0, leak_hz=0.0, shot_hz=0.0)
NOISY = EmulatorParameters(threshold_sigma=0.05, cutoff_hz=30.0, leak_hz=0.1, shot_hz=5.0)
"""v2e's "clean" and "noisy" settings."""


class DvsEmulator:
    """Turn a sequence of gray frames into events.

    size: (width, height). The same seed and frames give the same events.
    """

    def __init__(
        self,
        size: tuple[int, int],
        parameters: EmulatorParameters = DEFAULT,
        seed: int | np.random.Generator = 0,
    ) -> None:
        self.size = size
        self.parameters = parameters
        self._rng = np.random.default_rng(seed)
        shape = size[1] * size[0]
        spread = parameters.threshold_sigma
        self._on = self._thresholds(parameters.threshold_on, spread, shape)
        self._off = self._thresholds(parameters.threshold_off, spread, shape)
        self._per_on, self._per_off = 1 / self._on, 1 / self._off
        count, self._hot_hz = parameters.hot_pixels
        self._hot = self._rng.integers(0, shape, count)
        self._last_us = np.full(shape, -1e12)
        self._level = np.empty(0, np.float32)
        self._reset = np.empty(0, np.float32)
        self._t_us: int | None = None

    def _thresholds(self, mean: float, sigma: float, n: int) -> NDArray[np.float32]:
        drawn = self._rng.normal(mean, sigma, n).astype(np.float32)
        return np.maximum(drawn, np.float32(SMALLEST_THRESHOLD))

    def frame(self, gray: NDArray[Any], t_us: int) -> Events:
        """Take a frame, (height, width) in 0 to 255; return the events since the last one.

        t_us: event time of the frame, us, greater than the last one's (ValueError otherwise).
        Event times lie in (last frame, this frame], sorted. The first frame only sets the levels.
        """
        if gray.shape != (self.size[1], self.size[0]):
            raise ValueError(f"frame of shape {gray.shape}, wanted {self.size[::-1]}")
        intensity = gray.astype(np.float32).ravel()
        level = _lin_log(intensity)
        if self._t_us is None:
            self._t_us, self._level = t_us, level
            # Pixels begin anywhere between two resets, as they do in a running sensor.
            start = self._rng.uniform(-1, 1, level.size).astype(np.float32)
            self._reset = level + start * np.minimum(self._on, self._off) * np.float32(0.999)
            return empty_events()
        if t_us <= self._t_us:
            raise ValueError(f"frame at {t_us} us comes after one at {self._t_us} us")
        dt_us = t_us - self._t_us
        t, pixel, on = self._crossings(intensity, level, dt_us)
        t, pixel, on = self._with_noise(t, pixel, on, intensity, dt_us)
        order = np.argsort(t, kind="stable")
        pixel = pixel[order]
        events = events_from_arrays(
            np.ceil(t[order]).clip(1, dt_us).astype(np.int64) + self._t_us,
            pixel % self.size[0],
            pixel // self.size[0],
            on[order],
        )
        self._t_us = t_us
        return events

    def _crossings(
        self, intensity: NDArray[np.float32], level: NDArray[np.float32], dt_us: int
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        p = self.parameters
        before = self._level
        if p.cutoff_hz > 0:
            eps = (intensity + LIN_LOG_BORDER) * np.float32(
                dt_us * 1e-6 * 2 * math.pi * p.cutoff_hz / (255 + LIN_LOG_BORDER)
            )
            level = before + np.minimum(eps, 1) * (level - before)
        if p.leak_hz > 0:
            self._reset -= self._on * np.float32(p.leak_hz * dt_us * 1e-6)
        self._level = level
        gap = level - self._reset
        count = np.maximum(gap, 0) * self._per_on + np.minimum(gap, 0) * self._per_off
        whole = count.astype(np.int32)
        pixel = np.flatnonzero(whole)
        signed = whole[pixel]
        on, n = signed > 0, np.abs(signed)
        step = np.where(on, self._on[pixel], -self._off[pixel])
        start = before[pixel] - self._reset[pixel]
        self._reset[pixel] += n * step
        # Position of the j-th crossing on the line from the last level to this one.
        which = np.repeat(np.arange(len(pixel)), n)
        j = np.arange(len(which)) - np.repeat(np.cumsum(n) - n, n) + 1
        rise = (level[pixel] - before[pixel])[which]
        rise = np.where(rise == 0, 1, rise)
        t = np.clip((j * step[which] - start[which]) / rise, 0, 1) * dt_us
        kept = self._after_dead_time(t, pixel[which])
        return t[kept], pixel[which][kept], on[which][kept]

    def _after_dead_time(self, t: NDArray[Any], pixel: NDArray[Any]) -> NDArray[np.bool_]:
        """Mark events outside the refractory time; t grows within a pixel, pixels are grouped."""
        dead = self.parameters.refractory_us
        begin = float(self._t_us or 0)
        kept = np.zeros(len(t), bool)
        open_events = np.arange(len(t))
        while len(open_events):
            # Each round settles the earliest open event of every pixel.
            first = np.ones(len(open_events), bool)
            first[1:] = pixel[open_events[1:]] != pixel[open_events[:-1]]
            now = open_events[first]
            passed = begin + t[now] - self._last_us[pixel[now]] >= dead
            kept[now] = passed
            self._last_us[pixel[now][passed]] = begin + t[now][passed]
            open_events = open_events[~first]
            blind = begin + t[open_events] - self._last_us[pixel[open_events]] < dead
            open_events = open_events[~blind]
        return kept

    def _with_noise(
        self,
        t: NDArray[Any],
        pixel: NDArray[Any],
        on: NDArray[Any],
        intensity: NDArray[np.float32],
        dt_us: int,
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        p, rng = self.parameters, self._rng
        parts = []
        if p.shot_hz > 0:
            n = rng.poisson(p.shot_hz * intensity.size * dt_us * 1e-6)
            at = rng.integers(0, intensity.size, n)
            # A quarter of the dark rate is left at full brightness.
            parts.append(at[rng.random(n) < 1 - 0.75 * intensity[at] / 255])
        if len(self._hot):
            parts.append(
                np.repeat(self._hot, rng.poisson(self._hot_hz * dt_us * 1e-6, len(self._hot)))
            )
        if not parts:
            return t, pixel, on
        extra = np.concatenate(parts)
        times = rng.uniform(0, dt_us, len(extra))
        polarity = rng.random(len(extra)) < 0.5
        return (
            np.concatenate([t, times]),
            np.concatenate([pixel, extra]),
            np.concatenate([on, polarity]),
        )


def _lin_log(intensity: NDArray[np.float32]) -> NDArray[np.float32]:
    slope = np.float32(math.log(LIN_LOG_BORDER) / LIN_LOG_BORDER)
    bright = np.log(np.maximum(intensity, np.float32(LIN_LOG_BORDER)))
    return np.where(intensity < LIN_LOG_BORDER, intensity * slope, bright)
