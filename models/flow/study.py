"""What each part of the flow network is worth: variants that are trained alike.

    python -m edgesnn.models.flow.study --out DIR [--updates N] [--only NAME ...]

Every variant sees the same moments of the same simulated scenes in the same order, with the first
stage's recipe, and is told by its error on scenes that none was trained on. Prints one line of JSON
for each; goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from .net import WIDE, FlowNet, FlowShape
from .recipe import FIRST
from .train import train

FIRST_SHAPE = FlowShape(windows=WIDE)
SINGLE = tuple((age, age + 1) for age in range(6))
"""As many windows as the first stage has, of one step each: 60 ms instead of 240."""

VARIANTS: dict[str, tuple[FlowShape, dict[str, Any]]] = {
    "as the first stage": (FIRST_SHAPE, {}),
    "a kernel for each of the residual pair": (replace(FIRST_SHAPE, shared=False), {}),
    "single steps instead of windows": (FlowShape(windows=SINGLE), {}),
    "separable first layer": (replace(FIRST_SHAPE, separable=True), {}),
    "one scale": (replace(FIRST_SHAPE, scales=1), {}),
    "no angle in the loss": (FIRST_SHAPE, {"angle": 0.0}),
    "graded activations": (replace(FIRST_SHAPE, graded=True), {}),
}


def weights_of(net: FlowNet) -> int:
    """Return how many weights the layers and the predictions that are used hold."""
    predictors = list(net.predictors)[-net.shape.scales :]
    held = {p for part in (net.layers, *predictors) for p in part.parameters() if p.ndim > 1}
    return sum(p.numel() for p in held)


def answered(name: str, out: Path, updates: int) -> dict[str, Any]:
    """Train a variant and return its error by cell, by moment and by speed."""
    shape, changed = VARIANTS[name]
    recipe = replace(FIRST, updates=updates, check=updates, **changed)
    folder = out / name.replace(" ", "_")
    net = train(folder, recipe, resume=True, shape=shape)
    log = (folder / "log.jsonl").read_text().splitlines()
    return {"variant": name, "weights": weights_of(net), **json.loads(log[-1])}


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--updates", type=int, default=1_500)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    given = parser.parse_args()
    for name in given.only:
        print(json.dumps(answered(name, given.out, given.updates)), flush=True)


if __name__ == "__main__":
    main()
