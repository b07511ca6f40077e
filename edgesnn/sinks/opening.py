"""What a sink is opened with."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from edgesnn.sinks.motion_picture import MAX_SPEED


@dataclass(frozen=True, slots=True)
class Opening:
    """out: standard output. stop: set by a sink that wants the run to end. playing: the file that
    is the source, None for others. max_speed: px/s with the full brightness, where motion is shown.
    """

    out: TextIO
    stop: threading.Event
    playing: Path | None = None
    max_speed: float = MAX_SPEED
