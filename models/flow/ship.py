"""From a checkpoint to a bundle that can be shipped: convert, measure, write, verify.

    python -m edgesnn.models.flow.ship CKPT --card models/flow/card.json --out models/zoo

What the card says of simulated scenes is measured here, on the integer program.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from edgesnn.bundle import Bundle
from edgesnn.decide.motion import DIRECTIONS, TURNS, MotionSpec
from edgesnn.quantize import card as cards
from edgesnn.quantize.save import save_bundle
from edgesnn.senses.cells import CellsSpec

from .checkpoint import network_from
from .convert import flow_program
from .data import HIGHEST
from .net import BINS, REACH, SLOW
from .scenes import CELL
from .train import errors, held_out, reliability

MULTIPLE = 8
SMALL_GRID = (32, 40)
"""Rows and columns of the program that is stored; it is fitted to each sensor."""
NAME = "flow"
ROUNDS = 2


def ship(checkpoint: Path, out: Path, *, card: dict[str, Any], scenes: int = 160) -> Bundle:
    """Convert a checkpoint, measure it on `scenes` held-out ones and write the bundle to `out`.

    card: what people should know that is not measured here.
    """
    net = network_from(checkpoint)
    program = flow_program(net, *SMALL_GRID)
    readout = MotionSpec(
        labels=(*DIRECTIONS, *TURNS),
        unit=float(np.float32(net.unit().item())),
        slow=SLOW,
        still=0.02,
        least_places=12,
        decay_shift=3,
        enter=0.45,
        leave=0.25,
        told_as=NAME,
        reach=REACH,
        rounds=ROUNDS,
    )
    encoder = CellsSpec(cell=CELL, parts=BINS, highest=HIGHEST, multiple=MULTIPLE)
    moments = held_out(scenes)
    found = errors(net, moments, smooth=True)
    told = f"simulated scenes, held out: relative error {found['relative']:.2f}, network alone"
    full = {
        **card,
        **cards.program_facts(program),
        "measured": [{"data": told, "n": scenes}],
        "held_out_scenes": {"scenes": scenes, **found},
        "reliability": reliability(net, moments),
    }
    return save_bundle(out, NAME, program, encoder, readout, full, any_grid=True)


def main() -> None:
    """Run from the command line; see the module's head."""
    arguments = cards.ship_parser(__doc__).parse_args()
    bundle = ship(arguments.checkpoint, arguments.out, card=cards.told(arguments))
    print(json.dumps(bundle.card, indent=2))


if __name__ == "__main__":
    main()
