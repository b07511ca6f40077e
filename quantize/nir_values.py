"""The numbers of NIR nodes, checked; where: the node, for the sentence of an error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError

from .float_stages import Floats


def finite(values: Any, where: str, name: str) -> Floats:
    """Return numbers as float64; raises InputError for others and for what is not finite."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiu" or array.size == 0:
        raise InputError(f"{where}: {name} is {array.dtype} of shape {array.shape}, not numbers")
    floats: Floats = array.astype(np.float64)
    if not np.isfinite(floats).all():
        raise InputError(f"{where}: {name} holds values that are not finite")
    return floats


def both(value: Any, where: str, name: str) -> int:
    """Return a whole number that is the same for height and width."""
    found: NDArray[Any] = np.unique(np.asarray(value))
    if len(found) != 1 or found.dtype.kind not in "iuf" or found[0] != int(found[0]):
        raise InputError(f"{where}: {name} is {value}; wanted one whole number for both sides")
    if not 0 <= int(found[0]) < 1 << 16:
        raise InputError(f"{where}: {name} is {value}")
    return int(found[0])


def one(values: Any, where: str, name: str) -> float:
    """Return the number that all are; raises InputError where they differ."""
    found = np.unique(finite(values, where, name))
    if len(found) != 1:
        raise InputError(
            f"{where}: {name} differs between neurons ({found.min():g} to {found.max():g}); one "
            "for the layer is carried over"
        )
    return float(found[0])


def same_or_by_channel(values: Any, where: str, name: str) -> float | Floats:
    """Return the number that all are, else one a channel; raises InputError."""
    found = finite(values, where, name)
    if (found == found.flat[0]).all():
        return float(found.flat[0])
    return by_channel(found, where, name, least=None)


def by_channel(values: Any, where: str, name: str, least: float | None = 0.0) -> Floats:
    """Return one number a channel, each above `least`; raises InputError."""
    found = finite(values, where, name)
    flat = found.reshape(found.shape[0] if found.ndim else 1, -1)
    if (flat != flat[:, :1]).any():
        raise InputError(f"{where}: {name} differs within a channel; one a channel is carried over")
    if least is not None and (flat <= least).any():
        raise InputError(f"{where}: {name} must be above 0")
    channels: Floats = flat[:, 0].copy()
    return channels
