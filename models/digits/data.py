"""What the digit networks are trained on: images as first-spike times, recordings as events."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def latency_spikes(images: Tensor, steps: int, *, dark: bool) -> Tensor:
    """Turn images into one spike per pixel, the brighter the earlier; see `edgesnn.senses.latency`.

    images: (B, H, W), 0 to 255. Returns (steps, B, 2, H, W): channel 1 (ON) fires at step
    (255 - v) steps // 255, never for v = 0; channel 0 (OFF), if `dark`, does so for 255 - v.
    """
    on = _at((255 - images).long(), steps)
    off = _at(images.long(), steps) if dark else torch.zeros_like(on)
    return torch.stack([off, on], dim=2)


def _at(lateness: Tensor, steps: int) -> Tensor:
    when = lateness * steps // 255
    return torch.stack([(when == t).float() for t in range(steps)])


def jittered(
    images: Tensor,
    generator: torch.Generator,
    *,
    degrees: float,
    scale: float,
    shear: float,
    shift: float,
    whole: bool,
    flip: bool,
) -> Tensor:
    """Return randomly moved copies of images (B, H, W), rounded to 0 .. 255.

    degrees, scale, shear, shift (pixels): largest deviation, uniform. whole: whether shifts are
    rounded to whole pixels, which blurs nothing. flip: left and right, one in two.
    """
    count, height, width = images.shape

    def uniform(limit: float) -> Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * limit

    angle, size = torch.deg2rad(uniform(degrees)), 1 + uniform(scale)
    stretch, lean = 1 + uniform(scale / 2), uniform(shear)
    sign = torch.ones(count)
    if flip:
        sign = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) * size, torch.sin(angle) * size
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = sign * cos * stretch, -sin + lean
    theta[:, 1, 0], theta[:, 1, 1] = sign * sin, cos / stretch
    across, down = uniform(shift), uniform(shift)
    if whole:
        across, down = across.round(), down.round()
    theta[:, 0, 2], theta[:, 1, 2] = across * 2 / width, down * 2 / height
    grid = F.affine_grid(theta, [count, 1, height, width], align_corners=False)
    moved = F.grid_sample(images[:, None].float(), grid, align_corners=False)[:, 0]
    return moved.round().clamp(0, 255)
