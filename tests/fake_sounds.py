"""A sound system under the test's control, with the part of sounddevice's interface we use."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

TONE = (0.3 * np.sin(np.arange(8000) * 0.4)).astype(np.float32)


class PortAudioError(Exception):
    pass


class Stream:
    """An input stream whose callback the test calls."""

    def __init__(self, **asked: Any) -> None:
        self.asked = asked
        self.active = False

    def start(self) -> None:
        self.active = True

    def close(self, ignore_errors: bool = True) -> None:
        self.active = False

    def __enter__(self) -> Stream:
        self.start()
        self.give(TONE[:4000])
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def give(self, samples: np.ndarray, overflow: bool = False) -> None:
        status = SimpleNamespace(input_overflow=overflow)
        block = samples[:, None].copy()
        self.asked["callback"](block, len(block), None, status)
        block[:] = np.nan  # the real one is reused, too


class Sounds:
    """What sounddevice looks like from here."""

    PortAudioError = PortAudioError

    def __init__(self, rates: tuple[int, ...] = (8000, 48_000), broken: str = "") -> None:
        self.rates, self.broken = rates, broken
        self.default = SimpleNamespace(device=[2, 0])
        self.streams: list[Stream] = []
        self.devices = [
            {"name": "Speaker", "max_input_channels": 0, "default_samplerate": 48000.0},
            {"name": "Webcam Mic", "max_input_channels": 2, "default_samplerate": 44100.0},
            {"name": "Array Mic", "max_input_channels": 4, "default_samplerate": 48000.0},
        ]

    def query_devices(self) -> list[dict[str, Any]]:
        if self.broken == "system":
            raise PortAudioError("host error")
        return self.devices

    def check_input_settings(self, *, device: int, samplerate: int, **rest: Any) -> None:
        if samplerate not in self.rates:
            raise PortAudioError("Invalid sample rate")

    def InputStream(self, **asked: Any) -> Stream:  # noqa: N802  the name is sounddevice's
        if self.broken == "device":
            raise PortAudioError("Device unavailable")
        self.streams.append(Stream(**asked))
        return self.streams[-1]
