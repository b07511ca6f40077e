"""Microphones through PortAudio (python-sounddevice).

The callback of the audio thread only copies its block into a bounded queue and counts; everything
else happens on the reading thread. Samples that were lost, by the device or because the queue was
full, are counted and replaced by silence, so that event time keeps to the device's clock.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgesnn.errors import InputError, MissingDependency, RunError
from edgesnn.events import Packet, empty_events
from edgesnn.senses.hearing import HearingSpec
from edgesnn.senses.resample import Floats
from edgesnn.sources.device import Device
from edgesnn.sources.sound import Listener, level_db
from edgesnn.sources.wanted import Wanted, sound_of

_QUEUE_S = 2.0
_BLOCK_S = 0.01
_GONE_S = 2.0
_BREATH_S = 0.002


@dataclass(frozen=True, slots=True)
class Microphone:
    """An input device. index: what `--mic` takes, as it takes a part of the name."""

    index: int
    name: str
    channels: int
    rate_hz: int
    default: bool


def sounddevice() -> Any:
    """Return the module; raises MissingDependency with what to install."""
    try:
        import sounddevice  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingDependency(
            "microphones need sounddevice; install it with: pip install sounddevice"
        ) from error
    except OSError as error:
        raise MissingDependency(
            "microphones need the PortAudio library; install it, on Debian and Ubuntu with: "
            "apt install libportaudio2"
        ) from error
    return sounddevice


def open_live(value: str, wanted: Wanted) -> MicrophoneSource:
    """Open the microphone of that number or name, "" for the default, for a model of sound."""
    return open_microphone(value or None, sound_of(wanted.bundle))


def listed() -> list[Device]:
    """Return the microphones, each heard for a moment; raises MissingDependency, RunError."""
    sd = sounddevice()
    devices = []
    for mic in microphones(sd):
        level = measured_level_db(sd, mic)
        heard = "nothing heard" if level is None else f"level {level:.0f} dB"
        devices.append(Device("microphone", f"{mic.name} ({heard})", f"--mic {mic.index}"))
    return devices


def microphones(sd: Any) -> list[Microphone]:
    """Return the input devices, the default one first; raises RunError."""
    try:
        default = sd.default.device[0]
        found = [
            Microphone(
                index,
                str(device["name"]),
                int(device["max_input_channels"]),
                int(device["default_samplerate"]),
                index == default,
            )
            for index, device in enumerate(sd.query_devices())
            if device["max_input_channels"] > 0
        ]
    except sd.PortAudioError as error:
        raise RunError(f"the sound system does not answer: {error}") from error
    return sorted(found, key=lambda mic: not mic.default)


def measured_level_db(sd: Any, mic: Microphone, seconds: float = 0.2) -> float | None:
    """Listen for a moment and return the level, dB of full scale; None when nothing is heard."""
    heard: deque[Floats] = deque()

    def take(block: Any, frames: int, when: Any, status: Any) -> None:
        heard.append(block[:, 0].astype(np.float64))

    wanted = int(seconds * mic.rate_hz)
    try:
        with sd.InputStream(
            device=mic.index,
            channels=1,
            samplerate=mic.rate_hz,
            dtype="float32",
            callback=take,
        ):
            until = time.monotonic() + _GONE_S
            while sum(map(len, tuple(heard))) < wanted and time.monotonic() < until:
                time.sleep(_BLOCK_S)
    except sd.PortAudioError:
        return None
    return level_db(np.concatenate(tuple(heard))) if heard else None


def open_microphone(device: str | None, spec: HearingSpec, *, sd: Any = None) -> MicrophoneSource:
    """Open a microphone: by its number, by part of its name, None: the default one.

    Raises InputError when there is none, or none of that name, and MissingDependency.
    """
    sd = sounddevice() if sd is None else sd
    mic = _chosen(microphones(sd), device)
    return MicrophoneSource(sd, mic, _rate(sd, mic, spec), spec)


def _chosen(found: list[Microphone], device: str | None) -> Microphone:
    if not found:
        raise InputError(
            "no microphone was found; plug one in, or use --file PATH or --stdin "
            "(edgesnn devices lists what there is)"
        )
    if device is None:
        return found[0]
    wanted = device.casefold()
    fits = [m for m in found if wanted in (str(m.index), m.name.casefold())]
    fits = fits or [m for m in found if wanted in m.name.casefold()]
    if len(fits) == 1:
        return fits[0]
    names = "; ".join(f"{mic.index} {mic.name}" for mic in found)
    problem = "there is no microphone" if not fits else f"{len(fits)} microphones are named"
    raise InputError(f"{problem} {device!r}; the microphones here are: {names}")


def _rate(sd: Any, mic: Microphone, spec: HearingSpec) -> int:
    """Return a rate that the device takes: the one that is heard, or the device's own."""
    for rate_hz in (spec.rate_hz, mic.rate_hz):
        try:
            sd.check_input_settings(
                device=mic.index, channels=1, samplerate=rate_hz, dtype="float32"
            )
        except (sd.PortAudioError, ValueError) as error:
            problem = error
        else:
            return rate_hz
    raise InputError(
        f"the microphone {mic.name} takes neither {spec.rate_hz} nor {mic.rate_hz} samples/s: "
        f"{problem}"
    )


