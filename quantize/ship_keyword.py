"""From a checkpoint of the keyword network to a bundle that was measured.

    python -m edgesnn.quantize.ship_keyword CKPT --data FSDD --out DIR [--card JSON]

Measured on takes 5 to 9 of the Free Spoken Digit Dataset, which training leaves out.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgesnn.backend import backend
from edgesnn.bundle import Bundle, EncoderSpec
from edgesnn.evaluate_keyword import closed_evidence, evaluate_keyword
from edgesnn.models.keyword_net import LABELS
from edgesnn.models.train_keyword import MOST, network_from
from edgesnn.program import Layer, Program
from edgesnn.sources.sound_file import read_sound
from edgesnn.spoken import spoken_digits
from edgesnn.spotting import SpottingSpec

from .convert_keyword import keyword_program
from .integers import sum_bounds
from .save import save_bundle

TEST_TAKES = (5, 9)
SPOTTING = SpottingSpec(
    labels=LABELS,
    scale=1.0,
    voice_events=30,
    window_us=50_000,
    lead_us=150_000,
    hang_us=180_000,
    least_us=120_000,
    most_us=1_500_000,
    hold_us=300_000,
    enter=0.6,
)


def bundled(checkpoint: Path, out: Path, *, scale: float, card: dict[str, Any]) -> Bundle:
    """Convert a checkpoint and write its bundle. scale: score units per nat."""
    trained = network_from(checkpoint)
    hearing, bands = trained.hearing, trained.net.shape.bands
    step_us = 10_000 if hearing is None else hearing.step_us
    program = keyword_program(trained.net, step_us=step_us, input_high=MOST)
    levels = tuple(min(n, MOST) for n in range(256))
    bounds = sum_bounds(program)
    full = {
        "params": sum(t.size for t in program.tensors.values()),
        "distinct_weights": sum(t.size for n, t in program.tensors.items() if n.startswith("w_")),
        "synapses_per_step_dense": synapses(program),
        "step_us": program.step_us,
        "largest_possible_sum": max(bounds.values()),
        **card,
    }
    spec = replace(SPOTTING, scale=scale, labels=trained.labels)
    encoder = EncoderSpec((bands, 1), levels)
    return save_bundle(out, "keyword", program, encoder, spec, full, hearing=hearing)


def synapses(program: Program) -> int:
    """Return the weights that a step of the dense network uses; a delay costs nothing."""
    layers = [node for node in program.nodes if isinstance(node, Layer)]
    return int(sum(program.tensors[layer.weight].size for layer in layers))


def calibrated_scale(bundle: Bundle, data: Path, unit: float) -> float:
    """Return score units per nat that minimise the cross entropy of training takes 10 to 14.

    unit: value of one integer of score, in logits, from training.
    """
    stream = backend("onnx_cpu").load(bundle).stream()
    assert bundle.hearing is not None
    recordings = spoken_digits(data, (10, 14))
    sounds = [read_sound(item.path, bundle.hearing.rate_hz) for item in recordings]
    evidence = np.array([closed_evidence(bundle, stream, sound) for sound in sounds]) * unit
    labels = np.array([item.digit for item in recordings])

    def cross_entropy(temperature: float) -> float:
        z = evidence / temperature
        z = z - z.max(axis=1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        return float(-log_p[np.arange(len(labels)), labels].mean())

    return float(round(min(np.geomspace(0.25, 8, 41), key=cross_entropy) / unit, 1))


def ship(checkpoint: Path, out: Path, *, data: Path, card: dict[str, Any]) -> Bundle:
    """Write a bundle, measure it and write it again with what was measured."""
    unit = float(network_from(checkpoint).net.unit())
    draft = bundled(checkpoint, out, scale=1 / unit, card=card)
    scale = calibrated_scale(draft, data, unit)
    draft = bundled(checkpoint, out, scale=scale, card=card)
    report = evaluate_keyword(draft, backend("onnx_cpu").load(draft), data, takes=TEST_TAKES)
    rows = {
        "accuracy": [
            {
                "data": "Free Spoken Digit Dataset, takes 5 to 9 (speakers known, takes unseen)",
                "n": report["n"],
                "accuracy": round(report["accuracy"], 4),
                "spotted_in_a_stream": round(report["spotted"], 4),
                "per_speaker": {k: round(v, 4) for k, v in report["per_speaker"].items()},
            }
        ]
    }
    return bundled(checkpoint, out, scale=scale, card={**card, **rows})


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--card", type=Path, help="JSON with what is not measured here")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    card = json.loads(given.card.read_text()) if given.card else {}
    bundle = ship(given.checkpoint, given.out, data=given.data, card=card)
    print(json.dumps(bundle.card, indent=2))


if __name__ == "__main__":
    main()
