"""Weighted maps and pooling of a NIR graph, as stages of a `FloatNet`."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgesnn.errors import InputError

from .float_stages import Pooled, Weighted
from .nir_values import both, finite


def weighted_map(own: str, source: str, node: Any, kind: str, where: str) -> Weighted:
    """Return an Affine, Linear, Conv1d or Conv2d as a stage; raises InputError."""
    weight = finite(node.weight, where, "weight")
    bias = finite(getattr(node, "bias", np.zeros(weight.shape[0])), where, "bias")
    axes = {"Conv2d": 4, "Conv1d": 3}.get(kind, 2)
    if weight.ndim != axes or bias.shape != weight.shape[:1]:
        raise InputError(f"{where}: weight of {weight.shape} and bias of {bias.shape}")
    if axes == 2:
        return Weighted(own, source, weight, bias)
    if both(node.dilation, where, "dilation") != 1:
        raise InputError(f"{where}: dilated kernels are not carried over")
    stride, padding = both(node.stride, where, "stride"), node.padding
    if isinstance(padding, str):
        if padding not in ("same", "valid") or len(set(weight.shape[2:])) != 1:
            raise InputError(f"{where}: padding {padding!r} of a kernel of {weight.shape[2:]}")
        if padding == "same" and (stride != 1 or weight.shape[2] % 2 == 0):
            raise InputError(f"{where}: padding 'same' needs stride 1 and odd kernels")
        padding = weight.shape[2] // 2 if padding == "same" else 0
    if kind == "Conv1d":  # an image of one row; rows of zeros take what padding adds
        rows = 2 * both(padding, where, "padding") + 1
        wide = np.zeros((*weight.shape[:2], rows, weight.shape[2]))
        wide[:, :, rows // 2] = weight
        weight = wide
    return Weighted(
        own,
        source,
        weight,
        bias,
        stride=stride,
        padding=both(padding, where, "padding"),
        groups=int(node.groups),
    )


def pooled_map(own: str, source: str, node: Any, kind: str, where: str) -> Pooled:
    """Return a SumPool2d or AvgPool2d as a stage; raises InputError."""
    size, stride = (both(getattr(node, n), where, n) for n in ("kernel_size", "stride"))
    if stride != size or both(node.padding, where, "padding"):
        raise InputError(f"{where}: windows of {size} every {stride}; they must not overlap")
    return Pooled(own, source, size, "sum" if kind == "SumPool2d" else "mean")
