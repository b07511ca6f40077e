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


class Listener:
    """Hears one stream of samples; any cutting into blocks gives the same events.

    size: (width, height) of the events. clipped, samples: how many at full scale, of how many.
    """

    def __init__(self, spec: HearingSpec, rate_hz: int) -> None:
        """Prepare for samples at rate_hz."""
        self.size = spec.size
        self.clipped = 0
        self.samples = 0
        self._hearing = Hearing(spec)
        self._resampler = Resampler(rate_hz, spec.rate_hz)

    def hear(self, block: NDArray[Any], arrival_ns: int) -> Packet:
        """Take a block (n,) or (n, channels) of floats in [-1, 1]; return what it makes certain."""
        mono = mixed(block)
        self.samples += len(mono)
        self.clipped += int(np.count_nonzero(np.abs(mono) >= _FULL_SCALE))
        events = self._hearing.feed(self._resampler.feed(mono))
        return Packet(events, self._hearing.watermark_us, arrival_ns)

    def end(self, arrival_ns: int) -> Packet:
        """Return what the last samples still give; the last, partial frame is left out."""
        events = self._hearing.feed(self._resampler.flush())
        return Packet(events, self._hearing.watermark_us, arrival_ns)

    def notes(self) -> tuple[str, ...]:
        """Return what a person should know of the sound: that it was clipped."""
        if self.clipped <= _MANY * self.samples:
            return ()
        share = 100 * self.clipped / self.samples
        return (f"{share:.1f} % of the samples are clipped; turn the input level down",)


def mixed(block: NDArray[Any]) -> Floats:
    """Return the mean of the channels, (n,), finite: NaN counts as 0."""
    mono = block if block.ndim == 1 else block.mean(axis=1)
    return np.nan_to_num(np.asarray(mono, np.float64), posinf=1.0, neginf=-1.0)


def level_db(samples: Floats) -> float:
    """Return the mean level, dB of full scale (a full sine is -3); -100 for silence."""
    power = float((samples**2).mean()) if len(samples) else 0.0
    return float(max(-100.0, 10 * np.log10(max(power, 1e-10))))
