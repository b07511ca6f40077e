"""Sound becomes events: a causal filter bank, a causal level, and integrate-and-fire neurons.

    L_b[f]   power of band b in frame f, dB of full scale (Hann window over the newest samples)
    R[f]     = max(max_b L_b[f], R[f-1] - fall, quietest)          the level: follows the loudest
    N_b[f]   = min(L_b[f], N_b[f-1] + rise)                        the noise floor of each band
    d_b[f]   = clip((L_b[f] - max(R[f] - range, N_b[f] + margin)) / spike, 0, most)
    V_b     += d_b[f];  floor(V_b) ON events leave, the rest stays  integrate-and-fire
    U_b     += max(d_b[f-1] - d_b[f], 0);  floor(U_b) OFF events    where the band falls

A frame is one hop of samples (10 ms); its events carry its time. Everything is computed frame by
frame, in the same order and the same shapes, however the samples arrive: any cutting of a sound
gives the same events, bit for bit. Event x is the band (low to high), y is 0, p is 1 for ON.

Sources: mel scale after Stevens, Volkmann and Newman (1937) in the form m = 2595 log10(1 + f/700);
the running level and noise floor are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import BundleError
from edgesnn.events import EVENT, Events, joined_events

Floats = NDArray[np.float64]
_SILENCE_DB = -100.0


@dataclass(frozen=True, slots=True)
class HearingSpec:
    """How sound becomes events; see the module's head for the symbols.

    rate_hz: of the samples that are heard. hop, window: samples per frame, samples seen by the
    filter bank (the newest ones). bands, low_hz, high_hz: of the mel filter bank.
    range_db: heard below the level. margin_db: above the noise floor. spike_db: what one event per
    frame is worth. most: events of a band in one frame. quietest_db: lowest level. fall_db,
    rise_db: how fast level and noise floor move, per frame.
    """

    rate_hz: int = 8000
    hop: int = 80
    window: int = 256
    bands: int = 40
    low_hz: float = 80.0
    high_hz: float = 3900.0
    range_db: float = 36.0
    margin_db: float = 6.0
    spike_db: float = 12.0
    most: int = 3
    quietest_db: float = -45.0
    fall_db: float = 0.1
    rise_db: float = 0.06

    def __post_init__(self) -> None:
        """Raise BundleError for numbers that make no filter bank."""
        if not (
            0 < self.hop <= self.window
            and self.bands > 0
            and 0 <= self.low_hz < self.high_hz <= self.rate_hz / 2
            and self.spike_db > 0
            and 0 < self.most < 128
            and self.hop * 1_000_000 % self.rate_hz == 0
        ):
            raise BundleError(f"these numbers describe no hearing: {self}")

    @property
    def step_us(self) -> int:
        """Length of a frame, microseconds."""
        return self.hop * 1_000_000 // self.rate_hz

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the events: one column per band, one row."""
        return self.bands, 1


class Bank:
    """The filter bank of a spec: windows of samples in, dB per band out."""

    def __init__(self, spec: HearingSpec) -> None:
        """Prepare window and filters."""
        self._window = np.hanning(spec.window + 1)[:-1]
        self._filters = _mel_filters(spec)
        self._scale = 2.0 / self._window.sum()

    def levels(self, windows: Floats) -> Floats:
        """Return dB of full scale, (..., bands), of windows (..., window) of samples in [-1, 1]."""
        spectrum = np.fft.rfft(windows * self._window) * self._scale
        power = (spectrum.real**2 + spectrum.imag**2) @ self._filters
        levels: Floats = np.maximum(10 * np.log10(np.maximum(power, 1e-12)), _SILENCE_DB)
        return levels


