"""Train the flow network on simulated scenes that are made while it trains.

Every `check` updates it validates on scenes that are never trained on, prints one line, appends it
to OUT/log.jsonl and writes OUT/last.pt, from which `--resume` goes on.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from edgesnn.errors import InputError

from ..checkpoints import (
    LAST,
    check_same,
    descend,
    go_on_with,
    tell,
    trainers,
    write_checkpoint,
)
from .checkpoint import begin_with, flow_checkpoint, windows_of_state
from .data import AWAY, MOMENTS, Moment, Moments, moment, scene
from .loss import each_alone, loss_of
from .mean import SETTLED, settle
from .net import (
    AS_SHIPPED,
    SLOW,
    WINDOWS,
    FlowNet,
    FlowShape,
    Windows,
    smoothed,
)
from .recipe import Recipe

HELD_OUT = 1_000_000
"""Seed of the scenes that are only validated on: far from any seed of a training."""
LEAST_RATE = 0.06
"""Spikes per neuron below which a layer is pulled up again."""
BANDS = (0.0, 0.1, 0.3, 0.75, 1.5, 3.0, math.inf)
"""Borders of the speeds by which the held-out error is told, cells per step."""


def rate_at(update: int, recipe: Recipe) -> float:
    """The share of the full rate: a short rise, level, and a straight fall at the end."""
    rise = min(1.0, (update + 1) / 300)
    left = (recipe.updates - update) / max(1.0, recipe.decay * recipe.updates)
    return rise * min(1.0, max(0.005, left))


def held_out(count: int = 160, each: int = 3, windows: Windows = WINDOWS) -> list[Moment]:
    """Moments of scenes that are never trained on."""
    found = []
    for number in range(count):
        rng = np.random.default_rng((HELD_OUT, 1, number))
        one = scene(HELD_OUT, number)
        found += [moment(rng, one, windows) for _ in range(each)]
    return found


@torch.no_grad()
def errors(net: FlowNet, moments: list[Moment], smooth: bool) -> dict[str, Any]:
    """Held-out errors over the cells with events: by cell, by moment and by speed.

    smooth: of the field as it is told, else of each place alone.
    """
    net.eval()
    wrong, speeds, angles, frames = [], [], [], []
    for at in range(0, len(moments), 32):
        windows, flow, weight = (
            torch.stack(part) for part in zip(*moments[at : at + 32], strict=True)
        )
        y, seen = net(windows.float())[-1], weight > 2 * AWAY
        y = smoothed(y, seen.float()) if smooth else each_alone(y)
        error, speed = (y - flow).norm(dim=1), flow.norm(dim=1)
        relative = error / (speed + SLOW)
        frames += [float(r[s].mean()) for r, s in zip(relative, seen, strict=True) if s.any()]
        cosine = (y * flow).sum(1) / (y.norm(dim=1) * speed).clamp_min(1e-6)
        wrong.append(error[seen])
        speeds.append(speed[seen])
        angles.append(torch.rad2deg(torch.arccos(cosine[seen & (speed > 0.1)].clamp(-1, 1))))
    e, v = torch.cat(wrong), torch.cat(speeds)
    bands = [(v >= a) & (v < b) for a, b in zip(BANDS, BANDS[1:], strict=False)]
    return {
        "aee": round(float(e.mean()), 4),
        "relative": round(float((e / (v + SLOW)).mean()), 4),
        "frame": round(float(np.mean(frames)), 4),
        "angle": round(float(torch.cat(angles).mean()), 2),
        "bands": [round(float((e / (v + SLOW))[b].mean()), 3) for b in bands],
    }


@torch.no_grad()
def reliability(net: FlowNet, moments: list[Moment], steps: int = 5) -> list[dict[str, float]]:
    """Return evidence and error, as told, of a fifth of the cells each, from the least on."""
    net.eval()
    evidence, errors_found = [], []
    for at in range(0, len(moments), 32):
        windows, flow, weight = (
            torch.stack(part) for part in zip(*moments[at : at + 32], strict=True)
        )
        y = net(windows.float())[-1]
        seen = weight > 2 * AWAY
        told = smoothed(y, seen.float())
        relative = (told - flow).norm(dim=1) / (flow.norm(dim=1) + SLOW)
        evidence.append(y[:, 2][seen])
        errors_found.append(relative[seen])
    c, e = torch.cat(evidence), torch.cat(errors_found)
    order = c.argsort()
    return [
        {"evidence": round(float(c[part].mean()), 3), "relative": round(float(e[part].mean()), 4)}
        for part in order.tensor_split(steps)
    ]


def train(
    out: Path,
    recipe: Recipe,
    start: Path | None = None,
    resume: bool = False,
    shape: FlowShape = AS_SHIPPED,
) -> FlowNet:
    """Train and return the network; files go to `out`. start: checkpoint to begin with.

    shape: what stages and the study vary.
    """
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(1)  # the scenes need the other core
    out.mkdir(parents=True, exist_ok=True)
    net = FlowNet(shape=shape)
    if start is not None:
        begin_with(net, start)
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda n: rate_at(n, recipe))
    # Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization".
    mean = AveragedModel(net) if recipe.average else None
    done = 0
    if resume and (out / LAST).exists():
        saved = flow_checkpoint(out / LAST)
        if windows_of_state(saved) != shape.windows or (mean is not None and "mean" not in saved):
            raise InputError(
                f"{out / LAST} is of an older recipe, or another stage; train in another folder, "
                "with --start to begin with it"
            )
        check_same(out / LAST, saved, {"recipe": asdict(recipe)})
        net.load_state_dict(saved["net"])
        go_on_with(saved, optimiser, schedule)
        if mean is not None:
            mean.load_state_dict(saved["mean"])
        done = saved["updates"]
    cv2.setNumThreads(1)
    moments = Moments(recipe.seed, done * recipe.batch // MOMENTS, shape.windows, recipe.mix)
    check = held_out(windows=shape.windows)
    halves = has_bfloat16()
    began, losses = time.monotonic(), []
    # A process that is forked after OpenCV has started threads waits for them for ever.
    loader = DataLoader(
        moments,
        batch_size=recipe.batch,
        num_workers=1,
        prefetch_factor=16,
        multiprocessing_context="spawn",
    )
    batches = iter(loader)
    for update in range(done + 1, recipe.updates + 1):
        windows, flow, weight = next(batches)
        net.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=halves):
            sums = net(windows.float())
        loss = loss_of([y.float() for y in sums], flow, weight, recipe)
        loss = loss + sum(torch.relu(LEAST_RATE - rate) for rate in net.rates())
        descend(loss, optimiser, net)
        schedule.step()
        losses.append(float(loss.detach()))
        if mean is not None and update > (1 - recipe.average) * recipe.updates:
            mean.update_parameters(net)
        if mean is not None and update == recipe.updates:
            net.load_state_dict(mean.module.state_dict())
            settle(net, (next(batches)[0] for _ in range(SETTLED)))
        if update % recipe.check == 0 or update == recipe.updates:
            line: dict[str, Any] = {
                "update": update,
                "loss": round(float(np.mean(losses)), 4),
                **errors(net, check, smooth=recipe.smooth > 0),
                "rates": [round(float(rate.detach()), 3) for rate in net.rates()],
                "minutes": round((time.monotonic() - began) / 60, 1),
            }
            losses = []
            tell(out, line)
            state = {
                "net": net.state_dict(),
                "updates": update,
                "recipe": asdict(recipe),
                "sizes": list(net.sizes),
                "windows": [list(window) for window in shape.windows],
                **({} if mean is None else {"mean": mean.state_dict()}),
            }
            write_checkpoint(out, state | trainers(optimiser, schedule))
    return net


def has_bfloat16() -> bool:
    """Whether this machine multiplies bfloat16: convolutions then take two thirds of the time.

    Weights and spikes are exact in it; sums are rounded, which training does not mind.
    """
    can = torch.cpu.get_capabilities()
    return bool(can.get("avx512_bf16") or can.get("amx_bf16"))
