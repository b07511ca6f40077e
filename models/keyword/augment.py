"""Words as a microphone might hear them: speed, gain, room, noise, time; then as event counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edgesnn.senses.hearing import Bank, Ear, HearingSpec

from .data import Counts, Sound
from .net import UNKNOWN

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Changes:
    """How much is changed. Probabilities, and ranges that are drawn from evenly.

    speed: largest change of tempo and pitch. gain_db: of the whole. before_s: of silence or noise.
    noisy, snr_db: mixing in of noise. room, decay_s: reverberation. masks: bands and steps muted.
    foreign: share of words turned into something that is no word (reversed, or two halves).
    """

    speed: float = 0.15
    gain_db: tuple[float, float] = (-15.0, 6.0)
    before_s: float = 0.15
    after_s: float = 0.1
    noisy: float = 0.6
    snr_db: tuple[float, float] = (5.0, 40.0)
    room: float = 0.3
    decay_s: tuple[float, float] = (0.05, 0.4)
    masks: float = 0.5
    foreign: float = 0.06


class Augmentation:
    """Draws changed copies of words."""

    def __init__(self, spec: HearingSpec, noises: list[Sound]) -> None:
        self._spec = spec
        self._noises = [n.astype(np.float64) for n in noises if len(n) > spec.rate_hz // 10]

    def word(
        self, sound: Sound, label: int, other: Sound, how: Changes, rng: Generator
    ) -> tuple[Floats, int]:
        """Return (samples, label) of a changed copy; other: the word whose half may follow."""
        c, rate = how, self._spec.rate_hz
        x = sound.astype(np.float64)
        if label != UNKNOWN and rng.random() < c.foreign:
            label = UNKNOWN
            if rng.random() < 0.5:
                x = x[::-1]
            else:
                x = np.concatenate([x[: len(x) // 2], other[len(other) // 2 :].astype(np.float64)])
        x = faster(x, 1 + rng.uniform(-c.speed, c.speed))
        if rng.random() < c.room:
            x = reverberant(x, rng.uniform(*c.decay_s), rate, rng)
        before = int(rng.uniform(0, c.before_s) * rate)
        after = int(rng.uniform(0, c.after_s) * rate)
        x = np.concatenate([np.zeros(before), x, np.zeros(after)])
        if rng.random() < c.noisy:
            x = x + self._noise(x, c, rng)
        return np.clip(x * 10 ** (rng.uniform(*c.gain_db) / 20), -1, 1), label

    def noise(self, seconds: float, rng: Generator) -> Floats:
        """Return a stretch of background noise at a level of its own: an "unknown" sound."""
        x = self._stretch(int(seconds * self._spec.rate_hz), rng)
        level = float(10 ** (rng.uniform(-30, 0) / 20) / (np.abs(x).max() + 1e-9))
        return np.clip(x * level, -1, 1)

    def _noise(self, x: Floats, how: Changes, rng: Generator) -> Floats:
        noise = self._stretch(len(x), rng)
        snr = rng.uniform(*how.snr_db)
        ratio = np.sqrt((x**2).mean() / ((noise**2).mean() + 1e-12))
        return np.asarray(noise * ratio * 10 ** (-snr / 20), np.float64)

    def _stretch(self, count: int, rng: Generator) -> Floats:
        if not self._noises or rng.random() < 0.3:
            return coloured(count, rng)
        noise = self._noises[int(rng.integers(len(self._noises)))]
        first = int(rng.integers(len(noise)))
        stretch: Floats = np.take(noise, np.arange(first, first + count), mode="wrap")
        return stretch

    def masked(self, counts: Counts, how: Changes, rng: Generator) -> Counts:
        """Mute a random run of bands and one of steps; counts (T, 2, bands)."""
        steps, _, bands = counts.shape
        if rng.random() < how.masks:
            first, wide = int(rng.integers(bands)), int(rng.integers(1, 7))
            counts[:, :, first : first + wide] = 0
        if rng.random() < how.masks:
            first, long = int(rng.integers(steps)), int(rng.integers(1, 7))
            counts[first : first + long] = 0
        return counts


def faster(x: Floats, factor: float) -> Floats:
    """Return x played faster by a factor, pitch and all (linear interpolation)."""
    at = np.arange(0, len(x) - 1, factor)
    played: Floats = np.interp(at, np.arange(len(x)), x)
    return played


def reverberant(x: Floats, decay_s: float, rate_hz: int, rng: Generator) -> Floats:
    """Return x in a random room: the direct sound, and noise that falls by 60 dB in decay_s."""
    count = int(decay_s * rate_hz)
    tail = rng.standard_normal(count) * 10 ** (-3 * np.arange(count) / count)
    tail *= rng.uniform(0.1, 0.6) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    size = 1 << (len(x) + count).bit_length()
    wet = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(tail, size), size)
    return np.asarray(wet[: len(x)], np.float64)


def coloured(count: int, rng: Generator) -> Floats:
    """Return noise between white and brown: power falls with the frequency to a random power."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    slope = rng.uniform(0, 1)
    spectrum[1:] /= np.arange(1, len(spectrum)) ** slope
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, count)
    return np.asarray(noise / (noise.std() + 1e-12), np.float64)


def heard(sounds: list[Floats], spec: HearingSpec) -> list[Counts]:
    """Return the event counts (T, 2, bands) of sounds, each from silence; many at once."""
    frames = [len(x) // spec.hop for x in sounds]
    longest = max(frames)
    padded = np.zeros((len(sounds), spec.window - spec.hop + longest * spec.hop))
    for row, x, count in zip(padded, sounds, frames, strict=True):
        used = x[: count * spec.hop]
        row[spec.window - spec.hop :][: len(used)] = used
    windows = np.lib.stride_tricks.sliding_window_view(padded, spec.window, axis=1)
    levels = Bank(spec).levels(windows[:, :: spec.hop])
    ear = Ear(spec, len(sounds))
    counts = np.stack([ear.hear(levels[:, f]) for f in range(longest)], axis=1)
    return [counts[i, :count] for i, count in enumerate(frames)]
