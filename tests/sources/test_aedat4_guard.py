import sys
import time

import numpy as np
import pytest

from edgesnn.errors import InputError, MissingDependency
from edgesnn.events import events_from_arrays
from edgesnn.sources import aedat4 as module
from edgesnn.sources.aedat4 import events_from_aedat4
from edgesnn.sources.aedat4_write import Aedat4File
from edgesnn.sources.recording import open_recording


@pytest.fixture
def decoder(monkeypatch, tmp_path):
    """Return a function that puts a program in place of the decoder; gives a file to decode."""

    def replace(program):
        script = tmp_path / "decoder.py"
        script.write_text("import sys, time\nout = sys.stdout.buffer\n" + program)
        popen = module.subprocess.Popen

        def started(command, **options):
            return popen([sys.executable, str(script)], **options)

        monkeypatch.setattr(module.subprocess, "Popen", started)
        monkeypatch.setattr(module, "_SILENCE_S", 1.0)
        path = tmp_path / "a.aedat4"
        path.write_bytes(module._MAGIC + bytes(50))
        return path

    pytest.importorskip("dv_processing")
    return replace


def test_events_and_size_come_through(decoder):
    path = decoder("out.write(b'[[5, 4], []]\\n' + bytes(32))")
    found = events_from_aedat4(path)
    events, size = found.in_memory(), found.size
    assert (size, events.tolist()) == ((5, 4), [(0, 0, 0, 0)] * 2)


def test_other_streams_of_events_are_named(decoder):
    path = decoder("out.write(b'[[5, 4], [\"events2\"]]\\n' + bytes(16))")
    note = "other streams of events in it were not read: events2"
    assert note in events_from_aedat4(path).notes


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("print('several streams', file=sys.stderr); sys.exit(4)", "decoded: several streams$"),
        ("while True: pass", "nothing came for 1 s"),
        ("out.write(b'[[5, 4], []]\\n'); out.flush(); time.sleep(60)", "nothing came for 1 s"),
        ("out.close(); sys.stdout = None; import os; os.close(1); time.sleep(60)", "does not end"),
        ("import os; os.abort()", "the decoder crashed; the file is damaged"),
        ("print('bad table', file=sys.stderr); sys.exit(3)", "decoded: bad table; the file"),
        ("while True: out.write(bytes(100_000))", "decodes to more than it can hold"),
        ("out.write(b'[[5, 4], []]\\n' + bytes(17))", "stopped inside an event"),
        ("out.write(b'null\\n')", "does not say how large"),
        ("pass", "does not say how large"),
    ],
)
def test_whatever_the_decoder_does_is_one_error_in_time(decoder, program, message):
    path = decoder(program)
    began = time.monotonic()
    with pytest.raises(InputError, match=message):
        events_from_aedat4(path)
    assert time.monotonic() - began < 8


def test_a_decoder_that_hangs_is_gone_afterwards(decoder, monkeypatch):
    path = decoder("while True: pass")
    started, popen = [], module.subprocess.Popen
    monkeypatch.setattr(
        module.subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[0]
    )
    with pytest.raises(InputError):
        events_from_aedat4(path)
    assert started[0].returncode == -9


def test_a_module_that_lies_where_the_user_is_is_not_imported(tmp_path, monkeypatch):
    pytest.importorskip("dv_processing")
    for name in ("json", "numpy", "signal", "edgesnn"):
        (tmp_path / f"{name}.py").write_text("open('imported', 'w')\nraise SystemExit(9)\n")
    file = Aedat4File(tmp_path / "a.aedat4", "x", (5, 4))
    file.write(events_from_arrays([3], [1], [2], [1]))
    file.close()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])
    assert events_from_aedat4(tmp_path / "a.aedat4").in_memory().tolist() == [(3, 1, 2, 1)]
    assert not (tmp_path / "imported").exists()


def test_without_dv_processing_the_pip_line_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    (tmp_path / "a.aedat4").write_bytes(module._MAGIC)
    with pytest.raises(MissingDependency, match='pip install "dv-processing>=2"'):
        events_from_aedat4(tmp_path / "a.aedat4")


@pytest.mark.parametrize("lost", [1, 500, 170_000])
def test_a_cut_aedat4_says_how_much_of_it_is_lost(tmp_path, lost):
    pytest.importorskip("dv_processing")
    n = 25_000
    events = events_from_arrays(np.arange(n) * 10, np.arange(n) % 64, np.arange(n) % 48, np.ones(n))
    file = Aedat4File(tmp_path / "a.aedat4", "x", (64, 48))
    file.write(events)
    file.close()
    assert open_recording(tmp_path / "a.aedat4").notes() == ()
    data = (tmp_path / "a.aedat4").read_bytes()
    (tmp_path / "a.aedat4").write_bytes(data[:-lost])
    source = open_recording(tmp_path / "a.aedat4")
    kept = sum(len(packet.events) for packet in iter(source.read, None))
    assert kept == (20_000 if lost < 80_000 else 10_000)
    (note,) = source.notes()
    assert "cut off" in note and f"of {len(data) - lost:,} bytes" in note


def test_the_silence_at_the_end_is_played_too(tmp_path):
    pytest.importorskip("dv_processing")
    path = tmp_path / "a.aedat4"
    file = Aedat4File(path, "x", (5, 4))
    file.write(events_from_arrays([3, 90], [1, 1], [2, 2], [1, 0]))
    file.until_us = 70_000
    file.close()
    last = None
    source = open_recording(path)
    for packet in iter(source.read, None):
        last = packet.watermark_us
    assert last == 70_000 and source.notes() == ()
