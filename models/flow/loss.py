"""What a wrong field of motion costs."""

from __future__ import annotations

import torch
from torch import Tensor

from edgesnn.decide.motion_field import FASTEST_G

from .data import AWAY
from .net import SLOW, compressed, expanded, smoothed
from .recipe import Recipe

SCALES = (0.3, 0.5, 1.0)
"""Weights of the three running sums in the loss, coarse to fine."""


def loss_of(sums: list[Tensor], flow: Tensor, weight: Tensor, recipe: Recipe) -> Tensor:
    """Error of the compressed motion, angle, relative error and evidence, over cells and scales.

    flow (B, 2, h, w): cells per step; weight (B, h, w). A moment weighs as the root of its cells,
    so that dense scenes do not outvote sparse ones. The angle is that of Cuadrado et al. 2023,
    where something moves. The evidence c is the likelihood of an error e of mean exp(-c): it
    costs e exp(c) - c. With `smooth` the field as it is told costs too, and evidence learns where
    to look.
    """
    seen = (weight > 2 * AWAY).to(weight.dtype)
    weight = weight / weight.sum((1, 2), keepdim=True).clamp_min(4).sqrt()
    total = weight.sum().clamp_min(1)
    wanted = compressed(flow)
    loss = flow.new_zeros(())
    for y, scale in zip(sums, SCALES[-len(sums) :], strict=True):
        error, each = _wrong(y[:, :2], wanted, flow, recipe)
        c = y[:, 2].clamp(-2, 4)
        each = each + recipe.evidence * (error.detach() * torch.exp(c) - c)
        loss = loss + scale * (weight * each).sum() / total
    if recipe.smooth:
        _, each = _wrong(compressed(smoothed(sums[-1], seen)), wanted, flow, recipe)
        loss = loss + recipe.smooth * (weight * each).sum() / total
    return loss


def _wrong(g: Tensor, wanted: Tensor, flow: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Return the length of the error of g, (B, h, w), and what it costs with the other two."""
    error = ((g - wanted).square().sum(1) + 1e-6).sqrt()
    length = (g.square().sum(1) + 1e-6).sqrt()
    size = wanted.square().sum(1).sqrt().clamp_min(1e-3)
    speed = flow.square().sum(1).sqrt()
    cosine = (g * wanted).sum(1) / (length * size)
    angle = torch.arccos(cosine.clamp(-1 + 1e-3, 1 - 1e-3)) * (speed > 0.03)
    off = (each_alone(g) - flow).square().sum(1)
    relative = (off + 1e-6).sqrt() / (speed + SLOW)
    cost = error + recipe.angle * angle + recipe.relative * relative.clamp_max(3)
    return error, cost


def each_alone(y: Tensor) -> Tensor:
    """Return motion (B, 2, h, w), cells per step, of the first two maps of y."""
    return expanded(y[:, :2].clamp(-FASTEST_G, FASTEST_G))
