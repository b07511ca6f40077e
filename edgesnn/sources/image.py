"""Pictures as trials: PNG, JPEG and other files, and idx files of many images.

A picture is brought into the form of the images a network was trained on: gray, a bright figure on
black. A picture that has that form already (28 x 28, dark border) passes unchanged, bit for bit.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError
from edgesnn.events import Packet, empty_events
from edgesnn.senses.eye import Eye
from edgesnn.senses.latency import LatencySpec, latency_events
from edgesnn.sources.catalog import PICTURES
from edgesnn.sources.found import check_plain
from edgesnn.sources.idx import read_idx
from edgesnn.sources.opencv import opencv
from edgesnn.sources.picture_file import Image, read_picture
from edgesnn.text import shown

PERIOD_US = 500_000
"""From one picture of a file to the next, event time."""
_LEAST_SIDE = 8
_LEAST_CONTRAST = 24
_FIGURE = 20 / 28  # of the image's side that MNIST's digits take
_BREATH_S = 0.001


def is_image_file(path: Path) -> bool:
    """Whether a file's name says that it holds a picture, or many (idx3-ubyte)."""
    return path.suffix.lower() in PICTURES or "idx3-ubyte" in path.name


def read_pictures(path: Path, spec: LatencySpec) -> list[Image]:
    """Return the pictures of a file, prepared, uint8 (size, size) each.

    Raises InputError for a file that is missing, no picture, too small or of one colour.
    """
    check_plain(path)
    if "idx3-ubyte" in path.name:
        images = read_idx(path, 3)
        if not len(images):
            raise InputError(f"{path} holds no images")
        return [
            _prepared_or_refused(image, spec, f"{path}, image {number}")
            for number, image in enumerate(images)
        ]
    return [_prepared_or_refused(read_picture(path), spec, path)]


def _prepared_or_refused(gray: Image, spec: LatencySpec, path: Path | str) -> Image:
    height, width = gray.shape
    if min(height, width) < _LEAST_SIDE:
        raise InputError(
            f"{path} is {width} x {height} pixels; wanted at least {_LEAST_SIDE} x {_LEAST_SIDE}"
        )
    image = prepared(gray, spec)
    if image is None:
        raise InputError(f"{path} is all of one brightness: there is nothing to see in it")
    return image


