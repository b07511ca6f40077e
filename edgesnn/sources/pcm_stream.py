"""Raw PCM from a pipe: signed 16-bit little-endian samples, mono, at a rate that is told."""

from __future__ import annotations

import queue
import sys
import threading
import time
from typing import Any, BinaryIO

import numpy as np

from edgesnn.errors import InputError
from edgesnn.events import Packet, empty_events
from edgesnn.senses.hearing import HearingSpec
from edgesnn.sources.sound import Listener
from edgesnn.sources.wanted import Wanted, sound_of

_BLOCK_BYTES = 4096
_HEADERS = {
    b"RIFF": ".wav",
    b"RIFX": ".wav",
    b"RF64": ".wav",
    b"BW64": ".wav",
    b"riff": ".w64",
    b"fLaC": ".flac",
    b"OggS": ".ogg",
    b"FORM": ".aiff",
    b".snd": ".au",
    b"caff": ".caf",
    b"ID3\x03": ".mp3",
    b"ID3\x04": ".mp3",
}
_HEADER_BYTES = 4
_BLOCKS = 64
_BREATH_S = 0.005
RATE_HZ = 16_000
"""Unless --rate says otherwise."""


def open_live(value: Any, wanted: Wanted) -> PcmStream:
    """Open standard input for a model of sound; the setting "rate" is that of its samples."""
    rate_hz = wanted.settings.get("rate") or RATE_HZ
    if sys.stdin is None:
        raise InputError("standard input is closed: there is nothing to hear from --stdin")
    try:
        # Without a buffer: a thread that waits in it at the end of the program aborts Python.
        stream: BinaryIO = open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # noqa: SIM115
    except (OSError, ValueError, AttributeError):  # no file of the system's
        stream = sys.stdin.buffer
    return open_pcm_stream(stream, sound_of(wanted.bundle), rate_hz=rate_hz)


def open_pcm_stream(stream: BinaryIO, spec: HearingSpec, *, rate_hz: int) -> PcmStream:
    """Open a pipe as a source; it ends with the pipe. rate_hz: of its samples."""
    return PcmStream(stream, spec, rate_hz)


def _refuse_headers(data: bytes) -> None:
    """Raise InputError when raw samples begin as a sound file does: its header would be heard."""
    for mark, kind in _HEADERS.items():
        if data.startswith(mark):
            raise InputError(
                f"standard input begins with the header of a {kind} file, and --stdin takes raw "
                "samples; give the file with --file, or send its samples alone (16 bits, mono)"
            )


class PcmStream:
    """A pipe as a source; see `edgesnn.events.Source`. The pipe waits when it is read late.

    A thread of its own reads the pipe, which may be silent for as long as it likes.
    """

    can_wait = True

    def __init__(self, stream: BinaryIO, spec: HearingSpec, rate_hz: int) -> None:
        self.name = "stdin:pcm"
        self.size = spec.size
        self._listener = Listener(spec, rate_hz)
        self._stream = stream
        self._blocks: queue.Queue[tuple[bytes, int]] = queue.Queue(_BLOCKS)
        self._odd = b""
        self._watermark_us = 0
        self._over = False
        self._fresh = True
        threading.Thread(target=self._read_all, name="edgesnn-pcm", daemon=True).start()

    def notes(self) -> tuple[str, ...]:
        """Return what a person should know of the sound."""
        half = ("the input ended in the middle of a sample",) if self._over and self._odd else ()
        return (*self._listener.notes(), *half)

    def close(self) -> None:
        """End the source."""
        self._over = True

    def read(self) -> Packet | None:
        """Return the events of what has arrived; None when the pipe has ended."""
        if self._over:
            return None
        try:
            data, arrival_ns = self._blocks.get(timeout=_BREATH_S)
        except queue.Empty:
            return Packet(empty_events(), self._watermark_us, time.monotonic_ns())
        data, ended = self._odd + data, not data
        if self._fresh and len(data) < _HEADER_BYTES and not ended:
            self._odd = data  # a pipe may give its bytes one by one
            return Packet(empty_events(), self._watermark_us, arrival_ns)
        if self._fresh:
            _refuse_headers(data)
            self._fresh = False
        if ended:
            self._over = True
            self._odd = data[len(data) // 2 * 2 :]
            packet = self._listener.end(arrival_ns)
        else:
            whole = len(data) // 2 * 2
            self._odd = data[whole:]
            samples = np.frombuffer(data[:whole], "<i2") / 32768.0
            packet = self._listener.hear(samples, arrival_ns)
        self._watermark_us = packet.watermark_us
        return packet

    def _read_all(self) -> None:
        """Pass on what the pipe gives, and b"" at its end; waits while the queue is full."""
        read = getattr(self._stream, "read1", self._stream.read)
        data = b"more"
        while data and not self._over:
            try:
                data = read(_BLOCK_BYTES)
            except (OSError, ValueError):
                data = b""
            if data is None:  # a pipe that does not block
                time.sleep(_BREATH_S)
                data = b"more"
                continue
            while not self._over:
                try:
                    self._blocks.put((data, time.monotonic_ns()), timeout=0.2)
                    break
                except queue.Full:
                    continue
