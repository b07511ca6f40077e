"""From a checkpoint of the keyword network to a bundle that was measured.

    python -m edgesnn.models.keyword.ship CKPT --data DIR --out DIR [--card JSON]

DIR is what `edgesnn train keyword` takes. Measured on what training leaves out, on the integer
program, streamed by the CPU backend.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.backend import backend
from edgesnn.bundle import Bundle
from edgesnn.decide.spotting import SpottingSpec
from edgesnn.program import Layer, Program
from edgesnn.quantize.calibrate import calibrated_scale
from edgesnn.quantize.card import program_facts, ship_parser, told
from edgesnn.quantize.curve import training_curve
from edgesnn.quantize.save import save_bundle
from edgesnn.senses.encoder import EncoderSpec

from .convert import keyword_program
from .material import MOST, Batch, Material
from .net import LABELS
from .train import network_from
from .training import material_of

Evidence = NDArray[np.int64]
SPOTTING = SpottingSpec(
    labels=LABELS,
    scale=1.0,
    voice_events=30,
    window_us=50_000,
    lead_us=150_000,
    hang_us=180_000,
    trail_us=100_000,
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
    full = {
        **program_facts(program),
        "synapses_per_step_dense": synapses(program),
        **card,
    }
    spec = replace(SPOTTING, scale=scale, labels=trained.labels)
    encoder = EncoderSpec((bands, 1), levels)
    return save_bundle(out, program.name, program, encoder, spec, full, hearing=hearing)


def synapses(program: Program) -> int:
    """Return the weights that a step of the dense network uses; a delay costs nothing."""
    layers = [node for node in program.nodes if isinstance(node, Layer)]
    return int(sum(program.tensors[layer.weight].size for layer in layers))


def integer_evidence(bundle: Bundle, batches: list[Batch]) -> tuple[Evidence, Evidence]:
    """Stream each word through the integer program, from the initial state.

    Returns the evidence at its end, (words, classes), and its label, (words,).
    """
    stream, found, labels = backend("onnx_cpu").load(bundle).stream(), [], []
    for counts, lengths, expected in batches:
        frames = counts.numpy().astype(np.uint8)
        for i, length in enumerate(lengths.tolist()):
            stream.reset()
            evidence = np.zeros(len(bundle.readout.labels), np.int64)
            for frame in frames[:length, i]:
                evidence += stream.step(frame.reshape(bundle.program.input_shape))
            found.append(evidence)
        labels += expected.tolist()
    return np.array(found), np.array(labels)


def measured(bundle: Bundle, material: Material) -> list[dict[str, Any]]:
    """Return one entry per test set: how often the class with most evidence is right."""
    rows = []
    for name, batches, classes in material.checks():
        evidence, labels = integer_evidence(bundle, batches)
        right = evidence[:, :classes].argmax(axis=1) == labels
        rows.append({"data": name, "n": len(labels), "accuracy": round(float(right.mean()), 4)})
    return rows


def ship(checkpoint: Path, out: Path, *, material: Material, card: dict[str, Any]) -> Bundle:
    """Write a bundle, measure it and write it again with what was measured."""
    unit = float(network_from(checkpoint).net.unit())
    draft = bundled(checkpoint, out, scale=1 / unit, card=card)
    evidence, labels = integer_evidence(draft, material.sample())
    scale = calibrated_scale(evidence[:, None], labels, unit)
    card = {
        **card,
        "accuracy": measured(draft, material),
        "training_curve": training_curve(checkpoint),
    }
    return bundled(checkpoint, out, scale=scale, card=card)


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = ship_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    card = told(given)
    material = material_of(given.data, None, None)
    bundle = ship(given.checkpoint, given.out, material=material, card=card)
    print(json.dumps(bundle.card, indent=2))


if __name__ == "__main__":
    main()
