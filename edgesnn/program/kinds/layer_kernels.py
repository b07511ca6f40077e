"""When a kernel of ONNX Runtime computes a layer exactly, on every processor.

`fits_int8`: the kernels for uint8 x int8. On x86 without VNNI they add pairs of products in int16
and saturate (vpmaddubsw, "8-bit" in ONNX Runtime's quantisation guide), so the two largest weights
times the largest stored input must fit int16; which weights meet in a pair is the kernel's
business, so the bound is for the worst pair. Everywhere else they are exact in int32.
`fits_rescaling`: the comparison inside the rescaling is exact.
`fits_float32`: float32 holds integers below 2**24, in any order of addition.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgesnn.program.kinds.layer_bounds import Filtered, filtered_bounds_of, sum_bounds_of
from edgesnn.program.node import Known, Tensor

INT16 = 2**15 - 1
FLOAT32 = 2**24
SHARPEST = 22
"""Largest power of two by which spike_rescaling may divide: beyond, float32 blurs the threshold."""


@dataclass(frozen=True, slots=True)
class Rescaling:
    """Divide (sum + bias) by scale and round: 1 where sum >= theta, else 0 (after saturation)."""

    scale: float
    bias: Tensor


def fits_float32(known: Known, layer: Filtered) -> bool:
    """Whether every partial sum, with or without a threshold in it, is exact in float32."""
    lows, highs = sum_bounds_of(known, layer)
    return int((highs - lows).max()) + 1 < FLOAT32


def fits_int8(known: Known, layer: Filtered) -> bool:
    """Whether uint8 x int8 kernels are exact for a layer, whatever its input is."""
    low, high = filtered_bounds_of(known, layer)
    stored = high - low
    weight = np.sort(np.abs(known.tensors[layer.weight].astype(np.int64)), axis=None)
    pair = int(weight[-2:].sum())
    return stored <= 255 and stored * pair <= INT16


def fits_rescaling(known: Known, layer: Filtered) -> bool:
    """Whether `spike_rescaling` is sharp enough for a layer with thresholds."""
    return _octaves(known, layer) <= SHARPEST


def spike_rescaling(known: Known, layer: Filtered) -> Rescaling:
    """Return how QLinearConv's rescaling to uint8 compares sums with thresholds by itself.

    With d = 2**(s-1) + 1, bias = d - theta and scale = 2d - 1, a sum one below theta becomes
    (d - 1) / (2d - 1) < 1/2 and rounds to 0; theta becomes d / (2d - 1) > 1/2 and rounds to 1; so
    does the highest sum, as long as 2**s exceeds highest - theta; lower ones saturate at 0. No
    ties, and both sides of 1/2 are further from it than float32 can err for s <= SHARPEST.
    """
    half = 2 ** (_octaves(known, layer) - 1) + 1
    bias = (half - reachable_thresholds(known, layer)).astype(np.int32)
    return Rescaling(float(2 * half - 1), bias)


def reachable_thresholds(known: Known, layer: Filtered) -> Tensor:
    """Return the thresholds, int64 (out,); those out of the sums' reach are moved next to it."""
    assert layer.threshold is not None
    lows, highs = sum_bounds_of(known, layer)
    return np.clip(known.tensors[layer.threshold].astype(np.int64), lows, highs + 1)


def _octaves(known: Known, layer: Filtered) -> int:
    """Return the least s from 1 on with 2**s > highest sum - theta, for every channel."""
    _, highs = sum_bounds_of(known, layer)
    above = int((highs - reachable_thresholds(known, layer)).max())
    return max(1, above.bit_length())
