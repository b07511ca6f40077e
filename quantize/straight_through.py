"""Rounding and firing with gradients, for training what will be integers and spikes."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


class _Spike(torch.autograd.Function):
    """Theta(z) with the derivative of an arctangent, alpha / (2 (1 + (pi alpha z / 2)^2))."""

    alpha = 2.0

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.save_for_backward(z)
        return (z >= 0).to(z.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (z,) = ctx.saved_tensors
        alpha = _Spike.alpha
        slope: Tensor = (alpha / 2) / (1 + (math.pi / 2 * alpha * z) ** 2)
        return gradients[0] * slope


def round_through(x: Tensor) -> Tensor:
    """Round half to even; the gradient passes unchanged (straight-through estimator)."""
    return _Round.apply(x)  # type: ignore[no-any-return,no-untyped-call]


def spike(z: Tensor) -> Tensor:
    """Return 1 where z >= 0, else 0; arctangent surrogate gradient."""
    return _Spike.apply(z)  # type: ignore[no-any-return,no-untyped-call]
