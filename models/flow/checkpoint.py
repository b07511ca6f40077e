"""Checkpoints of the flow network, whose windows are split from stage to stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgesnn.errors import InputError

from ..checkpoints import read_checkpoint
from .net import WIDE, FlowNet, FlowShape, Windows, split_windows


def flow_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; raises InputError when it is missing or not one of ours."""
    return read_checkpoint(path, ("net", "sizes"), "the flow network")


def network_from(path: Path) -> FlowNet:
    """Return the network of a checkpoint, in eval mode."""
    state = flow_checkpoint(path)
    near, middle, far = state["sizes"]
    net = FlowNet(near, middle, far, FlowShape(windows=windows_of_state(state)))
    net.load_state_dict(state["net"])
    return net.eval()


def begin_with(net: FlowNet, start: Path) -> None:
    """Give `net` the weights of a checkpoint whose windows are its own or hold them."""
    state = flow_checkpoint(start)
    first = "layers.near.shared.weight"
    weights = state["net"]
    had, wanted = windows_of_state(state), net.shape.windows
    if not all(any(a <= c and d <= b for a, b in had) for c, d in wanted):
        raise InputError(f"{start} is of a network whose windows do not hold those of this stage")
    weights[first] = split_windows(weights[first], had, wanted)
    net.load_state_dict(weights)


def windows_of_state(state: dict[str, Any]) -> Windows:
    """Return the windows of a checkpoint; the first ones did not say theirs."""
    return tuple((begin, end) for begin, end in state.get("windows", WIDE))
