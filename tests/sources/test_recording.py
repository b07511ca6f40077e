import math
import time
from importlib import resources

import numpy as np
import pytest
from contract_sources import joined, packets_of
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesnn.errors import InputError
from edgesnn.events import events_from_arrays
from edgesnn.sources import aedat4, recording
from edgesnn.sources.aedat4_write import Aedat4File
from edgesnn.sources.bs2 import LONGEST_US, bs2_from_events, events_from_bs2
from edgesnn.sources.npz_write import npz_from_events
from edgesnn.sources.raw import raw_head
from edgesnn.sources.reading import find_recording, read_events
from edgesnn.sources.recording import Recording, open_recording
from edgesnn.stream.slicer import Slicer


def events_at(*times):
    t = np.array(times)
    return events_from_arrays(t, t % 30, t % 20, t % 2)


def test_bs2_bytes_mean_what_the_format_says(tmp_path):
    # x 5, y 7, ON, t = 0x012345 us; x 127, y 0, OFF, t = 0x7fffff us
    path = tmp_path / "two.bs2"
    path.write_bytes(bytes([5, 7, 0x81, 0x23, 0x45, 127, 0, 0x7F, 0xFF, 0xFF]))
    found = events_from_bs2(path)
    events, size = found.in_memory(), found.size
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


