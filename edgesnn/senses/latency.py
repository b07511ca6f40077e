"""Images as first-spike times: the brighter a pixel, the earlier its one spike.

    ON:   pixel v in 0..255 fires in step (255 - v) * steps // 255; v = 0 never does
    OFF:  the same for 255 - v, where the code has a spike for the dark as well

Sources: latency and rank-order coding, Thorpe (1990), "Spike arrival times: a highly efficient
coding scheme for neural networks"; Thorpe and Gautrais (1998), "Rank order coding".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import BundleError
from edgesnn.events import EVENT, Events


@dataclass(frozen=True, slots=True)
class LatencySpec:
    """How an image becomes a trial.

    steps: of the trial. dark: whether dark pixels spike too (OFF). size: width and height of the
    image. subject: what pictures are prepared for: "ink" (a bright figure is cut out and centred,
    as in MNIST) or "object" (the whole picture is resized).
    """

    steps: int
    dark: bool
    size: int = 28
    subject: Literal["ink", "object"] = "ink"

    def __post_init__(self) -> None:
        """Raise BundleError for numbers that describe no trial."""
        if self.steps < 1 or self.size < 1 or self.subject not in ("ink", "object"):
            raise BundleError(f"these numbers describe no latency code: {self}")


def latency_events(
    image: NDArray[np.uint8], spec: LatencySpec, *, start_us: int, step_us: int
) -> Events:
    """Return the events of an image (H, W), in order; those of a step carry its start time."""
    late = [_lateness(255 - image.astype(np.int64), spec.steps)]
    if spec.dark:
        late.insert(0, _lateness(image.astype(np.int64), spec.steps))
    step = np.stack(late)
    polarity, y, x = np.nonzero(step < spec.steps)
    at = step[polarity, y, x]
    order = np.argsort(at, kind="stable")
    events = np.zeros(len(order), EVENT)
    events["t"] = start_us + at[order] * step_us
    events["x"], events["y"] = x[order], y[order]
    events["p"] = polarity[order] if spec.dark else 1
    return events


def _lateness(darkness: NDArray[np.int64], steps: int) -> NDArray[np.int64]:
    return darkness * steps // 255
