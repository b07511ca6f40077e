"""From blocks of PCM to packets of events: mono, resampled, heard; level and clipping noted.

Every source of sound holds one `Listener`; what differs is where the blocks come from.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.events import Packet
from edgesnn.senses.hearing import Hearing, HearingSpec
from edgesnn.senses.resample import Floats, Resampler

_FULL_SCALE = 0.999
_MANY = 0.001
_HEARD_DB, _CANCELLED_DB, _WINDOW = -50.0, 30.0, 512
RATES_HZ = (1000, 384_000)
"""Sample rates that are heard."""


class Listener:
    """Hears one stream of samples; any cutting into blocks gives the same events.

    size: (width, height) of the events. clipped, samples: how many at full scale, of how many.
    """

    def __init__(self, spec: HearingSpec, rate_hz: int) -> None:
        """Prepare for samples at rate_hz."""
        self.size = spec.size
        self.clipped = 0
        self.samples = 0
        self._mixer = Mixer()
        self._hearing = Hearing(spec)
        self._resampler = Resampler(rate_hz, spec.rate_hz)

    def hear(self, block: NDArray[Any], arrival_ns: int) -> Packet:
        """Take a block (n,) or (n, channels) of floats in [-1, 1]; return what it makes certain."""
        mono = self._mixer.mixed(block)
        self.samples += len(mono)
        self.clipped += int(np.count_nonzero(np.abs(mono) >= _FULL_SCALE))
        events = self._hearing.feed(self._resampler.feed(mono))
        return Packet(events, self._hearing.watermark_us, arrival_ns)

    def end(self, arrival_ns: int) -> Packet:
        """Return what the last samples still give; the last, partial frame is left out."""
        events = self._hearing.feed(self._resampler.flush())
        return Packet(events, self._hearing.watermark_us, arrival_ns)

    def notes(self) -> tuple[str, ...]:
        """Return what a person should know of the sound: clipped, or channels that cancel."""
        notes: tuple[str, ...] = ()
        if self._mixer.first_alone:
            notes = ("the channels cancel each other (opposite phase); only the first was heard",)
        if self.clipped <= _MANY * self.samples:
            return notes
        share = 100 * self.clipped / self.samples
        return (*notes, f"{share:.1f} % of the samples are clipped; turn the input level down")


class Mixer:
    """Brings the channels of one sound together; any cutting into blocks gives the same.

    first_alone: whether the channels were found to cancel each other (opposite phase) over two
    windows of 512 samples running, after which the first one is heard alone.
    """

    def __init__(self) -> None:
        self.first_alone = False
        self._window: list[Floats] = []
        self._left = _WINDOW
        self._running = 0

    def mixed(self, block: NDArray[Any]) -> Floats:
        """Return the mean of the channels of a block (n,) or (n, channels), (n,), within [-1, 1].

        NaN counts as 0.
        """
        samples = block[:, None] if block.ndim == 1 else block
        finite = np.nan_to_num(np.asarray(samples, np.float64), posinf=1.0, neginf=-1.0)
        samples = np.clip(finite, -1.0, 1.0)
        parts, at = [], 0
        while at < len(samples) and samples.shape[1] > 1 and not self.first_alone:
            part = samples[at : at + self._left]
            parts.append(part.mean(axis=1))
            self._look(part)
            at += len(part)
        return np.concatenate([*parts, samples[at:, 0]])

    def _look(self, part: Floats) -> None:
        """Add samples to the window, and judge it when it is full."""
        self._window.append(part)
        self._left -= len(part)
        if self._left:
            return
        window = np.concatenate(self._window)
        self._window, self._left = [], _WINDOW
        channels = window.shape[1]
        loudest = max(level_db(window[:, c]) for c in range(channels))
        # One voice among silent channels is 20 log10(channels) below itself in the mean.
        least = loudest - 20 * np.log10(channels) - _CANCELLED_DB
        cancelled = loudest > _HEARD_DB and level_db(window.mean(axis=1)) < least
        self._running = self._running + 1 if cancelled else 0
        self.first_alone = self._running >= 2


def level_db(samples: Floats) -> float:
    """Return the mean level, dB of full scale (a full sine is -3); -100 for silence."""
    power = float((samples**2).mean()) if len(samples) else 0.0
    return float(max(-100.0, 10 * np.log10(max(power, 1e-10))))
