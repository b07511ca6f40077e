"""Sound files and pipes: every width and rate, and what is wrong with the others."""

from __future__ import annotations

import io
import math
import os
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from contract_sources import joined, packets_of

from edgesnn.app import load_app, sample_path
from edgesnn.errors import InputError
from edgesnn.senses.hearing import Hearing, HearingSpec
from edgesnn.sources.pcm_stream import open_pcm_stream
from edgesnn.sources.sound import Listener, level_db
from edgesnn.sources.sound_file import open_sound_file, read_sound

SPEC = HearingSpec()
SAMPLE = sample_path(load_app("keyword"))


def sample() -> np.ndarray:
    return np.asarray(soundfile.read(SAMPLE)[0])[:16_000]


def heard(path: Path) -> np.ndarray:
    return joined(packets_of(open_sound_file(path, SPEC, speed=math.inf)))


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "PCM_32"), ("wav", "FLOAT"), ("flac", "PCM_24")],
)
def test_every_width_in_stereo_is_heard_as_the_original(
    tmp_path: Path, suffix: str, subtype: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    stereo = np.stack([sample(), sample()], axis=1)
    soundfile.write(path, stereo, 8000, subtype=subtype)
    assert np.array_equal(heard(path), Hearing(SPEC).feed(sample()))


def test_ogg_and_other_rates_are_heard_almost_alike(tmp_path: Path) -> None:
    original = Hearing(SPEC).feed(sample())
    soundfile.write(tmp_path / "a.ogg", sample(), 8000)
    x = np.interp(np.arange(96_000) / 6, np.arange(16_000), sample())
    soundfile.write(tmp_path / "a.wav", x, 48_000)
    for name in ("a.ogg", "a.wav"):
        found = heard(tmp_path / name)
        assert 0.85 < len(found) / len(original) < 1.15
        bands = [np.bincount(e["x"], minlength=40) for e in (found, original)]
        assert np.corrcoef(*bands)[0, 1] > 0.95


def test_the_whole_file_at_once_is_the_stream(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sample(), 16_000)
    whole = Hearing(SPEC).feed(read_sound(tmp_path / "a.wav", 8000))
    assert np.array_equal(heard(tmp_path / "a.wav"), whole)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "not a sound file that can be read"),
        (b"RIFF\x10\x00\x00\x00WAVEjunk", "not a sound file that can be read"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a sound file that can be read"),
    ],
)
def test_what_is_no_sound_is_named(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"a.wav is {found}"):
        open_sound_file(path, SPEC)


def test_missing_and_empty_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file .*gone\.wav"):
        open_sound_file(tmp_path / "gone.wav", SPEC)
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 8000)
    with pytest.raises(InputError, match=r"empty\.wav holds no sound"):
        open_sound_file(tmp_path / "empty.wav", SPEC)


def test_a_truncated_wav_plays_what_is_there(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sample(), 8000)
    data = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(data[: len(data) // 2])
    assert 0 < len(heard(tmp_path / "cut.wav")) < len(heard(tmp_path / "a.wav"))


def test_clipping_is_told(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "loud.wav", np.clip(20 * sample(), -1, 1), 8000)
    source = open_sound_file(tmp_path / "loud.wav", SPEC, speed=math.inf)
    assert len(joined(packets_of(source))) > 100
    (note,) = source.notes()
    assert "of the samples are clipped" in note
    clean = open_sound_file(SAMPLE, SPEC, speed=math.inf)
    packets_of(clean)
    assert clean.notes() == ()


def test_silence_steps_and_a_float_file_may_hold_nan(tmp_path: Path) -> None:
    silence = np.zeros(8000, np.float32)
    soundfile.write(tmp_path / "s.wav", silence, 8000, subtype="FLOAT")
    packets = packets_of(open_sound_file(tmp_path / "s.wav", SPEC, speed=math.inf))
    assert not len(joined(packets)) and packets[-1].watermark_us == 1_000_000
    silence[100:200] = np.nan
    soundfile.write(tmp_path / "n.wav", silence, 8000, subtype="FLOAT")
    assert not len(heard(tmp_path / "n.wav"))


def test_a_file_plays_in_its_own_time_and_loops(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sample()[:2400], 8000)
    began = time.monotonic()
    packets_of(open_sound_file(tmp_path / "a.wav", SPEC))
    assert 0.28 < time.monotonic() - began < 2.0
    looped = open_sound_file(tmp_path / "a.wav", SPEC, speed=math.inf, loop=True)
    assert packets_of(looped, 20)[-1].watermark_us > 1_000_000


def test_a_pipe_is_heard_whatever_its_blocks(tmp_path: Path) -> None:
    samples = np.rint(sample() * 32767).astype("<i2")
    data = samples.tobytes()
    source = open_pcm_stream(io.BytesIO(data), SPEC, rate_hz=8000)
    assert np.array_equal(joined(packets_of(source)), Hearing(SPEC).feed(samples / 32768))
    assert source.notes() == () and source.read() is None
    odd = open_pcm_stream(io.BytesIO(data[:-1]), SPEC, rate_hz=8000)
    packets_of(odd)
    assert odd.notes() == ("the input ended in the middle of a sample",)


def test_a_pipe_that_is_silent_holds_nobody_up() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe:
        source = open_pcm_stream(pipe, SPEC, rate_hz=8000)
        began = time.monotonic()
        for _ in range(5):
            packet = source.read()
            assert packet is not None and not len(packet.events)
        assert time.monotonic() - began < 1.0
        os.close(writing)
        assert len(packets_of(source)) < 1000 and source.read() is None


def test_levels() -> None:
    assert level_db(np.zeros(100)) == -100 and level_db(np.zeros(0)) == -100
    assert level_db(np.sin(np.arange(8000))) == pytest.approx(-3.01, abs=0.05)
    listener = Listener(SPEC, 8000)
    listener.hear(np.ones((10, 2)), 0)
    assert listener.clipped == listener.samples == 10


@pytest.mark.parametrize(
    ("suffix", "said"),
    [(".wav", "4.0 of 8.0 s are there"), (".aiff", "4.0 of 8.0 s"), (".ogg", "is cut off after")],
)
def test_a_sound_that_is_cut_off_is_said(tmp_path: Path, suffix: str, said: str) -> None:
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 128_000), 16_000)
    assert open_sound_file(path, SPEC).notes() == ()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    (note,) = open_sound_file(path, SPEC).notes()
    assert said in note


def test_a_header_that_tells_of_less_than_is_there_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sample(), 16_000)
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = (8000).to_bytes(4, "little")
    path.write_bytes(data)
    (note,) = open_sound_file(path, SPEC).notes()
    assert note.startswith("24,000 bytes behind the sound, of which its header tells nothing")
    # Other chunks behind the sound are nothing that was lost.
    soundfile.write(path, sample(), 16_000)
    path.write_bytes(path.read_bytes() + b"LIST" + (4).to_bytes(4, "little") + b"INFO")
    assert open_sound_file(path, SPEC).notes() == ()
