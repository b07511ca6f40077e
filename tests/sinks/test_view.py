"""What the view promises to eyes: order of shades on any terminal, fixed rows, marks and keys."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from contract_sinks import INFO, LABELS, snapshot
from rich.color import Color
from rich.console import Console

from edgesnn.sinks.picture import Palette, colour, palette_of
from edgesnn.sinks.screen import screen


def luminance(name: str) -> float:
    red, green, blue = Color.parse(name).get_truecolor()
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("palette", ["dark", "light"])
@pytest.mark.parametrize("sign", [1, -1])
def test_more_events_are_further_from_the_background(palette: Palette, sign: int) -> None:
    shades = [luminance(colour(sign * shade, palette)) for shade in (1, 2, 3, 4)]
    distance = [abs(shade - (255 if palette == "light" else 0)) for shade in shades]
    assert distance == sorted(distance) and len(set(distance)) == 4


@pytest.mark.parametrize("palette", ["dark16", "light16"])
def test_sixteen_colours_keep_polarity_and_order(palette: Palette) -> None:
    on, off = ([colour(sign * shade, palette) for shade in (1, 2, 3, 4)] for sign in (1, -1))
    assert all("yellow" in name for name in on) and all("blue" in name for name in off)
    assert on[0] == on[1] != on[2] == on[3]


@pytest.mark.parametrize(
    ("colours", "background", "palette"),
    [
        ("truecolor", None, "dark"),
        ("truecolor", "0;15", "light"),
        ("256", "0;default;7", "light"),
        ("standard", "0;15", "light16"),
        ("standard", "15;0", "dark16"),
        ("standard", "nonsense", "dark16"),
        ("truecolor", "15;8", "dark"),
    ],
)
def test_the_palette_follows_the_terminal(
    colours: str, background: str | None, palette: Palette
) -> None:
    assert palette_of(colours, background) == palette


def drawn(shares: list[float], state: str = "") -> list[str]:
    shown = replace(snapshot(), probabilities=np.array(shares))
    info = replace(INFO, threshold=0.8)
    console = Console(width=100, force_terminal=True, color_system="truecolor")
    lines = screen(info, shown, (), console, (100, 28), state=state)
    return ["".join(segment.text for segment in line) for line in lines]


def test_classes_stay_in_their_rows_and_the_threshold_is_marked() -> None:
    def rows(lines: list[str]) -> list[int]:
        return [next(i for i, line in enumerate(lines) if label[:14] in line) for label in LABELS]

    first, second = drawn([0.7, 0.2, 0.1]), drawn([0.05, 0.15, 0.8])
    assert rows(first[4:]) == rows(second[4:])
    assert sum("│" in line for line in first) == 1 + len(LABELS)


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """Return the contrast ratio of two colours (WCAG 2.2)."""

    def light(colour: tuple[int, ...]) -> float:
        shares = [value / 255 for value in colour]
        r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in shares)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("state", ["", "paused"])
@pytest.mark.parametrize(("palette", "ground"), [("dark", (0, 0, 0)), ("light", (255, 255, 255))])
def test_what_is_said_is_readable_on_its_background(palette: Palette, ground, state: str) -> None:
    shown = replace(snapshot(), probabilities=np.array([0.9, 0.06, 0.04]), dropped=7)
    info = replace(INFO, threshold=0.8)
    console = Console(width=100, force_terminal=True, color_system="truecolor")
    seen = {}
    for line in screen(info, shown, (), console, (100, 28), palette, state):
        for segment in line:
            style = segment.style
            if style is None or style.color is None or not segment.text.strip(" ▀▄■"):
                continue
            behind = style.bgcolor.get_truecolor() if style.bgcolor else ground
            seen[segment.text] = contrast(style.color.get_truecolor(), behind)
    said = " ".join(seen)
    for word in ("edgesnn", shown.decision.label, "7", "█", "│", *(["paused"] if state else [])):
        assert word in said
    assert min(seen.values()) >= 4.5, seen


def test_help_and_pause_are_said() -> None:
    assert any("hold the view still" in line for line in drawn([0.7, 0.2, 0.1], "help"))
    assert "80 %" in " ".join(drawn([0.7, 0.2, 0.1], "help"))
    assert "paused" in drawn([0.7, 0.2, 0.1], "paused")[-1]
    assert "ON" in drawn([0.7, 0.2, 0.1])[-1]


class OnTerminal:
    """A run in a terminal of its own; told: what it has drawn."""

    def __init__(self, size: tuple[int, int] = (30, 100)) -> None:
        self.ours, self.theirs = pty.openpty()
        termios.tcsetwinsize(self.theirs, size)
        self.before = termios.tcgetattr(self.theirs)
        environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
        environment.pop("NO_COLOR", None)
        self.child = subprocess.Popen(
            [sys.executable, "-m", "edgesnn", "run", "gesture", "--loop"],
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=subprocess.PIPE,
            env=environment,
            preexec_fn=_own_terminal,
        )
        self.told = bytearray()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            while part := os.read(self.ours, 65536):
                self.told.extend(part)
        except OSError:
            pass

    def seen(self, text: bytes) -> bool:
        until = time.monotonic() + 20
        while text not in self.told and time.monotonic() < until:
            time.sleep(0.05)
        return text in self.told

    def close(self) -> None:
        self.child.kill()
        self.child.communicate()
        for number in (self.theirs, self.ours):
            with contextlib.suppress(OSError):
                os.close(number)


@pytest.mark.parametrize("size", [(30, 100), (0, 0)], ids=["told", "not told"])
def test_keys_of_a_real_terminal(size: tuple[int, int]) -> None:
    """? shows the help, q ends the run, and the terminal is as it was."""
    run = OnTerminal(size)
    assert run.seen(b"ON"), bytes(run.told[-500:])
    os.write(run.ours, b"?")
    assert run.seen(b"hold the view still")
    os.write(run.ours, b"q")
    assert run.child.wait(20) == 0
    assert run.seen(b"\x1b[?1049l")
    assert termios.tcgetattr(run.theirs)[:4] == run.before[:4]
    run.close()


def test_a_terminal_that_was_stopped_does_not_hold_a_run() -> None:
    """Ctrl-S: what is drawn waits, and the run still ends in order."""
    run = OnTerminal()
    assert run.seen(b"ON")
    os.write(run.ours, b"\x13")
    time.sleep(1)
    run.child.send_signal(signal.SIGTERM)
    assert run.child.wait(20) == 143
    assert run.seen(b"not processed at the end")  # of the summary, below what was there before
    run.close()


def test_a_terminal_that_vanishes_is_no_failure() -> None:
    run = OnTerminal()
    assert run.seen(b"ON")
    os.close(run.theirs)
    os.close(run.ours)
    _, complaints = run.child.communicate(timeout=20)
    assert run.child.returncode in (0, 129) and b"failed" not in complaints, complaints
    run.close()


def _own_terminal() -> None:
    import fcntl

    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
