"""Dense fields in a folder, one of each step in three formats (`--flow-out DIR`).

000012.npz   velocity float32 (2, H, W), px/s, u right and v down; seen bool (H, W);
             confidence float32 (h, w), of the places of place x place pixels that the network tells
             of; t_us, step_us
000012.flo   Middlebury's: float32 PIEH, width and height int32, then (u, v) by rows, px a step
000012.png   DSEC's: 16 bits, red 2^15 + 128 u, green 2^15 + 128 v, px a step, blue 1 where seen

H x W are the sensor's pixels; between the middles of places it is interpolated.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgesnn.decide.decision import Decision
from edgesnn.decide.motion_field import MotionField
from edgesnn.errors import InputError, RunError
from edgesnn.events import Packet
from edgesnn.sinks.opening import Opening
from edgesnn.sinks.whole_file import whole_file
from edgesnn.sources.opencv import opencv
from edgesnn.stream.sink import Monitor, RunInfo, Summary

_TAG = 202021.25
_MOST_DSEC = 255.9
Floats = NDArray[np.float32]


def open_sink(value: Path, run: Opening) -> FieldFiles:
    """Write to the folder `value`."""
    return FieldFiles(value)


class FieldFiles:
    """The sink behind --flow-out. It waits for the disk: no field is left out."""

    def __init__(self, folder: Path) -> None:
        self.name = f"--flow-out {folder}"
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{self.name} is a file; give the name of a folder")
        if not folder.parent.is_dir():
            raise InputError(f"{self.name}: there is no folder {folder.parent}")
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(f"{self.name} is not empty; give a new folder")
        self._folder, self._number = folder, 0

    def open(self, info: RunInfo, monitor: Monitor) -> None:
        """Make the folder; raises InputError when that is not possible."""
        self._size, self._step_us = info.size, info.step_us
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.name} cannot be written: {error.strerror or error}") from error

    def packet(self, packet: Packet) -> None:
        """Packets are not kept."""

    def decision(self, decision: Decision) -> None:
        """Decisions are not kept."""

    def field(self, field: MotionField, latency_us: float | None) -> None:
        """Write the field of a step; raises RunError when the disk is full."""
        velocity, seen = field.at_pixels(self._size)
        name = self._folder / f"{self._number:06d}"
        self._number += 1
        per_step = velocity * np.float32(self._step_us * 1e-6)
        kept = io.BytesIO()
        np.savez_compressed(
            kept,
            velocity=velocity,
            seen=seen,
            confidence=field.confidence,
            place=field.place,
            t_us=field.t_us,
            step_us=self._step_us,
        )
        made = {
            ".npz": kept.getvalue(),
            ".flo": flo_bytes(per_step),
            ".png": dsec_png(per_step, seen),
        }
        for suffix, data in made.items():
            with whole_file(name.with_suffix(suffix), "--flow-out") as part:
                part.write_bytes(data)

    def close(self, summary: Summary | None) -> None:
        """Nothing is left to be written."""


def flo_bytes(flow: Floats) -> bytes:
    """Return a field (2, H, W) as a .flo file (Baker et al., Middlebury, 2011)."""
    _, height, width = flow.shape
    head = struct.pack("<fii", _TAG, width, height)
    return head + np.ascontiguousarray(flow.transpose(1, 2, 0), "<f4").tobytes()


def dsec_png(flow: Floats, valid: NDArray[np.bool_]) -> bytes:
    """Return a field (2, H, W) as DSEC's 16-bit picture (Gehrig et al. 2021)."""
    cv2 = opencv()
    limited = np.clip(flow, -_MOST_DSEC, _MOST_DSEC)
    coded = np.rint(limited * 128 + 2**15).astype(np.uint16)
    picture = np.stack([valid.astype(np.uint16), coded[1], coded[0]], axis=-1)  # blue first
    good, data = cv2.imencode(".png", picture)
    if not good:
        raise RunError("a field cannot be written as .png")
    return bytes(data)


def read_flo(data: bytes) -> Floats:
    """Return the field (2, H, W) of a .flo file; raises InputError for what is none."""
    if len(data) < 12 or struct.unpack("<f", data[:4])[0] != np.float32(_TAG):
        raise InputError("this is no .flo file")
    width, height = struct.unpack("<ii", data[4:12])
    if width < 1 or height < 1 or len(data) != 12 + 8 * width * height:
        raise InputError("a .flo file is damaged: its size is not what it says")
    values = np.frombuffer(data, "<f4", offset=12).reshape(height, width, 2)
    return np.ascontiguousarray(values.transpose(2, 0, 1))


def read_dsec_png(data: bytes) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the field (2, H, W) and where it is valid of DSEC's 16-bit picture."""
    cv2 = opencv()
    coded = np.frombuffer(data, np.uint8)
    picture = cv2.imdecode(coded, cv2.IMREAD_UNCHANGED) if len(coded) else None
    if picture is None or picture.dtype != np.uint16 or picture.shape[2:] != (3,):
        raise InputError("this is no flow picture of 16 bits and three channels")
    flow = (picture[..., 2:0:-1].astype(np.float32) - 2**15) / 128
    return np.ascontiguousarray(flow.transpose(2, 0, 1)), picture[..., 0] > 0
