import io
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from contract_sources import (
    check_close_from_another_thread,
    check_ends_once,
    check_name_and_size,
    check_packets,
    joined,
    packets_of,
)
from fake_camera import FakeCamera
from fake_sounds import TONE, Sounds
from fake_webcam import FakeCapture, squares
from other_makers import WRITERS
from written import write_video

from edgesnn.app import load_app, sample_path
from edgesnn.events import Packet, events_from_arrays
from edgesnn.models.gesture.demo import open_demo
from edgesnn.senses.eye import Emulated
from edgesnn.senses.hearing import HearingSpec
from edgesnn.senses.latency import LatencySpec
from edgesnn.sinks.recorder import Recorder
from edgesnn.sources.bs2 import bs2_from_events
from edgesnn.sources.camera import Camera
from edgesnn.sources.catalog import FORMATS, LIVE
from edgesnn.sources.image import Frames, open_images
from edgesnn.sources.microphone import open_microphone
from edgesnn.sources.npz_write import npz_from_events
from edgesnn.sources.pcm_stream import open_pcm_stream
from edgesnn.sources.raw import raw_head
from edgesnn.sources.recording import open_recording
from edgesnn.sources.sound_file import open_sound_file
from edgesnn.sources.video import open_video
from edgesnn.sources.webcam import Webcam
from edgesnn.stream.sink import RunInfo

SIZE = (128, 128)
HEARING = HearingSpec()
LATENCY = LatencySpec(steps=6, dark=True)
STEP_US = 5_000


def some_events(n=3000, span_us=150_000, start_us=70):
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, span_us, n)) + start_us
    return events_from_arrays(
        t, rng.integers(0, 128, n), rng.integers(0, 128, n), rng.integers(0, 2, n)
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    events = some_events()
    bs2_from_events(folder / "a.bs2", events)
    npz_from_events(folder / "a.npz", events, SIZE)
    (folder / "a.raw").write_bytes(raw_head(SIZE) + events.tobytes())
    pytest.importorskip("h5py")
    for name, write in WRITERS.items():
        write(folder / name, events, SIZE)
    pytest.importorskip("dv_processing")
    recorder = Recorder(folder / "a.aedat4")
    recorder.open(RunInfo("test:a", SIZE, "none", "none", 1, (), True), None)
    recorder.packet(Packet(events, int(events["t"][-1]), 0))
    recorder.close(None)
    write_video(folder / "a.avi")
    soundfile.write(folder / "a.wav", TONE, 8000)
    return folder


OURS = ("bs2", "npz", "aedat4", "raw")
RECORDINGS = [
    (name, speed) for name in (*(f"a.{s}" for s in OURS), *WRITERS) for speed in (math.inf, 1.0)
]


def recording(files, name, speed):
    return open_recording(files / name, speed=speed, size=SIZE)


def makers(files):
    """Every source there is, by name: makes one that ends within a second or so."""
    now = 1_700_000_000_000_000  # a camera counts from 1970; its batches come 10 s apart here
    busy = [None, [now, now + 3], None, [now + 10**7], [now + 2 * 10**7], None]
    made = {
        f"{name} at {speed}": lambda a=name, b=speed: recording(files, a, b)
        for name, speed in RECORDINGS
    }
    for speed in (math.inf, 1.0):
        made[f"looped at {speed}"] = lambda b=speed: open_recording(
            files / "a.bs2", speed=b, loop=True, size=SIZE
        )
    made["camera"] = lambda: Camera(FakeCamera(busy + [None] * 1000))
    made["webcam"] = lambda: Webcam(FakeCapture(squares(200)), "webcam:0")
    made["slow webcam"] = lambda: Webcam(FakeCapture(squares(20), every_s=0.1), "webcam:0")
    made["demo"] = lambda: open_demo(0)
    made |= sounds(files)
    for speed in (math.inf, 1.0):
        made[f"pictures at {speed}"] = lambda b=speed: pictures(b)
        made[f"pictures looped at {speed}"] = lambda b=speed: pictures(b, loop=True)
    for speed in (math.inf, 1.0):
        made[f"video at {speed}"] = lambda b=speed: open_video(files / "a.avi", Emulated, speed=b)
    made["video looped"] = lambda: open_video(files / "a.avi", Emulated, loop=True)
    made["video as pictures"] = lambda: open_video(files / "a.avi", pictures_of)
    return made


def sounds(files):
    """The sources of sound."""
    made = {
        f"sound at {speed}": lambda b=speed: open_sound_file(files / "a.wav", HEARING, speed=b)
        for speed in (math.inf, 1.0)
    }
    made["sound looped"] = lambda: open_sound_file(files / "a.wav", HEARING, loop=True)
    made["pipe"] = lambda: open_pcm_stream(io.BytesIO(pcm()), HEARING, rate_hz=8000)
    made["microphone"] = microphone
    return made


def pictures_of():
    return Frames(LATENCY, STEP_US)


def pcm():
    return (TONE * 32767).astype("<i2").tobytes()


def microphone():
    system = Sounds()
    source = open_microphone(None, HEARING, sd=system)
    for first in range(0, len(TONE), 400):
        system.streams[0].give(TONE[first : first + 400])
    return source


def pictures(speed, loop=False):
    sample = sample_path(load_app("digits"))
    return open_images(sample, LATENCY, step_us=STEP_US, speed=speed, loop=loop)


NAMES = list(makers(None))
ENDLESS = {name for name in NAMES if "looped" in name} | {
    "camera",
    "webcam",
    "slow webcam",
    "demo",
    "microphone",
}
LONG = {"pictures at 1.0"}


OPTIONS = {
    "--camera": "camera",
    "--webcam": "webcam",
    "--mic": "microphone",
    "--stdin": "pipe",
    "--demo": "demo",
}
"""Which maker stands for a live source."""


def test_every_source_and_format_has_a_maker():
    assert set(OPTIONS) == {live.option.name for live in LIVE} and set(OPTIONS.values()) <= {*NAMES}
    same = {".bin": ".bs2", ".hdf5": ".h5"}  # two names of one format
    made = {Path(name).suffix for name, _ in RECORDINGS}
    assert {same.get(name, name) for name in FORMATS} == made


@pytest.mark.parametrize("name", NAMES)
def test_contract(files, name):
    make = makers(files)[name]
    source = make()
    check_name_and_size(source)
    packets = packets_of(source, 25 if name in ENDLESS | LONG else 10_000)
    assert joined(packets).size
    check_packets(source, packets)
    if name in ENDLESS | LONG:
        source.close()
    check_ends_once(source)
    check_close_from_another_thread(make)


@pytest.mark.parametrize(("name", "speed"), RECORDINGS)
def test_packets_of_a_recording_join_to_the_whole_of_it(files, name, speed):
    found = joined(packets_of(recording(files, name, speed)))
    for field in "txyp":
        assert np.array_equal(found[field], some_events()[field])


def test_recordings_wait_and_live_sources_do_not(files):
    waits = {name: make().can_wait for name, make in makers(files).items()}
    assert {name for name, value in waits.items() if not value} == {
        "camera",
        "webcam",
        "slow webcam",
        "demo",
        "microphone",
    }