class MicrophoneSource:
    """A microphone as a source; see `edgesnn.events.Source`.

    overruns: how often samples were lost; lost_samples: how many are known to be.
    """

    can_wait = False

    def __init__(self, sd: Any, mic: Microphone, rate_hz: int, spec: HearingSpec) -> None:
        self.name = f"mic:{mic.name}"
        self.size = spec.size
        self.overruns = 0
        self.lost_samples = 0
        self._sd, self._mic, self._rate_hz = sd, mic, rate_hz
        self._listener = Listener(spec, rate_hz)
        self._blocks: deque[tuple[Floats, int, int]] = deque()
        # Each counter has one writer: the audio thread, the reading thread.
        self._taken, self._used = 0, 0
        self._missing = 0
        self._watermark_us = 0
        self._heard_s = time.monotonic()
        self._closed = False
        try:
            self._stream = sd.InputStream(
                device=mic.index,
                channels=1,
                samplerate=rate_hz,
                dtype="float32",
                blocksize=round(_BLOCK_S * rate_hz),
                latency="low",
                callback=self._take,
            )
            self._stream.start()
        except sd.PortAudioError as error:
            raise RunError(f"the microphone {mic.name} cannot be opened: {error}") from error

    def notes(self) -> tuple[str, ...]:
        """Return what a person should know of the sound."""
        if not self.overruns:
            return self._listener.notes()
        times = f"the microphone lost sound {self.overruns} times"
        return (f"{times} ({self.lost_samples} samples are known to be)", *self._listener.notes())

    def close(self) -> None:
        """Release the device."""
        if not self._closed:
            self._closed = True
            self._stream.close(ignore_errors=True)

    def read(self) -> Packet | None:
        """Return the events of what has arrived; raises RunError when the device is gone."""
        if self._closed:
            return None
        if not self._blocks:
            self._look_whether_it_lives()
            time.sleep(_BREATH_S)
            return Packet(empty_events(), self._watermark_us, time.monotonic_ns())
        blocks = [self._blocks.popleft() for _ in range(len(self._blocks))]
        self._used += sum(len(block) for block, _, _ in blocks)
        self._heard_s = time.monotonic()
        parts = [part for block, lost, _ in blocks for part in (np.zeros(lost), block)]
        packet = self._listener.hear(np.concatenate(parts), blocks[-1][2])
        self._watermark_us = packet.watermark_us
        return packet

    def _take(self, block: Any, frames: int, when: Any, status: Any) -> None:
        """Copy a block; on the audio thread, which must not be held up.

        Blocks that find the queue full are lost: the next one that fits brings their number.
        """
        if status.input_overflow:
            self.overruns += 1
        if self._taken - self._used + frames > _QUEUE_S * self._rate_hz:
            self.overruns += 1
            self.lost_samples += frames
            self._missing += frames
            return
        missing, self._missing = self._missing, 0
        self._taken += frames
        self._blocks.append((block[:, 0].astype(np.float64), missing, time.monotonic_ns()))

    def _look_whether_it_lives(self) -> None:
        silent_s = time.monotonic() - self._heard_s
        if silent_s > _GONE_S or not self._stream.active:
            raise RunError(
                f"the microphone {self._mic.name} stopped giving sound; was it unplugged?"
            )
