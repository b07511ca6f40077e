import io
import json
import os
import threading
import time

import pytest
from contract_sinks import INFO, NOTHING, RIGHT, SUMMARY, FixedMonitor, packets

from edgesnn.errors import RunError
from edgesnn.sinks.json_lines import JsonLines


def test_the_contract_to_the_letter() -> None:
    out = io.StringIO()
    sink = JsonLines(out, threading.Event())
    sink.open(INFO, FixedMonitor())
    sink.decision(RIGHT)
    sink.decision(NOTHING)
    sink.close(SUMMARY)
    assert out.getvalue().splitlines() == [
        '{"type": "decision", "t_us": 120000, "index": 1, "label": "right", "confidence": 0.875, '
        '"latency_us": 412.5}',
        '{"type": "decision", "t_us": 900000, "index": -1, "label": "no gesture", '
        '"confidence": 1.0, "latency_us": 380.0}',
        '{"type": "summary", "source": "file:wave.npz", "model": "gesture", '
        '"backend": "reference", "events": 1234, "dropped": 5, "late": 6, "steps": 78, '
        '"latency_us": {"p50": 400.0, "p99": 900.0, "p999": 1500.0, "max": 2000.0}, '
        '"realtime_factor": 1.0, "decision": "right", "steps_rested": 0, "notes": [], '
        '"late_steps": 0, "jumps_back": 0, "filtered": 0, "queued": 0, "answers": null, '
        '"held_s": {}}',
    ]


def test_each_line_is_there_at_once_and_a_failed_run_has_no_summary() -> None:
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "w") as out, os.fdopen(ours) as read:
        sink = JsonLines(out, threading.Event())
        sink.decision(RIGHT)
        assert json.loads(read.readline())["label"] == "right"
        sink.close(None)
        out.close()
        assert read.read() == ""


def test_a_reader_that_leaves_stops_the_run() -> None:
    ours, theirs = os.pipe()
    stop = threading.Event()
    with os.fdopen(theirs, "w") as out:
        sink = JsonLines(out, stop)
        sink.packet(packets()[0])
        assert not stop.is_set()
        os.close(ours)
        time.sleep(0.11)
        sink.packet(packets()[0])  # with no decision to write
        assert stop.is_set()
        sink.decision(RIGHT)
        sink.close(SUMMARY)


def test_a_reader_that_leaves_is_met_in_writing() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    stop = threading.Event()
    out = os.fdopen(theirs, "w")
    JsonLines(out, stop).decision(RIGHT)
    assert stop.is_set()
    with pytest.raises(BrokenPipeError):
        out.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_a_run_error() -> None:
    out = open("/dev/full", "w")
    with pytest.raises(RunError, match="cannot be written: .*No space left"):
        JsonLines(out, threading.Event()).decision(RIGHT)
    with pytest.raises(OSError, match="No space left"):
        out.close()
