"""Files of one picture, decoded: PNG, JPEG and what else OpenCV reads, as 8 bits of gray.

What a file says of itself is checked before a decoder believes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError
from edgesnn.sources.opencv import MOST_PIXELS, opencv

_MOST_BYTES = 200_000_000
_LARGEST_SIDE = 4096
_JPEG = b"\xff\xd8\xff"
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
Image = NDArray[np.uint8]


def read_picture(path: Path) -> Image:
    """Return a picture as gray, uint8 (height, width); its longer side is 4096 pixels at most.

    Raises InputError for a file that is damaged, too large, or no picture.
    """
    cv2 = opencv()
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise InputError(f"{path} has {size:,} bytes; a picture may have {_MOST_BYTES:,}")
    data = path.read_bytes()
    _check_png(data, path)
    _check_jpeg(data, path)
    # JPEGs hold no alpha, and only the colour readers turn them as their camera was held.
    how = cv2.IMREAD_COLOR if data.startswith(_JPEG) else cv2.IMREAD_UNCHANGED
    try:
        picture = cv2.imdecode(np.frombuffer(data or b"\0", np.uint8), how)
    except cv2.error as error:  # more pixels than opencv.py allows, or damage
        raise InputError(
            f"{path} cannot be read as a picture: it is damaged, or has more than "
            f"{MOST_PIXELS:,} pixels"
        ) from error
    if picture is None:
        raise InputError(f"{path} is not a picture that OpenCV can read; is it damaged?")
    return _gray(picture)


def _check_png(data: bytes, path: Path) -> None:
    """Raise InputError for a PNG whose chunks are longer than it: decoders believe them."""
    at = 8
    while data.startswith(b"\x89PNG") and at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + length > len(data):
            raise InputError(
                f"{path} is damaged or truncated: at byte {at} it says that {length:,} bytes follow"
            )
        if data[at + 4 : at + 8] == b"IHDR" and length >= 8:
            width, height = (int.from_bytes(data[at + n : at + n + 4], "big") for n in (8, 12))
            _check_pixels(width, height, path)
        at += 12 + length


def _check_jpeg(data: bytes, path: Path) -> None:
    """Raise InputError for a JPEG that says it has too many pixels (ITU-T T.81, B.2.2)."""
    at = 2
    while data.startswith(_JPEG) and at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _JPEG_FRAMES:
            height, width = (int.from_bytes(data[at + n : at + n + 2], "big") for n in (5, 7))
            return _check_pixels(width, height, path)
        at += 1 if marker == 0xFF else 2 + length


def _check_pixels(width: int, height: int, path: Path) -> None:
    if width * height > MOST_PIXELS:
        raise InputError(
            f"{path} is {width:,} x {height:,} pixels; a picture may have {MOST_PIXELS:,}"
        )


def _gray(picture: NDArray[Any]) -> Image:
    """Return a decoded picture in 8 bits of gray.

    What is transparent shows paper: white, or black under bright ink.
    """
    cv2 = opencv()
    shrink = max(picture.shape[:2]) / _LARGEST_SIDE
    if shrink > 1:
        size = max(1, int(picture.shape[1] / shrink)), max(1, int(picture.shape[0] / shrink))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    if picture.dtype == np.uint16:
        picture = _in_8_bits(picture)
    elif picture.dtype.kind == "f":  # 0 to 1, or already 0 to 255
        picture = np.nan_to_num(picture)
        scale = 255 if float(picture.max()) <= 1 else 1
        picture = np.clip(picture * scale, 0, 255).astype(np.uint8)
    elif picture.dtype != np.uint8:
        picture = _in_8_bits(np.clip(picture, 0, 2**16 - 1).astype(np.uint16))
    if picture.ndim == 2:
        return picture
    channels = picture.shape[2]
    gray: Image = picture[:, :, 0]
    if channels >= 3:
        gray = cv2.cvtColor(np.ascontiguousarray(picture[:, :, :3]), cv2.COLOR_BGR2GRAY)
    if channels in (2, 4):
        alpha = picture[:, :, -1].astype(np.uint32)
        inked = alpha >= 128
        bright = inked.any() and not inked.all() and int(gray[inked].min()) >= 128
        paper = 0 if bright else 255
        gray = ((gray * alpha + paper * (255 - alpha) + 127) // 255).astype(np.uint8)
    return gray


def _in_8_bits(picture: NDArray[Any]) -> Image:
    """Take 16 bits to 8: by the bits that are used, as cameras keep 10, 12 or 14 in 16."""
    colours = picture[:, :, :3] if picture.ndim == 3 and picture.shape[2] == 4 else picture
    bits = max(8, int(colours.max()).bit_length())
    scaled: Image = np.minimum(picture >> (bits - 8), 255).astype(np.uint8)
    if colours is not picture:
        scaled[:, :, 3] = picture[:, :, 3] >> 8
    return scaled
