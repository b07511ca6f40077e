"""From the events of a step to the decision: encoder, network and readout, on one core.

    python benchmarks/slice_to_decision.py [--rounds 45] [--backend auto]

The first 60 steps of the bundled gesture clip. Each part alone and all of them one after the other;
us a step, the fastest round.
"""

from __future__ import annotations

import argparse
import timeit
from collections.abc import Callable

import numpy as np

from edgesnn.app import sample_path
from edgesnn.apps.gesture import APP
from edgesnn.backend import load_model
from edgesnn.bundle import load_bundle
from edgesnn.decide.readouts import open_readout
from edgesnn.senses.encoders import open_encoder
from edgesnn.sources.reading import read_events

STEPS = 60


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=45)
    parser.add_argument("--backend", default="auto")
    given = parser.parse_args()
    bundle = load_bundle("gesture")
    program, step_us = bundle.program, bundle.program.step_us
    name, model = load_model(given.backend, bundle)
    events, size = read_events(sample_path(APP))
    borders = np.searchsorted(events["t"], events["t"][0] + step_us * np.arange(STEPS + 1))
    parts = [events[a:b] for a, b in zip(borders, borders[1:], strict=False)]
    encoder = open_encoder(bundle.encoder, program.input_shape, size, step_us)
    stream, readout = model.stream(), open_readout(bundle.readout)
    xs = [encoder.encode(part, 0) for part in parts]
    ys = [stream.step(x).copy() for x in xs]

    def whole() -> None:
        for k, part in enumerate(parts):
            readout.update(stream.step(encoder.encode(part, 0)), len(part), k * step_us)

    timed: dict[str, Callable[[], object]] = {
        "encode": lambda: [encoder.encode(part, 0) for part in parts],
        f"step ({name})": lambda: [stream.step(x) for x in xs],
        "readout": lambda: [readout.update(y, 100, k * step_us) for k, y in enumerate(ys)],
        "all three": whole,
    }
    for what, run in timed.items():
        seconds = min(timeit.repeat(run, number=1, repeat=given.rounds))
        print(f"{what:<18} {1e6 * seconds / STEPS:7.1f} us")


if __name__ == "__main__":
    main()