@pytest.mark.parametrize("speed", [100.0, 1e4, 1e6])
def test_a_recording_is_no_longer_at_a_high_speed(tmp_path, speed):
    """A host that is late tells no time behind the recording's end either."""
    t = np.arange(0, 30_000, 100)
    npz_from_events(tmp_path / "a.npz", events_from_arrays(t, t % 9, t % 9, t % 2), (9, 9))
    source = open_recording(tmp_path / "a.npz", speed=speed)
    told = []
    while (packet := source.read()) is not None:
        told.append(packet.watermark_us)
        time.sleep(0.002)
    assert told[-1] == max(told) == t[-1]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.bs2", b"123456", "ends inside an event, at byte 6"),
        ("a.bs2", b"", "is empty"),
        ("a.npz", b"no zip at all", "not a readable .npz"),
        ("a.aedat4", b"RIFFxxxx", "does not begin with #!AER-DAT4.0"),
        ("a.xyz", b"1", "it reads .aedat, .aedat4, .bin, .bs2, .csv, .dat"),
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
        (
            {"height": np.array(-3)},
            "are no whole numbers from 1 to 65536; say the sensor's size with --sensor",
        ),
        ({"t": np.array([{}])}, "not a readable .npz"),
    ],
)
def test_npz_defects(tmp_path, change, message):
    arrays = {"t": np.array([1]), "x": np.array([2]), "y": np.array([3]), "p": np.array([1])}
    arrays |= {"width": np.array(30), "height": np.array(20)} | change
    np.savez(tmp_path / "a.npz", **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(InputError, match=message):
        read_events(tmp_path / "a.npz")


def test_arrays_that_nobody_asked_for_and_sizes_in_other_forms(tmp_path):
    events = events_at(1, 2, 3)
    others = {"meta": np.array({"a": 1}, object), "calib": np.asfortranarray(np.eye(3))}
    sizes = {"width": np.array([30]), "height": np.array(20.0)}
    np.savez(tmp_path / "a.npz", events=events, **others, **sizes)
    found, size = read_events(tmp_path / "a.npz")
    assert found["t"].tolist() == [1, 2, 3] and size == (30, 20)


def test_our_own_raw_files_count_in_microseconds(tmp_path):
    path = tmp_path / "a.raw"
    path.write_bytes(raw_head((30, 20)) + events_at(1, 2, 3).tobytes())
    assert len(read_events(path)[0]) == 3
    with pytest.raises(InputError, match="leave --time-unit out"):
        find_recording(path, None, "ms")


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


def clip_twice():
    """Ten events 6 ms apart; then the sensor's clock restarts and they come again."""
    times = range(5_000_000, 5_060_000, 6_000)
    return events_at(*times, *(t - 5_000_000 for t in times))


def test_playback_goes_on_at_its_pace_after_the_clock_jumped_back():
    events = clip_twice()
    source = Recording(events, (30, 20), "file:x", speed=1.0)
    began = time.monotonic()
    packets = packets_of(source)
    assert 0.1 < time.monotonic() - began < 0.6
    assert joined(packets)["t"].tolist() == events["t"].tolist()
    second = [p for p in packets if p.watermark_us < 5_000_000]
    assert sum(len(p.events) for p in second) >= 9
    for some in (packets[: -len(second)], second):  # truthful in either life of the sensor
        for now, later in zip(some, some[1:], strict=False):
            assert now.watermark_us <= later.watermark_us
            assert not len(later.events) or later.events["t"].min() >= now.watermark_us


@pytest.mark.parametrize("speed", [math.inf, 20.0])
def test_laps_of_a_recording_with_a_jump_follow_each_other_without_a_gap(speed):
    events = clip_twice()
    source = Recording(events, (30, 20), "file:x", speed=speed, loop=True)
    packets = []
    while sum(len(p.events) for p in packets) < 50:
        packets.append(source.read())
    times = joined(packets)["t"]
    assert (times[:20] == events["t"]).all()
    assert times[20] - times[19] == 1000  # the second lap begins where the first one ended
    assert (np.diff(times[20:40]) == np.diff(events["t"])).all()
    slicer = Slicer(10_000)
    steps = [step for packet in packets for step in slicer.feed(packet)]
    assert slicer.late == 0 and slicer.skipped_steps == 0
    assert slicer.jumps_back == 3 and len(steps) < 40


def test_a_late_reader_gets_packets_of_bounded_size(monkeypatch):
    monkeypatch.setattr(recording, "_CHUNK_EVENTS", 100)
    source = Recording(events_at(*range(1000)), (30, 20), "file:x", speed=1.0)
    source.read()
    time.sleep(0.005)
    packets = packets_of(source)
    assert max(len(p.events) for p in packets) == 100
    assert all(p.watermark_us <= p.events["t"][-1] + 1 for p in packets[:-1])


@pytest.mark.parametrize("far", [2**63 - 1, -(2**63), 2**53])
def test_a_time_that_no_clock_tells_is_refused(tmp_path, far):
    t = np.array([5, far, 7])
    npz_from_events(tmp_path / "a.npz", events_from_arrays(t, t * 0, t * 0, t * 0), (30, 20))
    with pytest.raises(InputError, match=f"event 1 is at t={far} us, which no clock tells"):
        read_events(tmp_path / "a.npz")
    t[1] = 1_700_000_000_000_000  # Unix time in microseconds is one
    npz_from_events(tmp_path / "a.npz", events_from_arrays(t, t * 0, t * 0, t * 0), (30, 20))
    assert len(read_events(tmp_path / "a.npz")[0]) == 3


def test_aedat4_of_a_real_camera_with_frames_and_imu_beside_its_events(shared_data):
    pytest.importorskip("dv_processing")
    events, size = read_events(shared_data("recordings/davis_sample.aedat4"))
    assert (len(events), size) == (111_954, (320, 240))
    assert events.flags.aligned
    assert (np.diff(events["t"]) >= 0).all()


def test_bin_of_n_mnist(shared_data):
    events, size = read_events(shared_data("recordings/sample_nmnist.bin"))
    assert (len(events), size) == (4325, (34, 34))
    assert events[0].tolist()[0] == 654


def event_lists(most):
    event = st.tuples(*(st.integers(0, top) for top in most))
    return st.lists(event, min_size=1, max_size=60)


@settings(max_examples=40, deadline=None)
@given(rows=event_lists((LONGEST_US, 255, 255, 1)))
def test_any_events_survive_bs2_and_npz(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("round")
    rows = sorted(rows, key=lambda row: row[0])  # in any other order they would be put in order
    events = events_from_arrays(*np.array(rows).T)
    bs2_from_events(folder / "a.bs2", events)
    npz_from_events(folder / "a.npz", events, (256, 256))
    for suffix in ("bs2", "npz"):
        found, size = read_events(folder / f"a.{suffix}", (256, 256))
        assert (found.tolist(), size) == (rows, (256, 256))


@settings(max_examples=4, deadline=None)
@given(rows=event_lists((2**52, 639, 479, 1)))
def test_sorted_events_survive_aedat4(tmp_path_factory, rows):
    pytest.importorskip("dv_processing")
    rows.sort(key=lambda row: row[0])
    file = Aedat4File(path := tmp_path_factory.mktemp("round") / "a.aedat4", "x", (640, 480))
    file.write(events_from_arrays(*np.array(rows).T))
    file.close()
    found, size = read_events(path)
    assert (found.tolist(), size) == (rows, (640, 480))


def test_the_bundled_sample_is_a_real_clip_with_its_licence():
    folder = resources.files("edgesnn.apps.gesture")
    events, size = read_events(str(folder / "sample_gesture.bs2"))
    assert (len(events), size) == (113_063, (128, 128))
    assert 1_400_000 < events["t"][-1] - events["t"][0] < 1_500_000
    licence = (folder / "SAMPLE_LICENSE.txt").read_text()
    assert "CC BY 4.0" in licence and "IBM" in licence and "DVS128 Gesture" in licence
