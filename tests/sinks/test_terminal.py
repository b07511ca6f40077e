import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fcntl import ioctl
from pathlib import Path
from struct import pack
from termios import TIOCSWINSZ
from typing import TextIO

import numpy as np
import programs
import pytest
from contract_sinks import INFO, LABELS, NOTHING, RIGHT, SUMMARY, FixedMonitor, snapshot
from rich.console import Console

from edgesnn.quantize.save import save_bundle
from edgesnn.sinks.picture import picture, picture_size
from edgesnn.sinks.screen import screen
from edgesnn.sinks.terminal import PlainLines, TerminalView, summary_lines, terminal_sink
from edgesnn.stream.sink import Snapshot

ENTER, LEAVE, HIDE, SHOW = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25l", "\x1b[?25h"


def text_of(shown: Snapshot | None, width: int, height: int) -> list[str]:
    with open(os.devnull, "w") as nowhere:
        console = Console(file=nowhere, width=width, height=height)
        lines = screen(INFO, shown, [RIGHT], console, (width, height))
        return ["".join(segment.text for segment in line) for line in lines]


class Terminal:
    """A pseudo-terminal: `out` is what a program writes to, `told` what it wrote."""

    def __init__(self, ours: int, out: TextIO) -> None:
        self.ours, self.out, self.told = ours, out, ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while data := os.read(self.ours, 65536):
                self.told += data.decode(errors="replace")
        except OSError:
            pass

    def resize(self, columns: int, rows: int) -> None:
        ioctl(self.ours, TIOCSWINSZ, pack("HHHH", rows, columns, 0, 0))

    def wait_for(self, text: str, seconds: float = 5) -> None:
        until = time.monotonic() + seconds
        while text not in self.told:
            assert time.monotonic() < until, f"{text!r} did not come; got {self.told!r}"
            time.sleep(0.01)

    def finish(self) -> None:
        self.out.close()
        self._reader.join(5)
        os.close(self.ours)


@contextmanager
def a_terminal(columns: int = 80, rows: int = 24) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    terminal = Terminal(ours, os.fdopen(theirs, "w"))
    terminal.resize(columns, rows)
    yield terminal
    terminal.finish()


def test_the_screen_says_everything_on_80_by_24() -> None:
    lines = text_of(snapshot(), 80, 24)
    assert len(lines) == 24 and max(map(len, lines)) <= 80
    assert "gesture" in lines[0] and "file:wave.npz" in lines[0]
    assert "reference" in lines[0] and "10 ms steps" in lines[0]
    text = "\n".join(lines)
    assert "right  88 %" in text
    assert "68.5 k/s" in text and "▁▂▅█" in text
    assert "0.40 ms p50" in text and "0.90 ms p99" in text
    assert "late    2 steps" in text and "dropped 0 events" in text
    assert "0.12 s right" in text
    assert "78 steps" in lines[-1] and "Ctrl-C ends" in lines[-1]
    assert "▀" in text


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (20, 4), (40, 10), (60, 15), (81, 25), (250, 80)])
@pytest.mark.parametrize("shown", [None, snapshot()], ids=["nothing yet", "running"])
def test_no_size_overflows(size: tuple[int, int], shown: Snapshot | None) -> None:
    lines = text_of(shown, *size)
    assert len(lines) <= max(size[1], 3) and max(map(len, lines)) <= max(size[0], 4)


def test_small_terminals_keep_the_answer() -> None:
    assert text_of(snapshot(), 20, 3) == ["right  88 %         "]
    assert "right  88 %" in "\n".join(text_of(snapshot(), 30, 6))
    assert "▀" not in "\n".join(text_of(snapshot(), 45, 24))


def test_drops_stand_out_and_silence_does_not() -> None:
    assert "dropped 12 k events" in "\n".join(text_of(snapshot(dropped=12_000), 80, 24))
    assert "no gesture" in "\n".join(text_of(snapshot(NOTHING), 80, 24))


def test_a_picture_pairs_pixels_into_half_blocks() -> None:
    frame = np.zeros((2, 4, 3), np.uint8)
    frame[1, 0, 0] = frame[0, 3, 1] = frame[0, 2, 2] = frame[1, 3, 2] = 9
    rows = picture(frame, 3, 2)
    assert ["".join(segment.text for segment in row) for row in rows] == ["▀  ", " ▄▀"]
    on, off = rows[0][0].style, rows[1][1].style
    assert on is not None and off is not None
    assert on.color is not None and off.color is not None
    assert (on.color.name, off.color.name) == ("#ffb454", "#59a8ff")
    both = rows[1][2].style
    assert both is not None and both.bgcolor == on.color and both.color == off.color


