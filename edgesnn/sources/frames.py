"""Frames of cameras and videos: brought to a square, and given to the eye that a model needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.bundle import Bundle
from edgesnn.senses.eye import SIZE, Emulated, Eye, Gray
from edgesnn.sources.image import Frames
from edgesnn.sources.opencv import opencv
from edgesnn.sources.wanted import check_takes_events


def squared(picture: NDArray[Any]) -> Gray:
    """Return the middle of a picture, gray, (SIZE, SIZE)."""
    cv2 = opencv()
    gray = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) if picture.ndim == 3 else picture
    height, width = gray.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = gray[top : top + side, left : left + side]
    resized: NDArray[np.uint8] = cv2.resize(square, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return resized


def eye_of(bundle: Bundle, source: str) -> Callable[[], Eye]:
    """Return what makes an eye for a model: events, or the pictures that it takes.

    Raises InputError for models that take neither.
    """
    spec = bundle.latency
    if spec is None:
        check_takes_events(bundle, source)
        return Emulated
    return lambda: Frames(spec, bundle.program.step_us)
