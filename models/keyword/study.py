"""Which delays, which neuron, and how the keyword network does on speakers it never heard.

    python -m edgesnn.models.keyword.study QUESTION --data FSDD --words DIR --noise DIR --out DIR

QUESTION is one of these. delays: none, fixed random and learned delays, tested on takes 5 to 9.
speakers: for each speaker, a network trained without them, tested on all their takes. neurons: the
same with sliding PSNs; the leaky neurons to compare them with are those of `speakers`. All networks
are trained alike (`Recipe`, --epochs). The accuracy is that of the rounded network, whose integers
are those of the program. Goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from .recipe import Recipe
from .train import tested, train
from .training import sounds

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")

Case = tuple[str, dict[str, Any], str | None]
"""Name, what differs in the network's shape, the speaker held out."""

QUESTIONS: dict[str, list[Case]] = {
    "delays": [(kind, {"delays": kind}, None) for kind in ("none", "fixed", "learned")],
    "speakers": [(who, {}, who) for who in SPEAKERS],
    "neurons": [(f"psn_{who}", {"neuron": "psn"}, who) for who in SPEAKERS],
}


def answered(
    case: Case, out: Path, *, data: Path, words: Path | None, noise: Path | None, recipe: Recipe
) -> dict[str, Any]:
    """Train the network of a case and return its name and accuracy on each test set."""
    name, shape, held_out = case
    material = sounds(data, words, noise, held_out=held_out)
    recipe = replace(recipe, shape={**recipe.shape, **shape})
    net = train(out / name, material, recipe, resume=True)
    return {"case": name, "epochs": recipe.epochs, "accuracy": tested(net, material)}


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question", choices=QUESTIONS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--words", type=Path)
    parser.add_argument("--noise", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--only", nargs="+", help="names of cases")
    given = parser.parse_args()
    torch.set_num_threads(1)
    recipe = Recipe(shape={"hidden": given.hidden}).lasting(given.epochs)
    for case in QUESTIONS[given.question]:
        if given.only and case[0] not in given.only:
            continue
        folder = given.out / given.question
        row = answered(
            case, folder, data=given.data, words=given.words, noise=given.noise, recipe=recipe
        )
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