def prepared(gray: Image, spec: LatencySpec) -> Image | None:
    """Return a gray picture as the network knows them, uint8 (size, size); None for an empty one.

    A bright background is inverted and the contrast stretched. "ink": the figure is cut out, fitted
    into 20 of 28 parts of the side and centred on its centre of mass, as in MNIST; "object": the
    whole picture is fitted in.
    """
    border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
    if gray.shape == (spec.size, spec.size) and float(border.mean()) < 128:
        return gray if int(gray.max()) else None
    bright = float(np.median(border)) >= 128
    background = int(np.median(255 - border if bright else border))
    figure = _stretched(255 - gray if bright else gray, background)
    if figure is None:
        return None
    if spec.subject == "object":
        return _pasted(_fitted(figure, spec.size), spec.size, centred_on_mass=False)
    rows, columns = np.nonzero(figure > 100)
    cut = figure[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    fitted = _fitted(cut, round(_FIGURE * spec.size))
    # Specks that lie far apart are nothing at this size.
    return _pasted(fitted, spec.size, centred_on_mass=True) if fitted.any() else None


def _stretched(figure: Image, background: int) -> Image | None:
    """Take the background to 0 and the brightest to 255; None where there is no contrast."""
    brightest = float(np.percentile(figure, 99.5))
    brightest = max(brightest, float(figure.max()) * 0.8)
    if brightest - background < _LEAST_CONTRAST:
        return None
    black = background + 0.15 * (brightest - background)  # the grain of the paper
    scaled = (figure.astype(np.float64) - black) * 255 / (brightest - black)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _fitted(figure: Image, side: int) -> Image:
    """Resize so that the longer side is `side`."""
    cv2 = opencv()
    height, width = figure.shape
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    fitted: Image = cv2.resize(figure, size, interpolation=how)
    return fitted


def _pasted(figure: Image, size: int, *, centred_on_mass: bool) -> Image:
    """Put a figure into the middle of an empty image."""
    height, width = figure.shape
    centre_y, centre_x = (height - 1) / 2, (width - 1) / 2
    if centred_on_mass:
        mass = figure.astype(np.float64)
        centre_y = float((mass.sum(axis=1) @ np.arange(height)) / mass.sum())
        centre_x = float((mass.sum(axis=0) @ np.arange(width)) / mass.sum())
    top = min(max(round((size - 1) / 2 - centre_y), 0), size - height)
    left = min(max(round((size - 1) / 2 - centre_x), 0), size - width)
    image = np.zeros((size, size), np.uint8)
    image[top : top + height, left : left + width] = figure
    return image


def open_images(
    path: Path, spec: LatencySpec, *, step_us: int, speed: float = 1.0, loop: bool = False
) -> Images:
    """Open a file of one or many pictures as a source; raises InputError (see read_pictures)."""
    if not speed > 0:
        raise InputError(f"speed {speed:g} plays nothing; give a number above 0, or max")
    pictures = read_pictures(path, spec)
    return Images(pictures, spec, step_us, "file:" + shown(path.name), speed, loop)


class Images:
    """Pictures one after another, each a trial; see `edgesnn.events.Source`.

    A picture's spikes are told in one packet when the picture is due; the watermark goes to the end
    of its trial, and then on with the clock.
    """

    can_wait = True

    def __init__(
        self,
        pictures: list[Image],
        spec: LatencySpec,
        step_us: int,
        name: str,
        speed: float,
        loop: bool,
    ) -> None:
        self.name, self.size = name, (spec.size, spec.size)
        self._pictures, self._spec, self._step_us = pictures, spec, step_us
        self._speed, self._loop = speed, loop
        self._trial_us = spec.steps * step_us
        self.paced = not math.isinf(speed)  # whether arrival times mean anything
        periods = max(spec.steps + 1, PERIOD_US // step_us)
        self._period_us = periods * step_us
        self._at = 0
        self._watermark_us = 0
        self._began_ns: int | None = None
        self._closed = False

    def close(self) -> None:
        """End the source."""
        self._closed = True

    def read(self) -> Packet | None:
        """Return the next picture when it is due; None at the end."""
        if self._closed or (self._at == len(self._pictures) and not self._loop):
            return None
        start_us = self._at * self._period_us
        now = time.monotonic_ns()
        if math.isinf(self._speed):
            return self._trial(start_us, now)
        if self._began_ns is None:
            self._began_ns = now
        due_ns = self._began_ns + int(start_us * 1000 / self._speed)
        if now < due_ns:
            time.sleep(min(_BREATH_S, (due_ns - now) * 1e-9))
            played_us = int((now - self._began_ns) * self._speed / 1000)
            self._watermark_us = max(self._watermark_us, min(played_us, start_us))
            return Packet(empty_events(), self._watermark_us, now)
        return self._trial(start_us, due_ns)

    def _trial(self, start_us: int, arrival_ns: int) -> Packet:
        picture = self._pictures[self._at % len(self._pictures)]
        self._at += 1
        events = latency_events(picture, self._spec, start_us=start_us, step_us=self._step_us)
        self._watermark_us = start_us + self._trial_us
        return Packet(events, self._watermark_us, arrival_ns)


class Frames:
    """Pictures of a camera as trials: what a `Webcam` calls for each frame, a square gray picture.

    A frame that comes before the last trial is over is left out, and counted; an empty one gives no
    events.
    """

    def __init__(self, spec: LatencySpec, step_us: int) -> None:
        self.size = (spec.size, spec.size)
        self._spec, self._step_us = spec, step_us
        self._free_us = self._seen = self._left_out = 0

    def follow(self, before: Eye) -> None:
        """Go on counting where the pictures of the lap before ended."""
        if isinstance(before, Frames):
            self._seen, self._left_out = before._seen, before._left_out

    def notes(self) -> tuple[str, ...]:
        """Say how many frames were left out."""
        if not self._left_out:
            return ()
        return (
            f"{self._left_out:,} of {self._seen:,} frames came while the picture before was still "
            "looked at; they were left out",
        )

    def frame(self, gray: NDArray[Any], t_us: int) -> tuple[Any, int]:
        """Return the events of a frame seen at t_us, and the time up to which all is told."""
        self._seen += 1
        if t_us < self._free_us:
            self._left_out += 1
            return empty_events(), t_us
        image = prepared(gray, self._spec)
        if image is None:
            return empty_events(), t_us
        start_us = -(-t_us // self._step_us) * self._step_us
        events = latency_events(image, self._spec, start_us=start_us, step_us=self._step_us)
        end_us = start_us + self._spec.steps * self._step_us
        self._free_us = end_us + self._step_us
        return events, end_us
