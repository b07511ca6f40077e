import math
import time
from importlib import resources

import numpy as np
import pytest
from contract_sources import joined, packets_of

from edgesnn.errors import InputError
from edgesnn.events import events_from_arrays
from edgesnn.sources import aedat4
from edgesnn.sources.bs2 import LONGEST_US, bs2_from_events, events_from_bs2
from edgesnn.sources.npz import npz_from_events
from edgesnn.sources.recording import Recording, open_recording, read_events


def events_at(*times):
    t = np.array(times)
    return events_from_arrays(t, t % 30, t % 20, t % 2)


def test_bs2_bytes_mean_what_the_format_says(tmp_path):
    # x 5, y 7, ON, t = 0x012345 us; x 127, y 0, OFF, t = 0x7fffff us
    path = tmp_path / "two.bs2"
    path.write_bytes(bytes([5, 7, 0x81, 0x23, 0x45, 127, 0, 0x7F, 0xFF, 0xFF]))
    events, size = events_from_bs2(path)
    assert events.tolist() == [(0x012345, 5, 7, 1), (LONGEST_US, 127, 0, 0)]
    assert size == (128, 128)


@pytest.mark.parametrize(("largest", "side"), [(33, 34), (34, 128), (127, 128), (128, 256)])
def test_the_sensor_of_a_bs2_is_the_smallest_usual_one(tmp_path, largest, side):
    bs2_from_events(tmp_path / "a.bs2", events_from_arrays([1], [largest], [2], [1]))
    assert read_events(tmp_path / "a.bs2")[1] == (side, side)


def test_bs2_refuses_what_it_cannot_hold(tmp_path):
    for bad in (events_at(-1), events_at(LONGEST_US + 1), events_from_arrays([1], [256], [0], [0])):
        with pytest.raises(InputError, match="below 256"):
            bs2_from_events(tmp_path / "a.bs2", bad)


