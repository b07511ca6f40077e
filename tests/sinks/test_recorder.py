import threading

import numpy as np
import pytest

from edgesnn.errors import InputError, RunError
from edgesnn.events import Packet, empty_events, events_from_arrays
from edgesnn.sinks.recorder import Recorder
from edgesnn.sources.aedat4_write import Aedat4File
from edgesnn.sources.reading import read_events
from edgesnn.stream.sink import RunInfo


def info(can_wait=True):
    return RunInfo("camera:DVX_1", (64, 48), "gesture", "reference", 25_000, ("a",), can_wait)


def packet(*times):
    t = np.array(times)
    return Packet(events_from_arrays(t, t % 64, t % 48, t % 2), int(t[-1]), 0)


@pytest.mark.parametrize("suffix", ["npz", "aedat4"])
def test_what_was_heard_is_read_back(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    recorder = Recorder(path)
    recorder.open(info(), None)
    recorder.packet(packet(5, 7, 7, 900))
    recorder.packet(Packet(empty_events(), 1000, 0))
    recorder.packet(packet(1200))
    recorder.close(None)
    events, size = read_events(path)
    assert size == (64, 48)
    assert events.tolist() == [
        tuple(e)
        for e in np.concatenate([packet(5, 7, 7, 900).events, packet(1200).events]).tolist()
    ]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_aedat4_goes_on_after_a_jump_back(tmp_path):
    recorder = Recorder(tmp_path / "a.aedat4")
    recorder.open(info(), None)
    recorder.packet(packet(5_000_000, 6_000_000))
    recorder.packet(packet(10, 20))
    recorder.packet(packet(25))
    recorder.close(None)
    events, _ = read_events(tmp_path / "a.aedat4")
    assert events["t"].tolist() == [5_000_000, 6_000_000, 6_000_000, 6_000_010, 6_000_015]


def test_late_events_do_not_move_the_clock_of_an_aedat4_and_are_told(tmp_path, capsys):
    recorder = Recorder(tmp_path / "a.aedat4")
    recorder.open(info(), None)
    for first in range(1000, 9000, 1000):  # each packet begins half a millisecond before its time
        recorder.packet(packet(first - 500, first, first + 900))
    recorder.close(None)
    events, _ = read_events(tmp_path / "a.aedat4")
    assert events["t"].tolist()[:6] == [500, 1000, 1900, 1900, 2000, 2900]
    assert events["t"][-1] == 8900
    assert "7 events of a.aedat4 have other times" in capsys.readouterr().err


def test_an_npz_without_events_is_still_a_recording_of_the_sensor(tmp_path):
    recorder = Recorder(tmp_path / "a.npz")
    recorder.open(info(), None)
    recorder.close(None)
    with np.load(tmp_path / "a.npz") as file:
        assert len(file["t"]) == 0 and int(file["width"]) == 64


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.txt", "must end in .aedat4 or .npz"), ("none/a.npz", "there is no folder")],
)
def test_names_that_cannot_be_written_are_refused_at_once(tmp_path, name, message):
    with pytest.raises(InputError, match=message):
        Recorder(tmp_path / name).open(info(), None)


def test_a_folder_is_refused(tmp_path):
    (tmp_path / "a.npz").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        Recorder(tmp_path / "a.npz")


def test_an_unwritable_file_is_refused_at_open(tmp_path):
    (tmp_path / "a.npz.raw").mkdir()
    with pytest.raises(InputError, match="a.npz.raw is there"):
        Recorder(tmp_path / "a.npz").open(info(), None)


class Slow:
    """A writer that waits for permission."""

    def __init__(self):
        self.go, self.written = threading.Event(), 0

    def write(self, events):
        self.go.wait(10)
        self.written += len(events)

    def close(self):
        pass


