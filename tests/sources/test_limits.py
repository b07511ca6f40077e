"""What a header says is checked before anything is allocated; sound and pictures of all kinds."""

from __future__ import annotations

import gzip
import io
import math
import os
import struct
import tracemalloc
import wave
from pathlib import Path

import numpy as np
import pytest

from edgesnn.app import load_app
from edgesnn.bundle import load_bundle
from edgesnn.errors import InputError
from edgesnn.events import joined_events
from edgesnn.senses.hearing import HearingSpec
from edgesnn.senses.latency import LatencySpec
from edgesnn.sources.files import open_file
from edgesnn.sources.idx import read_idx
from edgesnn.sources.image import read_pictures
from edgesnn.sources.pcm_stream import open_pcm_stream
from edgesnn.sources.sound import Mixer
from edgesnn.sources.sound_file import open_sound_file, read_sound

pytest.importorskip("soundfile")
cv2 = pytest.importorskip("cv2")
SPEC = LatencySpec(6, dark=False)
RATE = 8000
TONE = 0.3 * np.sin(np.arange(4000) * 2 * np.pi * 440 / RATE)


def wav(path: Path, channels: np.ndarray, rate: int = RATE) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if channels.ndim == 1 else channels.shape[1])
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((channels * 32767).astype("<i2").tobytes())
    data = bytearray(path.read_bytes())
    data[24:28] = struct.pack("<I", rate)
    path.write_bytes(data)
    return path


def test_an_idx_file_is_unpacked_no_further_than_it_says(tmp_path: Path) -> None:
    head = struct.pack(">4B3I", 0, 0, 8, 3, 2, 28, 28)
    path = tmp_path / "a-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(head + bytes(300_000_000), 1))
    tracemalloc.start()
    with pytest.raises(InputError, match="wanted 1568"):
        read_idx(path, 3)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()
    path.write_bytes(gzip.compress(struct.pack(">4B3I", 0, 0, 8, 3, 2**31, 28, 28)))
    with pytest.raises(InputError, match="says that it holds"):
        read_idx(path, 3)


@pytest.mark.parametrize("rate", [1, 999, 768_001, 2**31 - 1])
def test_sample_rates_that_are_none(tmp_path: Path, rate: int) -> None:
    with pytest.raises(InputError, match="samples a second"):
        read_sound(wav(tmp_path / "a.wav", TONE, rate), RATE)


def test_an_odd_rate_costs_no_memory_to_speak_of(tmp_path: Path) -> None:
    tracemalloc.start()
    assert len(read_sound(wav(tmp_path / "a.wav", TONE, 191_999), RATE)) > 100
    assert tracemalloc.get_traced_memory()[1] < 200_000_000
    tracemalloc.stop()


