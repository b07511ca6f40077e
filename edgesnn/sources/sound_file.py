"""Sound files: .wav, .flac, .ogg and what else libsndfile reads, of any rate and width."""

from __future__ import annotations

import io
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from edgesnn.errors import InputError
from edgesnn.events import Packet, joined_events
from edgesnn.senses.hearing import HearingSpec
from edgesnn.senses.resample import Floats, Resampler
from edgesnn.sources.found import check_plain
from edgesnn.sources.sound import RATES_HZ, Listener, Mixer
from edgesnn.sources.sound_length import chunks_of, length_notes
from edgesnn.text import shown

_BLOCK_S, _BREATH_S = 0.1, 0.005
_UNFINISHED_BYTES = 400_000_000


def read_sound(path: Path, rate_hz: int) -> Floats:
    """Return a whole file as mono samples at rate_hz, float64 (n,); raises InputError."""
    file, _ = _opened(path)
    with file:
        resampler, mixer = Resampler(file.samplerate, rate_hz), Mixer()
        count = math.ceil(_BLOCK_S * file.samplerate)
        heard = []
        while len(block := _read(path, file, count)):
            heard.append(resampler.feed(mixer.mixed(block)))
        return np.concatenate([*heard, resampler.flush()])


def open_sound_file(
    path: Path, spec: HearingSpec, *, speed: float = 1.0, loop: bool = False
) -> SoundFile:
    """Open a file as a source.

    speed: 1.0 is real time, math.inf as fast as it is read. loop: play for ever. Raises InputError
    for files that are missing, empty or no sound.
    """
    if not speed > 0:
        raise InputError(f"speed {speed:g} plays nothing; give a number above 0, or max")
    return SoundFile(path, spec, speed, loop)


class SoundFile:
    """A file, played as a source and read as it is played; see `edgesnn.events.Source`.

    A packet's arrival_ns is when its last sample was due: if the reader came late, that delay is
    part of the latency that is measured.
    """

    can_wait = True

    def __init__(self, path: Path, spec: HearingSpec, speed: float, loop: bool) -> None:
        self.name = "file:" + shown(path.name)
        self.size = spec.size
        self._path, self._speed, self._loop = path, speed, loop
        self._file, self._found = _opened(path)
        self._rate_hz = int(self._file.samplerate)
        self._listener = Listener(spec, self._rate_hz)
        self._played = 0
        self.paced = not math.isinf(speed)  # whether arrival times mean anything
        self._began_ns: int | None = None
        self._over = False

    def notes(self) -> tuple[str, ...]:
        """Return what a person should know of the sound."""
        return (*self._found, *self._listener.notes())

    def close(self) -> None:
        """End the source."""
        self._over = True

    def read(self) -> Packet | None:
        """Return the events of the samples that are due, or of the next 100 ms; None at the end."""
        if self._over:
            self._file.close()
            return None
        count, due_ns = self._due()
        block = _read(self._path, self._file, count)
        self._played += len(block)
        if len(block) < count and self._loop:
            self._file.seek(0)
        elif len(block) < count:
            self._over = True
            packet = self._listener.hear(block, due_ns)
            last = self._listener.end(due_ns)
            return Packet(joined_events([packet.events, last.events]), last.watermark_us, due_ns)
        return self._listener.hear(block, due_ns)

    def _due(self) -> tuple[int, int]:
        """Return how many samples to play now and when the last of them was due."""
        now = time.monotonic_ns()
        if math.isinf(self._speed):
            return math.ceil(_BLOCK_S * self._rate_hz), now
        pace = self._rate_hz * self._speed * 1e-9
        if self._began_ns is None:
            self._began_ns = now
        due = int((now - self._began_ns) * pace) - self._played
        if due < 1:
            time.sleep(_BREATH_S)
            now = time.monotonic_ns()
            due = max(1, int((now - self._began_ns) * pace) - self._played)
        due = min(due, math.ceil(_BLOCK_S * self._rate_hz))
        return due, min(now, self._began_ns + int((self._played + due) / pace))


def _opened(path: Path) -> tuple[Any, tuple[str, ...]]:
    """Return the open file, and what a person should know of it; raises InputError."""
    import soundfile  # type: ignore[import-untyped]

    check_plain(path)
    try:
        file = soundfile.SoundFile(os.fsencode(path))
    except (soundfile.LibsndfileError, TypeError) as error:
        raise InputError(
            f"{path} is not a sound file that can be read ({error}); it is damaged or "
            "of another kind; edgesnn reads .wav, .flac and .ogg"
        ) from error
    rate_hz = int(file.samplerate)
    if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        file.close()
        raise InputError(
            f"{path} says that it has {rate_hz:,} samples a second, and edgesnn hears "
            f"{RATES_HZ[0]:,} to {RATES_HZ[1]:,}; its header is damaged"
        )
    if file.frames:
        return file, length_notes(path, file.frames / rate_hz)
    with file:
        again = _unfinished(path, file)
    if again is None:
        raise InputError(f"{path} holds no sound: it has no samples")
    return again, ("the header was never finished; the sound was heard to the end of the file",)


def _unfinished(path: Path, file: Any) -> Any | None:
    """Open a .wav whose recorder was killed, so that its header tells no length; None: no such."""
    import soundfile

    with path.open("rb") as raw:
        if raw.read(4) != b"RIFF" or path.stat().st_size > _UNFINISHED_BYTES:
            return None
        begins = next((at for name, at, _ in chunks_of(raw, "little") if name == b"data"), None)
        if begins is None:
            return None
        raw.seek(begins)
        data = raw.read()
    if len(data) < 2 * file.channels or not file.subtype.startswith(("PCM", "FLOAT", "DOUBLE")):
        return None
    return soundfile.SoundFile(
        io.BytesIO(data),
        samplerate=file.samplerate,
        channels=file.channels,
        format="RAW",
        subtype=file.subtype,
        endian="LITTLE",
    )


def _read(path: Path, file: Any, count: int) -> Floats:
    import soundfile

    try:
        block: Floats = file.read(count, dtype="float64", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path} is damaged: {error.error_string}") from error
    return block