def test_a_picture_keeps_its_shape_and_its_events() -> None:
    assert picture_size((128, 128), 40, 100) == (40, 20)
    assert picture_size((640, 480), 1000, 24) == (64, 24)
    assert picture_size((64, 64), 1000, 1000) == (64, 32)
    frame = np.zeros((2, 128, 128), np.uint8)
    frame[1, 127, 127] = 255
    assert picture(frame, 40, 20)[-1][-1].text == "▄"


def test_the_view_gives_the_terminal_back() -> None:
    with a_terminal() as terminal:
        sink = TerminalView(terminal.out, threading.Event())
        sink.open(INFO, FixedMonitor())
        sink.decision(RIGHT)
        terminal.wait_for("Ctrl-C ends")
        sink.close(SUMMARY)
        terminal.wait_for("6 late")
        told = terminal.told
    assert told.count(ENTER) == told.count(LEAVE) == 1
    assert told.index(ENTER) < told.index(HIDE) < told.index(SHOW) < told.index(LEAVE)
    after = told[told.index(LEAVE) + len(LEAVE) :]
    assert after.replace("\r\n", "\n") == (
        "right  (file:wave.npz, gesture on reference)\n"
        "  latency  p50 0.40 ms, p99 0.90 ms, max 2.00 ms\n"
        "  steps    78, 0 late, at 1 x real time\n"
        "  events   1,234, 5 dropped, 6 late\n"
    )


def test_a_summary_says_what_was_held_where_there_was_more_than_one_thing() -> None:
    one, more = (replace(SUMMARY, held_s=held) for held in ({"up": 3.0}, {"up": 3.0, "left": 0.25}))
    assert not any("held" in line for line in summary_lines(one))
    assert summary_lines(more)[1] == "  held     up 3.0 s, left 0.2 s"


def test_a_failed_run_gives_the_terminal_back_too() -> None:
    with a_terminal() as terminal:
        sink = TerminalView(terminal.out, threading.Event())
        sink.open(INFO, FixedMonitor())
        sink.close(None)
        terminal.wait_for(LEAVE)
        assert terminal.told.endswith(LEAVE)


def test_the_view_follows_the_size_of_the_terminal() -> None:
    with a_terminal(columns=20, rows=3) as terminal:
        sink = TerminalView(terminal.out, threading.Event())
        sink.open(INFO, FixedMonitor())
        terminal.wait_for("right")
        assert "Ctrl-C ends" not in terminal.told
        terminal.resize(100, 30)
        terminal.wait_for("Ctrl-C ends")
        sink.close(SUMMARY)


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"NO_COLOR": "1", "TERM": "xterm"}])
def test_a_terminal_without_colours_gets_lines(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with a_terminal() as terminal:
        assert isinstance(terminal_sink(terminal.out, threading.Event()), TerminalView)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert isinstance(terminal_sink(terminal.out, threading.Event()), PlainLines)


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    sink = terminal_sink(sys.stdout, threading.Event())
    sink.open(replace(INFO, labels=LABELS), FixedMonitor())
    sink.decision(RIGHT)
    sink.close(None)
    assert capsys.readouterr().out == (
        "edgesnn gesture: file:wave.npz (64x48), reference, 10 ms steps\n"
        "    0.120 s  right  88 %  (0.41 ms)\n"
    )


def test_ctrl_c_gives_the_terminal_back(tmp_path: Path) -> None:
    given = (programs.gesture_shaped(), programs.ENCODER, programs.READOUT, {"task": "none"})
    save_bundle(tmp_path, "gesture", *given)
    line = ["run", "gesture", "--loop", "--model", str(tmp_path / "gesture.json")]
    with a_terminal() as terminal:
        running = subprocess.Popen(
            [sys.executable, "-m", "edgesnn", *line],
            stdout=terminal.out,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TERM": "xterm-256color", "NO_COLOR": ""},
        )
        terminal.wait_for("Ctrl-C ends", 20)
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=20)
        terminal.wait_for(" dropped, 0 late")
    assert running.returncode == 130 and told.count("\n") == 1 and "no source given" in told
    assert terminal.told.count(ENTER) == terminal.told.count(LEAVE) == 1
    assert terminal.told.count(HIDE) == terminal.told.count(SHOW) == 1
    assert "latency  p50" in terminal.told[terminal.told.index(LEAVE) :]
