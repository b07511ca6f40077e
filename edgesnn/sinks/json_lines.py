"""Decisions as JSON, one object a line, for other programs; the contract is docs/json.md."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from typing import Any, TextIO

from edgesnn.decision import Decision, Monitor, RunInfo, Summary
from edgesnn.errors import RunError
from edgesnn.events import Packet


class JsonLines:
    """Writes each decision as it is made and the summary last; flushes every line.

    out: where to write; it is not closed. stop: set when nobody reads any more (a pipe whose other
    end was closed, as `| head -1` does): the rest is dropped in silence and the run may end.
    Raises RunError when the output fails otherwise (disk full).
    """

    def __init__(self, out: TextIO, stop: threading.Event) -> None:
        self._out = out
        self._stop = stop
        self._unread = False

    def open(self, info: RunInfo, monitor: Monitor) -> None:
        """Nothing to prepare."""

    def packet(self, packet: Packet) -> None:
        """Packets are not told."""

    def decision(self, decision: Decision) -> None:
        """Write one "decision" line."""
        self._write({"type": "decision", **asdict(decision)})

    def close(self, summary: Summary | None) -> None:
        """Write the "summary" line, unless the run failed."""
        if summary is not None:
            self._write({"type": "summary", **asdict(summary)})

    def _write(self, message: dict[str, Any]) -> None:
        if self._unread:
            return
        try:
            self._out.write(json.dumps(message, ensure_ascii=False) + "\n")
            self._out.flush()
        except BrokenPipeError:
            self._unread = True
            self._stop.set()
        except (OSError, ValueError) as error:
            raise RunError(f"the JSON output cannot be written: {error}") from error
