"""Which torch modules are carried over, and what flows between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgesnn.errors import InputError

from .float_stages import Floats

KNOWN = (
    "Conv2d, Linear, BatchNorm1d, BatchNorm2d, AvgPool2d, MaxPool2d on spikes, Upsample, Flatten, "
    "Dropout, IFNode, LIFNode, ParametricLIFNode, SlidingPSN; sums of spikes, products of two, "
    "1 - spikes times spikes"
)
INSTEAD = {
    "PSN": ": it sees the future; use SlidingPSN",
    "MaskedPSN": ": it has weights for every step; use SlidingPSN",
}
SKIPPED = ("Dropout", "Dropout2d", "Identity", "Flatten")
MODAL = ("Dropout", "Dropout2d", "BatchNorm1d", "BatchNorm2d")
"""Compute something else while they are trained."""
NEURONS = ("IFNode", "LIFNode", "ParametricLIFNode")
CONTAINERS = ("Sequential", "MultiStepContainer", "SeqToANNContainer")


def is_chain(module: Any) -> bool:
    """Whether a module is one that is known, or a Sequential of such."""
    children = list(module.named_children()) if hasattr(module, "named_children") else []
    if type(module).__name__ in CONTAINERS:
        return all(is_chain(child) for _, child in children)
    return not children or is_known(type(module).__name__)


def is_known(kind: str) -> bool:
    """Whether a class is read as a whole, whatever is in it."""
    weights = ("Conv2d", "Linear", "BatchNorm1d", "BatchNorm2d", "AvgPool2d", "MaxPool2d")
    return kind in (*SKIPPED, *NEURONS, *INSTEAD, *weights, "SlidingPSN", "Upsample")


@dataclass(frozen=True, slots=True)
class Flow:
    """What flows along an edge: the sum of weighted stages' X, or that of stages' spikes.

    without: it is 1 - those spikes.
    """

    sums: tuple[str, ...] = ()
    spikes: tuple[str, ...] = ()
    without: bool = False


def array_of(tensor: Any, where: str) -> Floats:
    """Return a parameter as float64; raises InputError where it is not finite."""
    found = np.asarray(tensor.detach().cpu().numpy(), np.float64)
    if not np.isfinite(found).all():
        raise InputError(f"{where}: holds values that are not finite")
    return found


def both(value: Any, where: str) -> int:
    """Return what is the same for height and width; raises InputError."""
    found = set(value) if isinstance(value, tuple | list) else {value}
    if len(found) != 1:
        raise InputError(f"{where}: {value} differs between height and width")
    return int(found.pop())