def started(monkeypatch, writer, can_wait, tmp_path):
    monkeypatch.setattr("edgesnn.sinks.recorder._NpzWriter", lambda path, size: writer)
    monkeypatch.setattr("edgesnn.sinks.recorder._QUEUED_PACKETS", 4)
    recorder = Recorder(tmp_path / "a.npz")
    recorder.open(info(can_wait), None)
    return recorder


def test_a_slow_writer_leaves_out_live_packets_and_says_how_many(monkeypatch, tmp_path, capsys):
    writer = Slow()
    recorder = started(monkeypatch, writer, False, tmp_path)
    for i in range(20):
        recorder.packet(packet(i))
    assert recorder.left_out >= 15
    writer.go.set()
    recorder.close(None)
    assert writer.written + recorder.left_out == 20
    assert f"lacks {recorder.left_out} events" in capsys.readouterr().err


def test_a_recording_waits_for_a_slow_writer(monkeypatch, tmp_path):
    writer = Slow()
    recorder = started(monkeypatch, writer, True, tmp_path)
    threading.Timer(0.1, writer.go.set).start()
    for i in range(20):
        recorder.packet(packet(i))
    recorder.close(None)
    assert (writer.written, recorder.left_out) == (20, 0)


def test_a_failed_write_ends_the_run_with_a_reason(monkeypatch, tmp_path):
    class Broken(Slow):
        def write(self, events):
            raise OSError("disk full")

    recorder = started(monkeypatch, Broken(), True, tmp_path)
    with pytest.raises(RunError, match="failed: disk full"):
        for i in range(50):
            recorder.packet(packet(i))
    with pytest.raises(RunError, match="disk full"):
        recorder.close(None)


@pytest.mark.parametrize("suffix", ["npz", "aedat4"])
def test_the_recording_being_played_is_not_replaced(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"precious")
    with pytest.raises(InputError, match="is the recording being played"):
        Recorder(tmp_path / "." / path.name, playing=path)
    Recorder(tmp_path / f"b.{suffix}", playing=path)
    Recorder(path, playing=tmp_path / "gone.bs2")
    assert path.read_bytes() == b"precious"


def test_an_aedat4_can_be_read_while_it_is_written(tmp_path):
    file = Aedat4File(tmp_path / "a.aedat4", "<DVX & 1>", (64, 48))
    file.write(packet(*range(25_000)).events)
    events, size = read_events(tmp_path / "a.aedat4")
    file.close()
    assert size == (64, 48)
    assert events["t"].tolist() == list(range(25_000))


def test_a_cut_off_aedat4_keeps_what_was_written_before(tmp_path):
    path = tmp_path / "a.aedat4"
    file = Aedat4File(path, "DVX_1", (64, 48))
    for first in range(0, 300, 100):
        file.write(packet(*range(first, first + 100)).events)
    file.close()
    path.write_bytes(path.read_bytes()[:-7])
    assert read_events(path)[0]["t"].tolist() == list(range(200))


def test_dv_processing_reads_what_we_write_and_writes_the_same_packets(tmp_path):
    dv = pytest.importorskip("dv_processing")
    ours, theirs = tmp_path / "ours.aedat4", tmp_path / "theirs.aedat4"
    file = Aedat4File(ours, "DVX_1", (64, 48))
    file.write(packet(3, 5, 8).events)
    file.close()
    recording = dv.io.MonoCameraRecording(str(ours))
    assert (recording.getCameraName(), recording.getEventResolution()) == ("DVX_1", (64, 48))
    config = dv.io.MonoCameraWriter.EventOnlyConfig("DVX_1", (64, 48), dv.CompressionType.NONE)
    writer = dv.io.MonoCameraWriter(str(theirs), config)
    store = dv.EventStore()
    for event in packet(3, 5, 8).events.tolist():
        store.push_back(*event)
    writer.writeEvents(store)
    del writer
    last_packet = ours.read_bytes()[-(40 + 3 * 16) :]
    assert last_packet in theirs.read_bytes()
