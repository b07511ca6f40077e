"""What every training keeps in its folder: the log, line by line, and the last checkpoint."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgesnn.errors import InputError

LAST = "last.pt"


def tell(out: Path, line: dict[str, Any]) -> None:
    """Print a line about a training and append it to OUT/log.jsonl."""
    text = json.dumps(line)
    print(text, flush=True)
    with (out / "log.jsonl").open("a") as log:
        log.write(text + "\n")


def descend(loss: torch.Tensor, optimiser: torch.optim.Optimizer, net: nn.Module) -> None:
    """Take one step of an optimiser, the gradient of `net` no longer than 1."""
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()


def trainers(
    optimiser: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler
) -> dict[str, Any]:
    """Return what a checkpoint keeps of an optimiser and its rate."""
    return {"optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}


def go_on_with(
    saved: dict[str, Any],
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> None:
    """Give an optimiser and its rate what `trainers` kept."""
    optimiser.load_state_dict(saved["optimiser"])
    schedule.load_state_dict(saved["schedule"])


def check_same(path: Path, saved: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise InputError unless a training that goes on has the settings that it began with.

    wanted: what the checkpoint must hold, by key; of dictionaries, such as a recipe, each entry.
    """
    for key, now in wanted.items():
        had = saved.get(key, now)  # an older one does not tell all
        if had == now:
            continue
        told = key
        if isinstance(had, dict) and isinstance(now, dict):
            told = next(name for name in (*now, *had) if had.get(name) != now.get(name))
            had, now = had.get(told), now.get(told)
        if all(isinstance(value, int | float | str) for value in (had, now)):
            told = f"{told} {had}, now {now}"
        raise InputError(
            f"{path} is of a training with other settings ({told}): --resume goes on with the "
            "same ones; leave it out and train in another folder"
        )


def load_weights(net: nn.Module, weights: dict[str, Any], path: Path, kind: str) -> None:
    """Give a network the weights of a checkpoint; raises InputError where they are another's."""
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"{path} is not a checkpoint of {kind}") from error


def write_checkpoint(out: Path, state: dict[str, Any]) -> None:
    """Write OUT/last.pt, whole or not at all; read back with weights_only (no code in the file)."""
    part = out / "last.part"
    torch.save(state, part)
    part.replace(out / LAST)


def read_checkpoint(path: Path, keys: Iterable[str], kind: str) -> dict[str, Any]:
    """Read a checkpoint; raises InputError when it is missing or lacks one of its keys.

    kind: what it should be of, for the sentence ("a digit network").
    """
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"there is no checkpoint {path}") from error
    except Exception as error:  # a folder, another format, damage: torch raises many kinds
        raise InputError(f"{path} is not a checkpoint of {kind}") from error
    if any(key not in state for key in keys):
        raise InputError(f"{path} is not a checkpoint of {kind}")
    return state
