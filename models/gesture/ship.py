"""From a checkpoint to a bundle that can be shipped: convert, measure, write, verify.

    python -m edgesnn.models.gesture.ship CKPT --clips runs/clips --real DIR --out models/zoo

Everything the card states about accuracy is measured here, on the integer program run step by
step through the ONNX backend as `edgesnn eval` does, beside the float network on the same clips.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.backend import Model, backend
from edgesnn.bundle import Bundle
from edgesnn.decide.evidence import ReadoutSpec
from edgesnn.measure.evaluate import evaluate
from edgesnn.program import Layer, Program
from edgesnn.quantize.calibrate import calibrated_scale
from edgesnn.quantize.card import program_facts, ship_parser, told
from edgesnn.quantize.integers import sum_bounds
from edgesnn.quantize.save import save_bundle
from edgesnn.senses.encoder import EncoderSpec

from .clips import write_recordings
from .convert import gesture_program
from .data import (
    GRID,
    LABELS,
    LEVELS,
    SENSOR,
    STEP_US,
    Clip,
    frames,
    real_clips,
)
from .net import GestureNet
from .train import (
    DECAY_SHIFT,
    held_out,
    network_from,
    predictions,
    with_variants,
)

CLIP_STEPS = 58
"""A real clip lasts 1.45 s: 58 steps of 25 ms."""


def macs_per_step(program: Program) -> int:
    """Return the multiply-accumulates of one step of the dense network."""
    total = 0
    for node in program.nodes:
        if isinstance(node, Layer):
            weight = program.tensors[node.weight]
            positions = int(np.prod(program.values[node.name].shape[1:]))
            total += weight.size * positions
    return total


def integer_evidence(model: Model, clips: Sequence[Clip]) -> NDArray[np.int64]:
    """Stream each clip through the integer program, from the initial state.

    Returns the readout's evidence after every step, (clips, steps, classes).
    """
    found = np.zeros((len(clips), CLIP_STEPS, len(LABELS)), np.int64)
    for i, clip in enumerate(clips):
        stream, evidence = model.stream(), np.zeros(len(LABELS), np.int64)
        for t, x in enumerate(frames(clip, CLIP_STEPS)):
            evidence += stream.step(x) - (evidence >> DECAY_SHIFT)
            found[i, t] = evidence
    return found


def measured(bundle: Bundle, net: GestureNet, sets: dict[str, list[Clip]]) -> list[dict[str, Any]]:
    """Return one entry per data set: how often the model is right.

    accuracy, accuracy_state_carried: as `edgesnn eval` reports them, state reset before each clip
    or carried over. evidence_integer, evidence_float: the class with most evidence at the end of
    each clip, of the integer program and of the float network it came from.
    """
    model = backend("onnx_cpu").load(bundle)
    rows: list[dict[str, Any]] = []
    for name, clips in sets.items():
        labels = np.array([c.label for c in clips])
        integer = integer_evidence(model, clips)[:, -1].argmax(axis=1)
        with tempfile.TemporaryDirectory() as folder:
            write_recordings(Path(folder), clips)
            rows.append(
                {
                    "data": name,
                    "n": len(clips),
                    "accuracy": evaluate(bundle, model, folder)["accuracy"],
                    "accuracy_state_carried": evaluate(bundle, model, folder, carry_state=True)[
                        "accuracy"
                    ],
                    "evidence_integer": float((integer == labels).mean()),
                    "evidence_float": float((predictions(net, clips, CLIP_STEPS) == labels).mean()),
                }
            )
    return [{k: round(v, 4) if isinstance(v, float) else v for k, v in r.items()} for r in rows]


def ship(
    checkpoint: Path,
    out: Path,
    *,
    sets: dict[str, list[Clip]],
    calibrate_on: str,
    card: dict[str, Any],
    name: str = "gesture",
) -> Bundle:
    """Convert a checkpoint, measure it on the named sets and write the bundle to `out`.

    calibrate_on: the set whose clips fix the readout's confidence scale. card: what people
    should know that is not measured here (licence, training data, limits).
    """
    net = network_from(checkpoint)
    program = gesture_program(net, step_us=STEP_US, grid=GRID, input_high=max(LEVELS))
    encoder = EncoderSpec(sensor=(SENSOR, SENSOR), levels=LEVELS)
    readout = ReadoutSpec(
        labels=LABELS,
        scale=1.0,
        decay_shift=DECAY_SHIFT,
        enter=0.8,
        leave=0.4,
        quiet_events=150,
        quiet_us=200_000,
        nothing="no gesture",
    )
    bundle = save_bundle(out, name, program, encoder, readout, card)
    clips = sets[calibrate_on]
    scale = calibrated_scale(
        integer_evidence(backend("onnx_cpu").load(bundle), clips)[:, CLIP_STEPS // 2 :],
        np.array([c.label for c in clips]),
        float(net.unit()),
    )
    bundle = replace(bundle, readout=replace(readout, scale=scale))
    bounds = sum_bounds(program)
    full = {
        **card,
        **program_facts(program),
        "macs_per_step": macs_per_step(program),
        "sums_fit_int16": sorted(n for n, b in bounds.items() if b < 2**15),
        "accuracy": measured(bundle, net, sets),
    }
    return save_bundle(out, name, program, encoder, bundle.readout, full)


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = ship_parser(__doc__)
    parser.add_argument("--clips", type=Path, required=True, help="simulated shards")
    parser.add_argument("--real", type=Path, help="labelled folder of recordings")
    parser.add_argument("--real-was-trained-on", action="store_true")
    arguments = parser.parse_args()
    simulated = "simulated gestures, held out"
    sets = {simulated: held_out(arguments.clips)}
    if arguments.real is not None:
        kind = "trained on" if arguments.real_was_trained_on else "never trained on"
        real = real_clips(arguments.real)
        sets[f"real DVS128 Gesture clips ({kind})"] = real
        sets[f"those clips, mirrored and reversed ({kind})"] = with_variants(real)
    card = told(arguments)
    bundle = ship(arguments.checkpoint, arguments.out, sets=sets, calibrate_on=simulated, card=card)
    print(json.dumps(bundle.card, indent=2))


if __name__ == "__main__":
    main()
