"""Decisions for people: a live view on a terminal that can show one, else plain lines.

The view pulls the newest snapshot about 20 times a second on its own thread and so never holds up
a step. It uses the terminal's second screen; what was there before is back when the run ends, and
a short summary follows it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO

from edgesnn.decide.decision import NOTHING, Decision
from edgesnn.events import Packet
from edgesnn.sinks.keys import Keys, let_go
from edgesnn.sinks.lines import LineWriter
from edgesnn.sinks.motion_picture import MAX_SPEED
from edgesnn.sinks.opening import Opening
from edgesnn.stream.sink import Monitor, RunInfo, Sink, Summary

if TYPE_CHECKING:
    from rich.segment import Segment

_END_S = 2.0
REFRESH_HZ = 20
_REMEMBERED = 12
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"  # a frame that terminals may show in one piece
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


def open_sink(value: Any, run: Opening) -> Sink:
    """Show the run on standard output."""
    return terminal_sink(run.out, run.stop, run.max_speed)


def terminal_sink(out: TextIO, stop: threading.Event, max_speed: float = MAX_SPEED) -> Sink:
    """Return the view when `out` is a terminal with colours and a cursor, else plain lines.

    NO_COLOR (any value but the empty one) and TERM=dumb ask for plain lines, and so does an
    encoding without block characters.
    """
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") in ("dumb", "unknown")
    if plain or not out.isatty() or not _can_show("▀", out):
        return PlainLines(out, stop)
    return TerminalView(out, stop, max_speed)


def _can_show(text: str, out: TextIO) -> bool:
    try:
        text.encode(out.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def summary_lines(summary: Summary) -> list[str]:
    """Say in a few lines how a run went."""
    latency = summary.latency_us
    why = "nothing was waited for (--speed max)" if summary.steps else "no step was taken"
    told = f"not measured: {why}"
    if latency is not None:
        milliseconds = [latency.p50 / 1e3, latency.p99 / 1e3, latency.max / 1e3]
        told = "p50 {:.2f} ms, p99 {:.2f} ms, max {:.2f} ms".format(*milliseconds)
    headline = summary.decision
    if summary.answers is not None and summary.answers != 1:
        headline = f"{summary.answers} answers"
    lost = [(summary.filtered, "filtered"), (summary.queued, "not processed at the end")]
    others = "".join(f", {number:,} {name}" for number, name in lost if number)
    back = f", the clock jumped back {summary.jumps_back} times" if summary.jumps_back else ""
    rested = f" ({summary.steps_rested:,} without work)" if summary.steps_rested else ""
    held = ", ".join(f"{label} {seconds:.1f} s" for label, seconds in summary.held_s.items())
    return [
        f"{headline}  ({summary.source}, {summary.model} on {summary.backend})",
        *([f"  held     {held}"] if len(summary.held_s) > 1 else []),
        f"  latency  {told}",
        f"  steps    {summary.steps:,}{rested}, {summary.late_steps:,} late, "
        f"at {summary.realtime_factor:.3g} x real time",
        f"  events   {summary.events:,}, {summary.dropped:,} dropped, {summary.late:,} late"
        f"{others}{back}",
        *(f"  note     {note}" for note in summary.notes),
    ]


def decision_line(decision: Decision) -> str:
    """Say a decision in one line."""
    latency = decision.latency_us
    waited = "" if latency is None else f"  ({latency / 1e3:.2f} ms)"
    sure = "" if decision.index == NOTHING else f"  {100 * decision.confidence:.0f} %"
    return f"{decision.t_us / 1e6:9.3f} s  {decision.label}{sure}{waited}{exit_text(decision)}"


def exit_text(decision: Decision) -> str:
    """Say when a trial was sure; nothing where there are no trials."""
    if decision.exit_step is None or decision.window_steps is None:
        return ""
    saved = 1 - decision.exit_step / decision.window_steps
    return (
        f"  sure at step {decision.exit_step} of {decision.window_steps}, "
        f"{100 * saved:.0f} % of the steps saved"
    )


class PlainLines:
    """One line per decision, then the summary; for pipes, logs and plain terminals.

    stop: set when nobody reads any more.
    """

    def __init__(self, out: TextIO, stop: threading.Event) -> None:
        self._lines = LineWriter(out, stop)

    def open(self, info: RunInfo, monitor: Monitor) -> None:
        """Say what runs."""
        width, height = info.size
        self._lines.write(
            f"edgesnn {info.model}: {info.source} ({width}x{height}), {info.backend}, "
            f"{info.step_us / 1e3:g} ms steps"
        )

    def packet(self, packet: Packet) -> None:
        """Packets are not told."""
        self._lines.look()

    def decision(self, decision: Decision) -> None:
        """Write one line."""
        self._lines.write(decision_line(decision))

    def close(self, summary: Summary | None) -> None:
        """Write the summary, unless the run failed."""
        for line in summary_lines(summary) if summary is not None else ():
            self._lines.write(line)


class TerminalView:
    """The live view."""

    def __init__(self, out: TextIO, stop: threading.Event, max_speed: float = MAX_SPEED) -> None:
        self._out = out
        self._stop = stop
        self._max_speed = max_speed
        self._recent: tuple[Decision, ...] = ()
        self._closing = threading.Event()
        self._away = False  # whether the terminal is another's: stopped, or in the background
        self._drawing = threading.Lock()
        self._suspend_before: Any = None
        self._keys = Keys()
        self._brightness: float | None = None  # of the terminal's background, where it told
        self._state = ""
        self._thread: threading.Thread | None = None

    def open(self, info: RunInfo, monitor: Monitor) -> None:
        """Take the terminal over and begin to draw."""
        from rich.console import Console

        self._console = Console(file=self._out, highlight=False)
        self._away = not self._in_foreground()
        if not self._away:
            self._take_over()
        if hasattr(signal, "SIGTSTP") and threading.current_thread() is threading.main_thread():
            self._suspend_before = signal.signal(signal.SIGTSTP, self._suspend)
        self._thread = threading.Thread(
            target=self._draw, args=(info, monitor), name="edgesnn-terminal", daemon=True
        )
        self._thread.start()

    def packet(self, packet: Packet) -> None:
        """Packets are drawn from snapshots."""

    def decision(self, decision: Decision) -> None:
        """Remember it for the list of recent ones."""
        self._recent = (*self._recent, decision)[-_REMEMBERED:]

    def close(self, summary: Summary | None) -> None:
        """Give the terminal back and print the summary below what was there before."""
        if self._thread is None:
            return
        if self._suspend_before is not None:
            signal.signal(signal.SIGTSTP, self._suspend_before)
        self._closing.set()
        self._thread.join(_END_S)
        if self._thread.is_alive():  # it waits for a terminal that takes nothing (Ctrl-S)
            let_go(self._out.fileno())
            self._thread.join(_END_S)
        held, self._thread = self._thread.is_alive(), None
        if held or self._is_gone():
            return
        if not self._away:
            self._give_back()
        PlainLines(self._out, self._stop).close(summary)

    def _take_over(self) -> None:
        self._keys.listen()
        if self._brightness is None:
            self._brightness = self._keys.background(self._out)
        self._console.set_alt_screen(True)
        self._console.show_cursor(False)

    def _is_gone(self) -> bool:
        try:
            os.get_terminal_size(self._out.fileno())
        except OSError:
            return True
        return False

    def _give_back(self) -> None:
        self._keys.leave()
        with suppress(OSError):  # the terminal may be gone
            self._console.show_cursor(True)
            self._console.set_alt_screen(False)

    def _suspend(self, _number: int, _frame: FrameType | None) -> None:
        """Ctrl-Z: give the terminal back and stop; the drawing takes it over when it is ours again.

        After `fg` that is at once. After `bg` the run goes on, and the terminal is the shell's.
        """
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # a second one now would wait for this one
        with self._drawing:
            if not self._away:
                self._give_back()
                self._out.flush()
            self._away = True
            os.kill(os.getpid(), signal.SIGSTOP)
        signal.signal(signal.SIGTSTP, self._suspend)

    def _in_foreground(self) -> bool:
        try:
            return os.getpgrp() == os.tcgetpgrp(self._out.fileno())
        except (OSError, AttributeError):  # no terminal that controls us, or Windows
            return True

    def _heed(self, keys: str) -> None:
        """Do what the keys ask for: q, space, ?, d."""
        for key in keys:
            if key in "qQ":
                self._stop.set()
            elif key in " ?dD":
                wanted = {" ": "paused", "?": "help"}.get(key, "dense")
                self._state = "" if self._state == wanted else wanted

    def _draw(self, info: RunInfo, monitor: Monitor) -> None:
        from edgesnn.sinks.picture import palette_of
        from edgesnn.sinks.screen import screen

        palette = palette_of(
            self._console.color_system, os.environ.get("COLORFGBG"), self._brightness
        )
        shown = None
        try:
            while not self._closing.wait(1 / REFRESH_HZ):
                told = os.get_terminal_size(self._out.fileno())
                width, height = size = told.columns or 80, told.lines or 24  # 0: not told
                self._heed(self._keys.pressed())
                if self._state != "paused":
                    shown = monitor.latest()
                look = palette, self._state, self._max_speed
                lines = screen(info, shown, self._recent, self._console, size, *look)
                painted = self._painted(lines, width, height)
                with self._drawing:
                    if self._away and self._in_foreground():
                        self._take_over()
                        self._away = False
                    if not self._away:
                        self._out.write(painted)
                        self._out.flush()
        except OSError:
            self._stop.set()  # the terminal is gone; the run has nobody to talk to

    def _painted(self, lines: Iterable[list[Segment]], width: int, height: int) -> str:
        """Turn lines into one write that paints over what was there, shown at once if possible."""
        from rich.console import COLOR_SYSTEMS

        colours = COLOR_SYSTEMS.get(self._console.color_system or "")
        painted = []
        for line in lines:
            cells = [
                segment.style.render(segment.text, color_system=colours)
                if segment.style
                else segment.text
                for segment in line
            ]
            drawn = sum(len(segment.text) for segment in line)
            painted.append("".join(cells) + (_CLEAR_LINE if drawn < width else ""))
            time.sleep(0)  # lets a waiting step have the interpreter
        below = "\r\n" + _CLEAR_BELOW if len(painted) < height else ""
        return _BEGIN + _HOME + "\r\n".join(painted[:height]) + below + _END
