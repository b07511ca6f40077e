"""The microphone against a scripted sound system: what it is asked, and everything that fails."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest
from contract_sources import check_close_from_another_thread, check_name_and_size, joined
from fake_sounds import TONE, Sounds

from edgesnn.errors import InputError, MissingDependency, RunError
from edgesnn.senses.hearing import Hearing, HearingSpec
from edgesnn.sources import microphone
from edgesnn.sources.microphone import (
    measured_level_db,
    microphones,
    open_microphone,
    sounddevice,
)

SPEC = HearingSpec()


def test_the_default_one_comes_first_and_only_inputs_count() -> None:
    found = microphones(Sounds())
    assert [(m.index, m.name, m.default) for m in found] == [
        (2, "Array Mic", True),
        (1, "Webcam Mic", False),
    ]
    assert measured_level_db(Sounds(), found[0]) == pytest.approx(-13.5, abs=0.5)


@pytest.mark.parametrize(
    ("asked", "name"), [(None, "Array Mic"), ("1", "Webcam Mic"), ("webcam", "Webcam Mic")]
)
def test_a_microphone_is_chosen_by_number_or_name(asked: str | None, name: str) -> None:
    source = open_microphone(asked, SPEC, sd=Sounds())
    check_name_and_size(source)
    assert source.name == f"mic:{name}" and not source.can_wait


@pytest.mark.parametrize(
    ("asked", "match"), [("piano", "there is no microphone 'piano'"), ("mic", "2 microphones are")]
)
def test_a_name_that_fits_none_or_several_is_answered_with_the_list(asked: str, match: str) -> None:
    with pytest.raises(InputError, match=f"{match}.*2 Array Mic; 1 Webcam Mic"):
        open_microphone(asked, SPEC, sd=Sounds())


def test_no_microphone_at_all() -> None:
    sounds = Sounds()
    sounds.devices = sounds.devices[:1]
    with pytest.raises(InputError, match="no microphone was found; plug one in, or use --file"):
        open_microphone(None, SPEC, sd=sounds)


def test_what_is_heard_is_what_a_file_would_give() -> None:
    sounds = Sounds()
    source = open_microphone(None, SPEC, sd=sounds)
    (stream,) = sounds.streams
    assert stream.asked["samplerate"] == 8000 and stream.asked["blocksize"] == 80
    packets = []
    for first in range(0, 8000, 80):
        stream.give(TONE[first : first + 80])
        if first % 400 == 0:
            packets.append(source.read())
    packets.append(source.read())
    found = joined([packet for packet in packets if packet is not None])
    assert np.array_equal(found, Hearing(SPEC).feed(TONE))
    assert source.overruns == 0 and source.notes() == ()


def test_a_device_without_our_rate_is_opened_at_its_own() -> None:
    sounds = Sounds(rates=(48_000,))
    source = open_microphone(None, SPEC, sd=sounds)
    assert sounds.streams[0].asked["samplerate"] == 48_000
    sounds.streams[0].give(np.zeros(48_000, np.float32))
    packet = source.read()
    assert packet is not None and packet.watermark_us == 990_000  # a second, less the filter
    with pytest.raises(InputError, match="Array Mic takes neither 8000 nor 48000 samples/s"):
        open_microphone(None, SPEC, sd=Sounds(rates=()))


def test_what_is_lost_is_counted_and_its_time_kept() -> None:
    sounds = Sounds()
    source = open_microphone(None, SPEC, sd=sounds)
    for _ in range(250):  # two seconds fit the queue
        sounds.streams[0].give(TONE[:80])
    assert source.overruns == 50 and source.lost_samples == 50 * 80
    first = source.read()
    sounds.streams[0].give(TONE[:80])
    second = source.read()
    assert first is not None and first.watermark_us == 2_000_000
    assert second is not None and second.watermark_us == 2_000_000 + 50 * 10_000 + 10_000
    sounds.streams[0].give(TONE[:80], overflow=True)
    assert source.overruns == 51
    assert source.notes()[0].startswith("the microphone lost sound 51 times (4000 samples")


def test_an_unplugged_microphone_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    sounds = Sounds()
    source = open_microphone(None, SPEC, sd=sounds)
    assert source.read() is not None
    sounds.streams[0].active = False
    with pytest.raises(RunError, match="Array Mic stopped giving sound; was it unplugged?"):
        source.read()
    monkeypatch.setattr(microphone, "_GONE_S", 0.02)
    silent = open_microphone(None, SPEC, sd=Sounds())
    time.sleep(0.05)
    with pytest.raises(RunError, match="stopped giving sound"):
        silent.read()


def test_a_sound_system_or_device_that_fails() -> None:
    with pytest.raises(RunError, match="the sound system does not answer: host error"):
        open_microphone(None, SPEC, sd=Sounds(broken="system"))
    with pytest.raises(RunError, match="Array Mic cannot be opened: Device unavailable"):
        open_microphone(None, SPEC, sd=Sounds(broken="device"))
    mic = microphones(Sounds())[0]
    assert measured_level_db(Sounds(broken="device"), mic) is None


def test_without_portaudio_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingDependency, match="pip install sounddevice"):
        sounddevice()


def test_closing_frees_the_device() -> None:
    sounds = Sounds()
    source = open_microphone(None, SPEC, sd=sounds)
    source.close()
    source.close()
    assert source.read() is None and not sounds.streams[0].active
    check_close_from_another_thread(lambda: open_microphone(None, SPEC, sd=Sounds()))
