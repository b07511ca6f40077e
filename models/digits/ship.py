"""From a checkpoint of a digit network to a bundle that was measured.

    python -m edgesnn.models.digits.ship CKPT --name mnist --data DIR --out DIR [--card JSON]

DIR is what `edgesnn eval digits` takes. Everything measured comes from the integer program,
streamed by the CPU backend.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgesnn.apps.digits.trials import counted_trials, report
from edgesnn.backend import backend
from edgesnn.bundle import Bundle
from edgesnn.decide.exit_rule import EXACT, ExitRule
from edgesnn.decide.trial import TrialSpec
from edgesnn.quantize.card import program_facts, ship_parser, told
from edgesnn.quantize.curve import training_curve
from edgesnn.quantize.save import save_bundle
from edgesnn.senses.encoder import EncoderSpec
from edgesnn.senses.latency import LatencySpec

from .convert import digits_program
from .nmnist import SIZE, START_EVENTS, STEP_US
from .train import network_from

IMAGE_STEP_US = 5_000
REST_STEPS = 2
"""After a trial of 300 ms: recordings of N-MNIST last up to 316 ms."""
MARGINS = (0.05, 0.1, 0.2, 0.3, 0.5)
DIGITS = tuple("0123456789")
CLOTHES = (
    "t-shirt",
    "trousers",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
LEVELS = (0, *[1] * 255)


def bundled(checkpoint: Path, out: Path, *, name: str, card: dict[str, Any]) -> Bundle:
    """Convert a checkpoint and write its bundle; images where the network is 28 wide."""
    net, recipe = network_from(checkpoint)
    shape = net.shape
    images = shape.size != SIZE
    program = digits_program(net, name=name, step_us=IMAGE_STEP_US if images else STEP_US)
    whole = (shape.last + shape.steps - 1) * shape.population
    spec = TrialSpec(
        labels=CLOTHES if name == "fashion" else DIGITS,
        steps=shape.steps,
        population=shape.population,
        scale=whole / recipe["sharpness"],
        start_events=1 if images else START_EVENTS,
        last=shape.last,
        rest_steps=0 if images else REST_STEPS,
    )
    latency = None
    if images:
        latency = LatencySpec(
            shape.steps, recipe["dark"], shape.size, "object" if name == "fashion" else "ink"
        )
    full = {
        **program_facts(program),
        **card,
    }
    encoder = EncoderSpec((shape.size, shape.size), LEVELS)
    return save_bundle(out, name, program, encoder, spec, full, latency=latency)


def measured(bundle: Bundle, data: Path, about: str) -> dict[str, Any]:
    """Return what the card says of a data set: accuracy, early exit, sparsity, margin curve."""
    trials = counted_trials(bundle, backend("onnx_cpu").load(bundle), data)
    exact = report(bundle, trials, EXACT)
    curve = []
    for margin in MARGINS:
        early = report(bundle, trials, ExitRule("margin", margin))
        curve.append(
            {
                "margin": margin,
                "accuracy": round(early["accuracy"], 4),
                "mean_step": round(early["exit"]["mean_step"], 3),
                "operations_saved": round(early["operations"]["saved_share"], 4),
            }
        )
    operations = exact["operations"]
    return {
        "accuracy": [{"data": about, "n": exact["n"], "accuracy": round(exact["accuracy"], 4)}],
        "exact_exit": {
            "window_steps": exact["exit"]["window_steps"],
            "mean_step": round(exact["exit"]["mean_step"], 3),
            "mean_share": round(exact["exit"]["mean_share"], 4),
            "answers_changed": exact["changed_by_exit"],
            "operations_saved": round(operations["saved_share"], 4),
        },
        "margin_exit": curve,
        "sparsity": {
            "spikes_per_inference": round(exact["spikes_per_inference"], 1),
            "neurons": exact["neurons"],
            "most_spikes_of_a_neuron": exact["most_spikes_of_a_neuron"],
            "operations_until_exit": round(operations["done"]),
            "operations_whole_window": round(operations["whole_window"]),
            "dense_operations_whole_window": operations["dense_whole_window"],
        },
    }


def ship(
    checkpoint: Path, out: Path, *, name: str, data: Path, about: str, card: dict[str, Any]
) -> Bundle:
    """Write a bundle, measure it on `data` and write it again with what was measured."""
    draft = bundled(checkpoint, out, name=name, card=card)
    card = {**card, **measured(draft, data, about), "training_curve": training_curve(checkpoint)}
    return bundled(checkpoint, out, name=name, card=card)


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = ship_parser(__doc__)
    parser.add_argument("--name", required=True, choices=["mnist", "fashion", "nmnist"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--about", required=True, help="the data set, in words")
    given = parser.parse_args()
    card = told(given)
    bundle = ship(
        given.checkpoint, given.out, name=given.name, data=given.data, about=given.about, card=card
    )
    print(json.dumps(bundle.card, indent=2))


if __name__ == "__main__":
    main()
