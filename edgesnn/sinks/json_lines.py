"""Decisions as JSON, one object a line, for other programs; the contract is docs/json.md."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from typing import Any, TextIO

import numpy as np

from edgesnn.decide.decision import Decision
from edgesnn.decide.motion_field import MotionField
from edgesnn.events import Packet
from edgesnn.sinks.lines import LineWriter
from edgesnn.sinks.opening import Opening
from edgesnn.stream.sink import Monitor, RunInfo, Summary
from edgesnn.text import in_utf8


def open_sink(value: Any, run: Opening) -> JsonLines:
    """Write to standard output."""
    return JsonLines(in_utf8(run.out), run.stop)


class JsonLines:
    """Writes each decision as it is made and the summary last; flushes every line.

    out: where to write; it is not closed. stop: set when nobody reads any more.
    """

    def __init__(self, out: TextIO, stop: threading.Event) -> None:
        self._lines = LineWriter(out, stop)

    def open(self, info: RunInfo, monitor: Monitor) -> None:
        """Nothing to prepare."""

    def packet(self, packet: Packet) -> None:
        """Packets are not told."""
        self._lines.look()

    def decision(self, decision: Decision) -> None:
        """Write one "decision" line."""
        message = {"type": "decision", **asdict(decision)}
        if decision.window_steps is None:
            del message["exit_step"], message["window_steps"]
        self._lines.write(json.dumps(message, ensure_ascii=False))

    def field(self, field: MotionField, latency_us: float | None) -> None:
        """Write one line about the motion that a step saw."""
        motion = field.motion
        message = {
            "type": field.told_as,
            "t_us": field.t_us,
            "global": [round(motion.u, 3), round(motion.v, 3)],
            "speed": round(motion.speed, 3),
            "turn": round(motion.turn, 5),
            "grow": round(motion.grow, 5),
            "confidence": round(motion.confidence, 4),
            "seen": int(np.count_nonzero(field.seen)),
            "latency_us": latency_us,
        }
        self._lines.write(json.dumps(message))

    def close(self, summary: Summary | None) -> None:
        """Write the "summary" line, unless the run failed."""
        if summary is not None:
            message = {"type": "summary", **asdict(summary)}
            self._lines.write(json.dumps(message, ensure_ascii=False))