def _mel_filters(spec: HearingSpec) -> Floats:
    """Return triangular filters (window // 2 + 1, bands), each with a sum of at least 1."""

    def mel(hz: Any) -> Any:
        return 2595 * np.log10(1 + np.asarray(hz) / 700)

    bins = np.arange(spec.window // 2 + 1) * spec.rate_hz / spec.window
    edges = np.linspace(mel(spec.low_hz), mel(spec.high_hz), spec.bands + 2)
    at, low, centre, high = mel(bins)[:, None], edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((at - low) / (centre - low), (high - at) / (high - centre))
    filters = np.maximum(triangles, 0)
    # A band narrower than a bin would hear nothing: it takes the bin nearest to its centre.
    nearest = np.abs(at - centre).argmin(axis=0)
    filters[nearest, np.arange(spec.bands)] = np.maximum(
        filters[nearest, np.arange(spec.bands)], 1e-3
    )
    return np.asarray(filters / np.minimum(filters.sum(axis=0), 1), np.float64)


class Ear:
    """Level, noise floor and neurons of one sound, or of many at once (leading axes).

    loudness_db: R after the last frame.
    """

    def __init__(self, spec: HearingSpec, *leading: int) -> None:
        """Start in silence."""
        self._spec = spec
        shape = (*leading, spec.bands)
        self.loudness_db: Floats = np.full((*leading, 1), spec.quietest_db)
        self._noise = np.full(shape, _SILENCE_DB)
        self._before = np.zeros(shape)
        self._on = np.zeros(shape)
        self._off = np.zeros(shape)

    def hear(self, levels: Floats) -> NDArray[np.uint8]:
        """Take one frame, dB (..., bands); return event counts (..., 2, bands): OFF, ON."""
        spec = self._spec
        loudest = levels.max(axis=-1, keepdims=True)
        faded = np.maximum(self.loudness_db - spec.fall_db, spec.quietest_db)
        self.loudness_db = np.maximum(loudest, faded)
        self._noise = np.minimum(levels, self._noise + spec.rise_db)
        floor = np.maximum(self.loudness_db - spec.range_db, self._noise + spec.margin_db)
        drive = np.clip((levels - floor) / spec.spike_db, 0, spec.most)
        self._on += drive
        self._off += np.maximum(self._before - drive, 0)
        self._before = drive
        on, off = np.floor(self._on), np.floor(self._off)
        self._on -= on
        self._off -= off
        return np.stack([off, on], axis=-2).astype(np.uint8)


class Hearing:
    """Turns one stream of samples into events; its memory is bounded.

    frames: heard so far. Samples before the first were 0.
    """

    def __init__(self, spec: HearingSpec) -> None:
        """Start in silence, at time 0."""
        self.spec = spec
        self.frames = 0
        self._bank = Bank(spec)
        self._ear = Ear(spec)
        self._samples = np.zeros(spec.window - spec.hop)

    @property
    def watermark_us(self) -> int:
        """End of the last frame heard: no event before it can come any more."""
        return self.frames * self.spec.step_us

    def feed(self, samples: NDArray[Any]) -> Events:
        """Take samples (n,), floats in [-1, 1] at rate_hz; return the events of the frames ended.

        At most hop - 1 samples wait for the next call. NaN counts as 0.
        """
        spec = self.spec
        given = np.nan_to_num(np.asarray(samples, np.float64), posinf=1.0, neginf=-1.0)
        self._samples = np.concatenate([self._samples, given])
        first, found = 0, []
        while len(self._samples) - first >= spec.window:
            levels = self._bank.levels(self._samples[first : first + spec.window])
            found.append(_events(self._ear.hear(levels), self.watermark_us))
            self.frames += 1
            first += spec.hop
        self._samples = self._samples[first:].copy()
        return joined_events(found)


def _events(counts: NDArray[np.uint8], t_us: int) -> Events:
    """Return the events of one frame, (2, bands) counts, in the order of band and polarity."""
    polarity, band = np.nonzero(counts)
    repeats = counts[polarity, band]
    events = np.zeros(int(repeats.sum()), EVENT)
    events["t"] = t_us
    events["x"] = np.repeat(band, repeats)
    events["p"] = np.repeat(polarity, repeats)
    return events
