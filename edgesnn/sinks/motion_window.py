"""The window's picture of motion: events, colours and arrows side by side, the wheel, the words."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.decide.motion_field import MotionField
from edgesnn.sinks.motion_picture import field_picture, wheel
from edgesnn.stream.sink import Snapshot

Image = NDArray[np.uint8]
_SIDE, _FOOT, _WHEEL, _GAP, _LEAST_COLUMNS = 360, 84, 64, 4, 560
_ARROW_PX, _LONGEST = 14, 12
_BACKGROUND, _TEXT, _FAINT, _ACCENT = (20, 16, 14), (230, 230, 230), (140, 140, 140), (98, 217, 127)


def motion_image(
    snapshot: Snapshot, events: Image, max_speed: float, *, dense: bool, live: bool
) -> Image:
    """Draw a snapshot with a field; returns (height, width, 3), blue first.

    events: the picture of the events, blue first. dense: colours where nothing was seen too. live:
    whether latency and keys mean something.
    """
    import cv2

    field = snapshot.field
    assert field is not None
    scale = max(1, _SIDE // max(events.shape[:2]))
    rows, columns = events.shape[0] * scale, events.shape[1] * scale
    size = (columns, rows)
    seen = cv2.resize(events, size, interpolation=cv2.INTER_NEAREST)
    colours = field_picture(field, max_speed, dense=dense)[..., ::-1]
    shown = cv2.resize(np.ascontiguousarray(colours), size, interpolation=cv2.INTER_NEAREST)
    arrows = _with_arrows(cv2, np.asarray(seen // 3, np.uint8), field, max_speed)
    gap = np.full((rows, _GAP, 3), _BACKGROUND, np.uint8)
    rest = max(0, _LEAST_COLUMNS - 3 * columns - 2 * _GAP)  # so that the words below fit
    beside = np.full((rows, rest, 3), _BACKGROUND, np.uint8)
    panes = np.concatenate([seen, gap, shown, gap, arrows, beside], axis=1)
    foot = np.full((_FOOT, panes.shape[1], 3), _BACKGROUND, np.uint8)
    foot[10 : 10 + _WHEEL, 10 : 10 + _WHEEL] = wheel(_WHEEL)[..., ::-1]
    motion, latency = field.motion, snapshot.latency_us
    rate = f"{snapshot.event_rate_hz / 1e3:,.0f} k events/s"
    waited = f"latency p50 {latency.p50 / 1e3:.2f} ms  p99 {latency.p99 / 1e3:.2f} ms"
    numbers = f"{rate}   {waited}   dropped {snapshot.dropped:,}   d: dense"
    lines = [
        (f"{snapshot.decision.label}   {motion.speed:.0f} px/s", 0.65, _ACCENT),
        (
            f"turns {motion.turn:+.2f} rad/s   grows {100 * motion.grow:+.0f} %/s   "
            f"explained {100 * motion.confidence:.0f} %   full colour at {max_speed:g} px/s",
            0.42,
            _TEXT,
        ),
        (numbers if live else rate, 0.42, _FAINT),
    ]
    for i, (text, size_of, colour) in enumerate(lines):
        place = (20 + _WHEEL, 28 + 22 * i)
        cv2.putText(foot, text, place, cv2.FONT_HERSHEY_SIMPLEX, size_of, colour, 1, cv2.LINE_AA)
    return np.concatenate([panes, foot])


def _with_arrows(cv2: Any, image: Image, field: MotionField, max_speed: float) -> Image:
    """Draw an arrow every 14 pixels of the picture, where something was seen."""
    rows, columns = image.shape[:2]
    h, w = field.seen.shape
    for y in range(_ARROW_PX // 2, rows, _ARROW_PX):
        for x in range(_ARROW_PX // 2, columns, _ARROW_PX):
            j, i = min(h - 1, y * h // rows), min(w - 1, x * w // columns)
            if not field.seen[j, i]:
                continue
            u, v = (float(n) for n in field.velocity[:, j, i])
            length = float(np.hypot(u, v))
            drawn = _LONGEST * min(1.0, float(np.sqrt(length / max_speed)))
            if drawn < 1:
                continue
            end = (round(x + drawn * u / length), round(y + drawn * v / length))
            cv2.arrowedLine(image, (x, y), end, _TEXT, 1, cv2.LINE_AA, 0, 0.35)
    return image
