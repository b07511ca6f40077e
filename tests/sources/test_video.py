"""Videos: every frame, at its time, the same each time; what is damaged is said."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")

from written import write_uneven_video, write_video  # noqa: E402

from edgesnn.app import load_app  # noqa: E402
from edgesnn.bundle import load_bundle  # noqa: E402
from edgesnn.errors import InputError  # noqa: E402
from edgesnn.events import Events, Packet, joined_events  # noqa: E402
from edgesnn.senses.eye import Emulated  # noqa: E402
from edgesnn.sources.files import open_file  # noqa: E402
from edgesnn.sources.video import Video, open_video  # noqa: E402
from edgesnn.sources.wanted import Wanted  # noqa: E402
from edgesnn.sources.webcam import open_live  # noqa: E402


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    write_video(tmp_path / "a.avi")
    return tmp_path / "a.avi"


def all_of(source: Video, most: int = 100_000) -> tuple[Events, list[Packet]]:
    packets = []
    while len(packets) < most and (packet := source.read()) is not None:
        packets.append(packet)
    return joined_events([packet.events for packet in packets]), packets


def test_a_video_gives_the_same_events_at_any_speed(clip: Path) -> None:
    fast, packets = all_of(open_video(clip, Emulated, speed=math.inf))
    again, _ = all_of(open_video(clip, Emulated, speed=4.0))
    assert len(fast) > 100 and np.array_equal(fast, again)
    assert all(packet.events["t"].max(initial=0) <= packet.watermark_us for packet in packets)


def test_a_video_keeps_its_pace(clip: Path) -> None:
    frames = len(all_of(open_video(clip, Emulated, speed=math.inf))[1])
    began = time.monotonic()
    source = open_video(clip, Emulated, speed=2.0)
    hz = source._hz
    all_of(source)
    assert time.monotonic() - began >= (frames - 1) / hz / 2


def test_each_lap_begins_anew(clip: Path) -> None:
    once, packets = all_of(open_video(clip, Emulated, speed=math.inf))
    looped, laps = all_of(open_video(clip, Emulated, speed=math.inf, loop=True), 3 * len(packets))
    begins = [i for i, packet in enumerate(laps) if packet.begins]
    assert begins and len(looped) > 2 * len(once)
    second = joined_events([p.events for p in laps[begins[0] : begins[0] + len(packets)]])
    assert second[["x", "y", "p"]].tolist() == once[["x", "y", "p"]].tolist()


@pytest.mark.parametrize("app", ["gesture", "digits"])
def test_file_and_webcam_play_videos_for_every_model_that_sees(clip: Path, app: str) -> None:
    bundle = load_bundle(load_app(app).model)
    events, _ = all_of(open_file(clip, bundle, speed=math.inf))
    assert open_live(str(clip), Wanted(bundle)).size == open_file(clip, bundle, speed=1.0).size
    assert len(events) or app == "digits"


def test_what_is_no_video_is_said(tmp_path: Path) -> None:
    bundle = load_bundle("gesture")
    for name, sentence in ((f"{tmp_path}/no.mp4", "neither the number"), ("-1", "neither the n")):
        with pytest.raises(InputError, match=sentence):
            open_live(name, Wanted(bundle))
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    with pytest.raises(InputError, match="is not a video"):
        open_file(tmp_path / "a.mp4", bundle, speed=1.0)
    with pytest.raises(InputError, match="takes sound"):
        open_file(tmp_path / "a.mp4", load_bundle("keyword"), speed=1.0)
    with pytest.raises(InputError, match="--sensor is for recordings of events"):
        open_file(tmp_path / "a.mp4", bundle, speed=1.0, size=(3, 3))


def test_a_video_that_was_cut_says_what_is_missing(clip: Path) -> None:
    whole = clip.read_bytes()
    clip.write_bytes(whole[: len(whole) * 2 // 3])
    source = open_video(clip, Emulated, speed=math.inf)
    all_of(source)
    assert source.notes() == (
        "9 of the 12 frames that its length and pace promise are not there: it is cut off, damaged "
        "or of uneven pace",
    )


def test_frames_of_uneven_pace_come_at_their_own_times(tmp_path: Path) -> None:
    times = [0, 33, 66, 100, 2166, 2200, 2233]
    write_uneven_video(tmp_path / "a.mkv", times)
    source = open_video(tmp_path / "a.mkv", Emulated, speed=math.inf)
    events, packets = all_of(source)
    assert [packet.watermark_us // 1000 for packet in packets[: len(times)]] == times
    assert events["t"].max() > 2_000_000
    (note,) = source.notes()
    assert "promise are not there" in note and "uneven pace" in note


def test_frames_that_digits_leaves_out_are_counted(clip: Path) -> None:
    bundle = load_bundle("mnist")
    source = open_file(clip, bundle, speed=math.inf, loop=False)
    while source.read() is not None:
        pass
    (note,) = [note for note in source.notes() if "still looked at" in note]
    assert note.startswith("6 of 12 frames")
