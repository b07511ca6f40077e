"""What people would use instead: nothing, DIS and Farneback of OpenCV on pictures of events.

Two pictures of as many milliseconds each, one after the other; every length is tried.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.events import Events
from edgesnn.sources.opencv import opencv

LENGTHS_US = (5_000, 10_000, 15_000, 20_000, 30_000)
_FULL = 4
Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Method = Callable[[Image, Image], Floats]


def methods() -> dict[str, Method]:
    """Return the methods by name; each takes two pictures and returns pixels moved, (H, W, 2)."""
    cv2 = opencv()
    cv2.setNumThreads(1)

    def dis(preset: int) -> Method:
        own = cv2.DISOpticalFlow_create(preset)
        return lambda before, after: own.calc(before, after, None)

    def farneback(before: Image, after: Image) -> Floats:
        flow: Floats = cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 4, 25, 3, 7, 1.5, 0)
        return flow

    return {
        "zero": lambda before, after: np.zeros((*before.shape, 2), np.float32),
        "dis_ultrafast": dis(0),
        "dis_medium": dis(2),
        "farneback": farneback,
    }


def peer_field(
    method: Method, events: Events, until_us: int, length_us: int, size: tuple[int, int]
) -> Floats | None:
    """Return a peer's field (2, H, W), px/s, from the two pictures before until_us.

    None where the recording is shorter than the pictures.
    """
    if until_us - 2 * length_us < int(events["t"].min()) - length_us / 2:
        return None
    pictures = [
        _picture(events, until_us - end * length_us, until_us - (end - 1) * length_us, size)
        for end in (2, 1)
    ]
    flow = method(*pictures) / np.float32(length_us * 1e-6)
    return np.ascontiguousarray(flow.transpose(2, 0, 1))


def _picture(events: Events, first_us: int, until_us: int, size: tuple[int, int]) -> Image:
    cv2: Any = opencv()
    seen = events[(events["t"] >= first_us) & (events["t"] < until_us)]
    at = seen["y"].astype(np.intp) * size[0] + seen["x"]
    counts = np.bincount(at, minlength=size[0] * size[1]).reshape(size[1], size[0])
    shade = np.minimum(counts, _FULL).astype(np.float32) / _FULL
    return np.asarray(cv2.GaussianBlur(shade, (5, 5), 0) * 255, np.uint8)
