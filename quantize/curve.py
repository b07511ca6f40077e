"""The curve of a training, for the card: the lines of log.jsonl that tell of a held-out set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_MOST = 24
_LEFT_OUT = ("rates", "fired", "minutes", "of")


def training_curve(checkpoint: Path) -> list[dict[str, Any]]:
    """Return at most 24 lines of the log beside a checkpoint, evenly spread, the last one included.

    Empty where there is no log. A training that was taken up again may have told a line twice: the
    later one counts.
    """
    log = checkpoint.parent / "log.jsonl"
    if not log.is_file():
        return []
    found: dict[int, dict[str, Any]] = {}
    for text in log.read_text().splitlines():
        line = json.loads(text)
        at = line.get("epoch", line.get("update"))
        if at is not None and _tells_of_held_out(line):
            found[at] = {key: value for key, value in line.items() if key not in _LEFT_OUT}
    lines = [found[at] for at in sorted(found)]
    every = -(-len(lines) // _MOST)
    return lines[::-1][::every][::-1] if lines else []


def _tells_of_held_out(line: dict[str, Any]) -> bool:
    known = {"epoch", "update", "of", "steps", "loss", "train", "rates", "fired", "minutes"}
    return bool(set(line) - known)
