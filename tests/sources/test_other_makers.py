"""Recordings of other makers, written as their formats say, are read to the bit."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from other_makers import (
    EVT_HEAD,
    SIZE,
    WRITERS,
    assert_same,
    some_events,
    write_aedat2,
    write_aedat3,
    write_evt2,
    write_evt3,
    written,
)

from edgesnn.errors import InputError
from edgesnn.events import events_from_arrays
from edgesnn.sources import es, prophesee
from edgesnn.sources.evt import Evt3
from edgesnn.sources.reading import read_recording

RECORDINGS = Path(__file__).parents[3] / "shared" / "data" / "recordings"


@pytest.mark.parametrize("name", WRITERS)
def test_each_event_comes_back(tmp_path, name):
    path = written(name, tmp_path, some_events())
    found = read_recording(path, SIZE)
    assert_same(found.events, some_events())


@pytest.mark.parametrize("name", [name for name in WRITERS if not name.endswith((".csv", ".npy"))])
def test_the_sensor_is_known_where_the_file_tells_it(tmp_path, name):
    assert read_recording(written(name, tmp_path, some_events())).size == SIZE


@pytest.mark.parametrize("name", [name for name in WRITERS if name[:3] in ("evt", "dvs", "ati")])
def test_blocks_may_end_anywhere(tmp_path, monkeypatch, name):
    path = written(name, tmp_path, some_events())
    monkeypatch.setattr(prophesee, "_BLOCK_BYTES", 1 << 5)
    monkeypatch.setattr(es, "_BLOCK_BYTES", 7)
    assert_same(read_recording(path).events, some_events())


BINARY = [name for name in WRITERS if not name.endswith((".txt", ".csv", ".h5", ".npy"))]


@pytest.mark.parametrize("name", BINARY)
def test_a_file_that_was_cut_off_says_so_and_gives_what_is_there(tmp_path, name):
    """Each cut ends inside an event, a word or a packet."""
    path = written(name, tmp_path, some_events())
    path.write_bytes(path.read_bytes()[: -3 if "evt3" not in name else -1])
    found = read_recording(path, SIZE)
    assert any("cut off" in note for note in found.notes), found.notes
    assert_same(found.events, some_events()[: len(found.events)])
    assert len(found.events) >= 2000 - 40


@pytest.mark.parametrize(("write", "turn"), [(write_evt3, 1 << 24), (write_evt2, 1 << 34)])
def test_a_clock_that_begins_anew_goes_on(tmp_path, write, turn):
    early = some_events()
    late = some_events(start_us=turn - 30_000, seed=1)
    between = events_from_arrays(*(np.array([value]) for value in (turn * 3 // 4, 5, 5, 1)))
    wanted = np.concatenate([early, between, late]).astype(early.dtype)
    write(tmp_path / "a.raw", wanted, SIZE)
    assert_same(read_recording(tmp_path / "a.raw").events, wanted)


def test_a_time_that_steps_back_is_no_turn_of_the_clock():
    decoder = Evt3()
    words = [0x8005, 0x6010, 0x0005, 0x2007, 0x600E, 0x2008, 0x8004, 0x2009]
    found = decoder.decode(np.array(words, "<u2"))
    assert found["t"].tolist() == [0x5010, 0x500E, 0x400E]


def test_events_before_the_first_time_are_said(tmp_path):
    head = EVT_HEAD.format(evt="3.0", w=128, h=128).encode()
    words = [0x0005, 0x2007, 0x8001, 0x6010, 0x2008]
    (tmp_path / "a.raw").write_bytes(head + struct.pack("<5H", *words))
    found = read_recording(tmp_path / "a.raw")
    assert found.events["x"].tolist() == [8]
    assert any("1 event before the first time" in note for note in found.notes)


def test_silence_at_the_end_is_played(tmp_path):
    write_evt3(tmp_path / "a.raw", some_events(), SIZE)
    with (tmp_path / "a.raw").open("ab") as file:
        file.write(struct.pack("<2H", 0x8000 | 100, 0x6000))
    assert read_recording(tmp_path / "a.raw").until_us == 100 << 12


@pytest.mark.parametrize(
    ("name", "own", "told"),
    [
        ("evt2.raw", "2.0", "3.0"),
        ("evt21.raw", "2.1", "2.0"),
        ("evt21.raw", "2.1", "3.0"),
        ("evt3.raw", "3.0", "2.0"),
        ("evt3.raw", "3.0", "2.1"),
    ],
)
def test_a_head_that_lies_is_refused(tmp_path, name, own, told):
    path = written(name, tmp_path, some_events())
    data = path.read_bytes()
    path.write_bytes(data.replace(f"% evt {own}".encode(), f"% evt {told}".encode()))
    with pytest.raises(InputError, match="words are none of that"):
        read_recording(path)


@pytest.mark.parametrize(
    ("head", "size"),
    [
        ("% evt 3.0\n% format EVT3;height=720;width=1280\n% end\n", (1280, 720)),
        ("% format EVT3;width=320;height=320\n", (320, 320)),
        ("% evt 3.0\n% plugin_name hal_plugin_gen41_evk3\n", (1280, 720)),
        ("% evt 3.0\n% plugin_name hal_plugin_gen31_fx3\n", (640, 480)),
        ("% evt 3.0\n% plugin_name hal_plugin_imx636_evk4\n", (1280, 720)),
    ],
)
def test_heads_of_old_and_new_cameras(tmp_path, head, size):
    words = struct.pack("<4H", 0x8001, 0x6010, 0x0005, 0x2008)
    (tmp_path / "a.raw").write_bytes(head.encode() + words)
    assert read_recording(tmp_path / "a.raw").size == size


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.raw", b"% date x\n% end\n\0\0\0\0", "does not say how it is encoded"),
        ("a.raw", b"% evt 4.0\n\0\0\0\0", "says that it is EVT4"),
        ("a.raw", b"% format HISTO3D;height=320;width=320\n", "says that it is HISTO3D"),
        ("a.raw", bytes(100), "neither a recording of a Prophesee camera"),
        ("a.dat", b"\x01\x02\x03", "no .dat file of Prophesee"),
        ("a.dat", b"% Version 2\n\x0e\x08", "no events of 8 bytes"),
        ("a.es", b"Event Streak" + bytes(20), "no Event Stream file"),
        ("a.es", b"Event Stream\1\0\0\0" + bytes(20), "version 1.0"),
        ("a.es", b"Event Stream\2\0\0\0" + bytes(20), "holds generic data"),
        ("a.es", b"Event Stream\2\0\0\1\4\0\4\0\0\1\0\5\0", "row 5 of a sensor of 4"),
        ("a.aedat", b"#!AER-DAT2.0\r\n# AEChip: a.b.Cochlea64\r\n" + bytes(8), "a.b.Cochlea64"),
        ("a.aedat", b"#!AER-DAT3.1\r\n#Format: Serial-TS\r\n" + bytes(8), "packed as Serial-TS"),
        ("a.aedat", b"#!AER-DAT9.0\r\n" + bytes(8), "version 9"),
        ("a.txt", b"1 2 3 x\n", "line 1 is no event"),
        ("a.txt", b"1 2 3 1\n\n2 3 4\n", "line 3 is no event"),
        ("a.txt", b"1 2 3 1\n2 3.5 4 0\n", "line 2 has x = 3.5"),
        ("a.txt", b"1 70000 3 1\n", "line 1 has x = 70000"),
        ("a.txt", b"1 2 3 1\n2 2 3 7\n", "does not say which of its 4 columns"),
        ("a.csv", b"t,x,y,p\n1,2,3,1\n2,2,3,7\n", "p has the values 1, 7"),
        ("a.csv", b"1,2,3\n", "does not say which of its 3 columns"),
        ("a.txt", b"\x00\x01\x02" * 2000, "line 1 is no event"),
        ("a.h5", b"no HDF5", "cannot be read as HDF5"),
        (
            "a.aedat",
            b"#!AER-DAT3.0\r\n#Format: RAW\r\n#Source 1: Other\r\n" + bytes(28),
            "holds no events|lie",
        ),
        ("a.txt", b"t,x,y,p\n1,2,3,1\n2,2,3,inf\n", "line 3 has p = inf"),
        ("a.npy", b"no array", "not a readable .npy file"),
        ("a.npy", npy(np.zeros((3, 5))), "holds float64 of shape"),
        ("a.npy", npy(np.array(["a"] * 4)), "wanted fields t, x, y, p, or four columns"),
        ("a.npy", npy(np.full((9, 4), 7)), "does not say which of its columns is which"),
        ("a.npy", npy(np.zeros((99, 4)))[:-8], "it is cut off"),
        ("a.npy", npy(np.array([[0, 1, -2, 1]])), "event 0 has y = -2"),
    ],
)
def test_what_is_none_is_refused_in_words(tmp_path, name, data, said):
    if name == "a.h5":
        pytest.importorskip("h5py")
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=said):
        read_recording(tmp_path / name, (16, 16))


@pytest.mark.parametrize("name", ["evt3.raw", "cd.dat", "dvs.es", "caer.aedat"])
def test_a_unit_is_refused_where_the_format_has_its_own(tmp_path, name):
    path = written(name, tmp_path, some_events())
    with pytest.raises(InputError, match="counts in microseconds; leave --time-unit out"):
        read_recording(path, SIZE, "ns")
    assert len(read_recording(path, SIZE, "us").events) == 2000


@pytest.mark.parametrize("kind", ["u4", "u8", "i4", "i8", "f8"])
@pytest.mark.parametrize("order", ["txyp", "xypt", "xytp"])
def test_tables_without_names_are_read_by_what_they_hold(tmp_path, kind, order):
    events = some_events()
    np.save(tmp_path / "a.npy", np.stack([events[name] for name in order], 1).astype(kind))
    assert_same(read_recording(tmp_path / "a.npy", SIZE).events, events)


def test_data_that_begins_like_a_head_are_none(tmp_path):
    """Heads of older cameras do not say where they end."""
    words = [0x8000 | 0x25, 0x6010, 0x0005, 0x2008, 0x600A, 0x2009]
    head = b"% evt 3.0\n% plugin_name hal_plugin_gen41_evk3\n"
    data = struct.pack("<6H", *words)
    assert data.startswith(b"%") and b"\n" in data
    (tmp_path / "a.raw").write_bytes(head + data)
    assert read_recording(tmp_path / "a.raw").events["x"].tolist() == [8, 9]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (
            "a.raw",
            b"% evt 3.0\n% geometry 0x0\n% end\n" + struct.pack("<4H", 0x8001, 0x6010, 5, 0x2008),
        ),
        ("a.dat", b"% Version 2\n% Width 0\n% Height 0\n\x0c\x08" + bytes(8)),
    ],
)
def test_a_sensor_without_pixels_is_not_believed(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match="say it with --sensor WxH"):
        read_recording(tmp_path / name)
    assert len(read_recording(tmp_path / name, SIZE).events) == 1


@pytest.mark.parametrize(
    "size", [(240, 180), (346, 260), (640, 480)], ids=["DAVIS240", "DAVIS346", "DAVIS640"]
)
def test_davis_cameras_of_jaer_and_caer(tmp_path, size):
    events = some_events(size=size)
    write_aedat2(tmp_path / "a.aedat", events, size)
    write_aedat3(tmp_path / "b.aedat", events, size, f"DAVIS{size[0]}C")
    for name in "ab":
        found = read_recording(tmp_path / f"{name}.aedat")
        assert found.size == size
        assert_same(found.events, events)
    assert any("400 events marked as invalid" in note for note in found.notes)


def test_rows_from_the_bottom_need_a_height(tmp_path):
    write_aedat3(tmp_path / "a.aedat", some_events(), SIZE, "another camera", minor=0)
    with pytest.raises(InputError, match="rows count from the bottom, and does not say"):
        read_recording(tmp_path / "a.aedat")
    assert_same(read_recording(tmp_path / "a.aedat", SIZE).events, some_events())


def test_a_clock_of_31_bits_is_turned_by_the_packets(tmp_path):
    events = some_events(start_us=3 << 31)
    write_aedat3(tmp_path / "a.aedat", events, SIZE)
    assert_same(read_recording(tmp_path / "a.aedat").events, events)


@pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings of real cameras are not here")
@pytest.mark.parametrize(
    ("name", "count", "size"),
    [
        ("evt2_sample.raw", 539_481, (640, 480)),
        ("faery_evt2.raw", 521_252, (640, 480)),
        ("evt3_sample.raw", 219_596, (1280, 720)),
        ("dvs.es", 473_225, (320, 240)),
        ("slider_depth_chunk.txt", 50_000, (240, 180)),
        ("sample_ncars.dat", 2_009, (304, 240)),
    ],
)
def test_real_recordings(name, count, size):
    told = None if name.endswith((".raw", ".es")) else size
    found = read_recording(RECORDINGS / name, told)
    assert len(found.events) == count and found.size == size
    if name == "evt3_sample.raw":
        assert_same(found.events, np.load(RECORDINGS / "evt3_sample.npy"))
