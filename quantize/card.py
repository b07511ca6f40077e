"""What every task's card says of its program, and the command that ships a checkpoint."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from edgesnn.program import Program

from .integers import sum_bounds


def program_facts(program: Program) -> dict[str, Any]:
    """Return what a card says of any program: its size, its step, its largest possible sum."""
    return {
        "params": sum(t.size for t in program.tensors.values()),
        "distinct_weights": sum(t.size for n, t in program.tensors.items() if n.startswith("w_")),
        "step_us": program.step_us,
        "largest_possible_sum": max(sum_bounds(program).values()),
    }


def ship_parser(about: str | None) -> argparse.ArgumentParser:
    """Return a parser of what every `ship` takes: CKPT, --out and --card."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--card", type=Path, help="JSON with what is not measured here")
    parser.add_argument("--out", type=Path, required=True)
    return parser


def told(given: argparse.Namespace) -> dict[str, Any]:
    """Return what --card tells, {} without one."""
    card: dict[str, Any] = json.loads(given.card.read_text()) if given.card else {}
    return card