def test_the_samples_of_an_unfinished_file_are_found_behind_its_comments(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", TONE)
    whole = read_sound(path, RATE)
    data = path.read_bytes()
    at = data.index(b"data")
    text = b"the data of the day".ljust(5988, b" ")
    comment = b"LIST" + struct.pack("<I", 6000) + b"INFOICMT" + struct.pack("<I", 5988) + text
    path.write_bytes(data[:at] + comment + b"data" + bytes(4) + data[at + 8 :])
    assert np.array_equal(read_sound(path, RATE), whole)


def test_a_recorder_that_was_killed_left_its_sound(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", TONE)
    whole = read_sound(path, RATE)
    data = bytearray(path.read_bytes())
    data[40:44] = bytes(4)
    path.write_bytes(data)
    assert np.array_equal(read_sound(path, RATE), whole)
    source = open_sound_file(path, HearingSpec(), speed=float("inf"))
    assert "never finished" in source.notes()[0]


def test_channels_that_cancel_are_heard_one_alone_and_said(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", np.stack([TONE, -TONE], axis=1))
    assert np.abs(read_sound(path, RATE)).max() > 0.25
    source = open_sound_file(path, HearingSpec(), speed=float("inf"))
    while source.read() is not None:
        pass
    assert "cancel each other" in source.notes()[0]
    mixer = Mixer()
    mixer.mixed(np.stack([TONE, 0.5 * TONE], axis=1))
    assert not mixer.first_alone


def test_stereo_and_one_voice_of_many_do_not_cancel_however_they_are_cut() -> None:
    rng = np.random.default_rng(0)
    stereo = TONE[:, None] + 0.002 * rng.normal(size=(len(TONE), 2))
    lone = np.zeros((len(TONE), 32))
    lone[:, 5] = TONE
    opposite = np.stack([TONE, -TONE], axis=1)
    for sound, alone in ((stereo, False), (lone, False), (opposite, True)):
        whole = Mixer()
        wanted = whole.mixed(sound)
        cut, found = Mixer(), []
        for part in np.split(sound, np.cumsum(rng.integers(1, 60, 100))):
            found.append(cut.mixed(part))
        assert np.array_equal(np.concatenate(found), wanted)
        assert cut.first_alone == whole.first_alone == alone


def test_no_sample_is_louder_than_full_scale() -> None:
    loud = np.array([0.1, 1e200, np.nan, -np.inf, np.inf])
    assert Mixer().mixed(loud).tolist() == [0.1, 1.0, 0.0, -1.0, 1.0]


class OneByOne(io.BytesIO):
    """A pipe that gives its bytes one at a time."""

    def read1(self, size: int | None = -1, /) -> bytes:
        return self.read(1)


def test_a_header_that_comes_byte_by_byte_is_no_sound() -> None:
    source = open_pcm_stream(OneByOne(b"RIFF" + bytes(40)), HearingSpec(), rate_hz=RATE)
    with pytest.raises(InputError, match="begins with the header"):
        for _ in range(1000):
            source.read()


def test_bytes_that_come_one_by_one_are_the_same_sound() -> None:
    sound = (np.sin(np.arange(4000) / 3) * 20_000).astype("<i2").tobytes() + b"x"
    found = []
    for pipe in (io.BytesIO(sound), OneByOne(sound)):
        source = open_pcm_stream(pipe, HearingSpec(), rate_hz=RATE)
        packets = list(iter(source.read, None))
        found.append(joined_events([packet.events for packet in packets]).tolist())
        assert source.notes() == ("the input ended in the middle of a sample",)
    assert found[0] == found[1] != []


@pytest.mark.parametrize(
    "head",
    [b"RIFF", b"fLaC", b"OggS", b"FORM", b"RF64", b"riff", b".snd", b"caff", b"ID3\x04"],
)
def test_headers_are_no_raw_samples(head: bytes) -> None:
    source = open_pcm_stream(io.BytesIO(head + bytes(4000)), HearingSpec(), rate_hz=RATE)
    with pytest.raises(InputError, match="begins with the header"):
        for _ in range(1000):
            source.read()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + bytes(4)


@pytest.mark.parametrize(
    ("body", "match"),
    [
        (struct.pack(">I", 2**32 - 10) + b"IDAT" + bytes(50), "says that 4,294,967,286 bytes"),
        (
            chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)),
            "60,000 x 60,000 pixels",
        ),
    ],
)
def test_pngs_that_lie(tmp_path: Path, body: bytes, match: str) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises(InputError, match=match):
        read_pictures(tmp_path / "a.png", SPEC)


def test_black_ink_on_nothing_is_read_as_on_paper(tmp_path: Path) -> None:
    ink = np.zeros((100, 100, 4), np.uint8)
    cv2.ellipse(ink, (50, 50), (20, 35), 0, 0, 360, (0, 0, 0, 255), 8)
    paper = np.full((100, 100), 255, np.uint8)
    cv2.ellipse(paper, (50, 50), (20, 35), 0, 0, 360, 0, 8)
    for name, picture in (("ink.png", ink), ("paper.png", paper)):
        assert cv2.imwrite(str(tmp_path / name), picture)
    (one,), (other,) = (read_pictures(tmp_path / name, SPEC) for name in ("ink.png", "paper.png"))
    assert np.array_equal(one, other) and one.max() == 255


def test_a_blank_image_is_named_by_its_number(tmp_path: Path) -> None:
    images = np.zeros((3, 28, 28), np.uint8)
    images[:2, 5:20, 10:15] = 255
    path = tmp_path / "a-idx3-ubyte"
    path.write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, 3, 28, 28) + images.tobytes())
    with pytest.raises(InputError, match="image 2 is all of one brightness"):
        read_pictures(path, SPEC)


@pytest.mark.parametrize("name", ["a.npz", "a.wav", "a.png", "a.aedat4", "a.bs2"])
def test_a_pipe_is_no_file_to_play(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    app = {"a.wav": "keyword", "a.png": "digits"}.get(name, "gesture")
    with pytest.raises(InputError, match="is a pipe or a device"):
        open_file(tmp_path / name, load_bundle(load_app(app).model), speed=math.inf)
