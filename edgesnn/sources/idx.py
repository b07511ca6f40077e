"""The idx format of MNIST and Fashion-MNIST: arrays of bytes behind a short big-endian header."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError

_UINT8 = 0x08
_MOST_BYTES = 400_000_000


def read_idx(path: Path, ndim: int) -> NDArray[np.uint8]:
    """Return the array of an idx file, uint8 with `ndim` axes; .gz is unpacked.

    Raises InputError naming the file and what is wrong with it.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            with gzip.open(raw) if packed else raw as file:
                data = _as_told(file, ndim, path)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if len(data) < 4 or data[:3] != bytes([0, 0, _UINT8]):
        raise InputError(f"{path} is no idx file of bytes: it starts with {data[:4].hex(' ')}")
    if data[3] != ndim:
        raise InputError(f"{path} holds an array with {data[3]} axes, wanted {ndim}")
    head = 4 + 4 * ndim
    if len(data) < head:
        raise InputError(f"{path} ends inside its header, at byte {len(data)}; it is truncated")
    shape = struct.unpack(f">{ndim}I", data[4:head])
    if len(data) != head + math.prod(shape):
        raise InputError(
            f"{path} holds {len(data) - head} bytes behind its header, wanted "
            f"{math.prod(shape)} for {' x '.join(map(str, shape))}; it is damaged or truncated"
        )
    values: NDArray[Any] = np.frombuffer(data, np.uint8, offset=head)
    return values.reshape(shape)


def _as_told(file: gzip.GzipFile | BufferedReader, ndim: int, path: Path) -> bytes:
    """Return header and content, and no more than one byte beyond what the header tells."""
    head = file.read(4 + 4 * ndim)
    if len(head) < 4 + 4 * ndim or head[:4] != bytes([0, 0, _UINT8, ndim]):
        return head  # not of this kind: `read_idx` says what is wrong
    told = math.prod(struct.unpack(f">{ndim}I", head[4:]))
    if told > _MOST_BYTES:
        raise InputError(f"{path} says that it holds {told:,} bytes; it may hold {_MOST_BYTES:,}")
    return head + file.read(told + 1)


def read_images(directory: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return (images (n, height, width), labels (n,)) of a split, "train" or "t10k".

    Reads SPLIT-images-idx3-ubyte and SPLIT-labels-idx1-ubyte, packed (.gz) or not. Raises
    InputError when one is missing, damaged, or they do not belong together.
    """
    found = []
    for kind, ndim in (("images-idx3-ubyte", 3), ("labels-idx1-ubyte", 1)):
        name = f"{split}-{kind}"
        others = (name, name.replace("-idx", ".idx"))  # as some tools unpack it
        named = [directory / (other + end) for other in others for end in ("", ".gz")]
        paths = [path for path in named if path.is_file()]
        if not paths:
            raise InputError(f"{directory} has no {name} (nor {name}.gz)")
        found.append(read_idx(paths[0], ndim))
    images, labels = found
    if len(images) != len(labels):
        raise InputError(f"{directory}: {len(images)} {split} images but {len(labels)} labels")
    return images, labels