@pytest.mark.parametrize("suffix", ["bs2", "npz"])
def test_what_is_written_is_read_back(tmp_path, suffix):
    rng = np.random.default_rng(1)
    n = 500
    events = events_from_arrays(
        np.sort(rng.integers(0, LONGEST_US, n)),
        *rng.integers(0, 128, (2, n)),
        rng.integers(0, 2, n),
    )
    path = tmp_path / f"a.{suffix}"
    bs2_from_events(path, events) if suffix == "bs2" else npz_from_events(path, events, (128, 128))
    found, size = read_events(path, (128, 128))
    assert size == (128, 128)
    assert found.tolist() == events.tolist()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.bs2", b"123456", "ends inside an event, at byte 6"),
        ("a.bs2", b"", "is empty"),
        ("a.npz", b"no zip at all", "not a readable .npz"),
        ("a.aedat4", b"RIFFxxxx", "does not begin with #!AER-DAT4.0"),
        ("a.xyz", b"1", "it reads .aedat4, .bin, .bs2, .npz"),
        ("a", b"1", "it reads"),
    ],
)
def test_each_defect_is_one_clear_error(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_events(tmp_path / name)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(InputError, match="there is no file .*gone.npz"):
        read_events(tmp_path / "gone.npz")
    with pytest.raises(InputError, match="is a folder"):
        read_events(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"t": None}, "no array 't'"),
        ({"width": None}, "no array 'width'"),
        ({"x": np.array([[1]])}, "'x' is int64 of shape"),
        ({"p": np.array([0.5])}, "'p' is float64"),
        ({"y": np.array([1, 2])}, "'y' has 2 entries, t has 1"),
        ({"x": np.array([40])}, "x leaves the sensor of 30 x 20"),
        ({"y": np.array([-1])}, "y leaves the sensor"),
        ({"height": np.array(-3)}, "must be positive"),
        ({"t": np.array([{}])}, "not a readable .npz"),
    ],
)
def test_npz_defects(tmp_path, change, message):
    arrays = {"t": np.array([1]), "x": np.array([2]), "y": np.array([3]), "p": np.array([1])}
    arrays |= {"width": np.array(30), "height": np.array(20)} | change
    np.savez(tmp_path / "a.npz", **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(InputError, match=message):
        read_events(tmp_path / "a.npz")


def whole_file(path):
    """Write 4000 events at path; return its bytes."""
    events = events_at(*range(0, 40_000, 10))
    if path.suffix == ".aedat4":
        dv = pytest.importorskip("dv_processing")
        config = dv.io.MonoCameraWriter.EventOnlyConfig("x", (30, 20), dv.CompressionType.LZ4)
        writer, store = dv.io.MonoCameraWriter(str(path), config), dv.EventStore()
        for event in events.tolist():
            store.push_back(*event)
        writer.writeEvents(store)
        del writer
    elif path.suffix == ".npz":
        npz_from_events(path, events, (30, 20))
    else:
        bs2_from_events(path, events)
    return path.read_bytes()


@pytest.mark.parametrize(("suffix", "flips"), [("bs2", 30), ("npz", 30), ("aedat4", 2)])
def test_damaged_files_give_one_error_or_events_inside_and_never_hang(
    tmp_path, monkeypatch, suffix, flips
):
    monkeypatch.setattr(aedat4, "_SILENCE_S", 2.0)
    path = tmp_path / f"a.{suffix}"
    whole = whole_file(path)
    assert len(read_events(path, (30, 20))[0]) == 4000
    rng = np.random.default_rng(0)
    damages = [whole[: len(whole) // 2 - 1], whole[:41]]
    for _ in range(flips):
        flipped = bytearray(whole)
        for at in rng.integers(14, min(len(whole), 1400), 4):
            flipped[at] ^= 1 << rng.integers(8)
        damages.append(bytes(flipped))
    refused = []
    for content in damages:
        path.write_bytes(content)
        began = time.monotonic()
        try:
            events, (width, height) = read_events(path)
            assert events["x"].max() < width and events["y"].max() < height
        except InputError as error:
            assert path.name in str(error) and "\n" not in str(error)
            refused.append(content)
        assert time.monotonic() - began < 10
    assert damages[0] in refused and damages[1] in refused


def test_events_outside_the_given_sensor_are_refused(tmp_path):
    bs2_from_events(tmp_path / "a.bs2", events_from_arrays([5], [100], [3], [1]))
    with pytest.raises(InputError, match="x=100"):
        read_events(tmp_path / "a.bs2", (64, 64))


def test_playback_keeps_to_the_clock_and_the_watermark_goes_on_in_silence():
    source = Recording(events_at(1000, 1500, 101_000), (30, 20), "file:x", speed=1.0)
    began = time.monotonic()
    packets = packets_of(source)
    took = time.monotonic() - began
    assert 0.1 <= took < 0.6
    silent = [p.watermark_us for p in packets if not len(p.events)]
    assert len(silent) > 5
    assert silent == sorted(silent) and 1500 <= silent[0] and silent[-1] <= 101_000


def test_speed_stretches_the_clock():
    def seconds(speed):
        began = time.monotonic()
        packets_of(Recording(events_at(0, 60_000), (30, 20), "file:x", speed=speed))
        return time.monotonic() - began

    assert seconds(0.25) >= 0.24
    assert seconds(4.0) < 0.2
    with pytest.raises(InputError, match="plays nothing"):
        open_recording("whatever.bs2", speed=0)


def test_arrival_is_when_an_event_was_due_not_when_a_late_reader_came():
    source = Recording(events_at(0, 10_000, 20_000), (30, 20), "file:x", speed=1.0)
    first = source.read()
    time.sleep(0.05)
    late = source.read()
    assert late.events["t"].tolist() == [10_000, 20_000]
    assert late.arrival_ns - first.arrival_ns == 20_000_000


def test_a_loop_goes_on_in_time_and_repeats_the_events():
    source = Recording(events_at(500, 700, 30_500), (30, 20), "file:x", loop=True)
    times = joined(packets_of(source, 10))["t"]
    assert (np.diff(times) >= 0).all()
    assert times[:6].tolist() == [500, 700, 30_500, 31_500, 31_700, 61_500]
    source.close()
    assert source.read() is None


def test_a_paced_loop_keeps_the_pace_over_its_laps():
    source = Recording(events_at(0, 19_000), (30, 20), "file:x", speed=1.0, loop=True)
    began = time.monotonic()
    while (packet := source.read()).watermark_us < 100_000:
        assert packet.watermark_us <= (time.monotonic() - began) * 1e6 + 1
    assert 0.1 <= time.monotonic() - began < 0.5


def test_a_late_reader_is_told_nothing_that_the_next_lap_breaks():
    source = Recording(events_at(0, 9_000), (30, 20), "file:x", speed=1.0, loop=True)
    source.read()
    time.sleep(0.02)
    assert source.read().watermark_us == 10_000  # and not the 20 ms that have passed
    assert source.read().events["t"].tolist() == [10_000, 19_000]


def test_an_unsorted_recording_keeps_its_order():
    events = events_at(10, 50, 20, 60, 5_000_000, 3)
    found = joined(packets_of(Recording(events, (30, 20), "file:x", speed=math.inf)))
    assert found["t"].tolist() == events["t"].tolist()


def test_the_bundled_sample_is_a_real_clip_with_its_licence():
    folder = resources.files("edgesnn.apps")
    events, size = read_events(str(folder / "sample_gesture.bs2"))
    assert (len(events), size) == (113_063, (128, 128))
    assert 1_400_000 < events["t"][-1] - events["t"][0] < 1_500_000
    licence = (folder / "SAMPLE_LICENSE.txt").read_text()
    assert "CC BY 4.0" in licence and "IBM" in licence and "DVS128 Gesture" in licence
