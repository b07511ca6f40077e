"""A webcam that is not there: frames of a square that moves."""

from __future__ import annotations

import time

import numpy as np


class FakeCapture:
    """A camera with a few frames; then it says that there are no more."""

    def __init__(self, frames, every_s=0.01):
        self.frames, self.every_s, self.released = list(frames), every_s, False

    def get(self, _):
        return 0.0

    def read(self):
        if self.frames:
            time.sleep(self.every_s)
            return True, self.frames.pop(0)
        return False, None

    def release(self):
        self.released = True


def squares(n):
    frames = np.full((n, 60, 80, 3), 60, np.uint8)
    for i in range(n):
        frames[i, 20:40, 20 + 3 * i : 40 + 3 * i] = 230
    return frames
