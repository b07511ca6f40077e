"""What a keyword network would gain from silent steps after the word, for which nothing waits.

    python benchmarks/silent_steps.py --data FSDD --takes 5-9

The published recipe runs the network on after the input, so that what the delays still hold arrives
(Hammouamri et al., ICLR 2024: half the delays' span per layer). Prints how many words have most
evidence for the right digit after so many silent steps; 0 is what `edgesnn eval keyword` reports.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from edgesnn.apps.keyword.spoken import spoken_digits, takes_typed
from edgesnn.apps.keyword.words import closed_evidence
from edgesnn.backend import backend
from edgesnn.bundle import load_bundle
from edgesnn.sources.sound_file import read_sound

STEPS = (0, 6, 12, 24, 36, 48, 72)
DIGITS = 10


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--takes")
    parser.add_argument("--model", default="keyword")
    given = parser.parse_args()
    bundle = load_bundle(given.model)
    assert bundle.hearing is not None
    stream = backend("onnx_cpu").load(bundle, threads=1).stream()
    takes = None if given.takes is None else takes_typed(given.takes)
    recordings = spoken_digits(given.data, takes)
    right = dict.fromkeys(STEPS, 0)
    for item in recordings:
        sound = read_sound(item.path, bundle.hearing.rate_hz)
        evidence = closed_evidence(bundle, stream, sound)
        silent = np.zeros(bundle.program.input_shape, np.uint8)
        for step in range(max(STEPS) + 1):
            if step in right:
                right[step] += int(evidence[:DIGITS].argmax()) == item.digit
            evidence = evidence + stream.step(silent)
    for step, count in right.items():
        print(f"{step:3} silent steps: {count} of {len(recordings)}, {count / len(recordings):.2%}")


if __name__ == "__main__":
    main()
