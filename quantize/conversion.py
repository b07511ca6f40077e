"""What an importer tells of a conversion, layer by layer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from edgesnn.program import Program

from .float_stages import Weighted


@dataclass(frozen=True, slots=True)
class LayerReport:
    """What a stage became. worst_bound: largest |H| that any input could reach. weight_error: mean
    |w - its integer| over mean |w|. agreement: share of spikes that are those of the float network,
    None where nothing was compared. rate: spikes per neuron and step of the float network.
    """

    name: str
    was: str
    became: str
    worst_bound: int | None = None
    weight_error: float | None = None
    agreement: float | None = None
    rate: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Converted:
    """layers: what each stage became. approximations: what is not exact, with its size."""

    program: Program
    layers: tuple[LayerReport, ...]
    approximations: tuple[str, ...]


def told_range(values: NDArray[Any], form: str = ".4g") -> str:
    """Say numbers that may all be the same."""
    low, high = (format(float(v), form) for v in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def told_maps(parts: list[Weighted]) -> str:
    """Say weighted maps that are added, those that look alike together."""
    counted = Counter(told_map(part) for part in parts)
    return " + ".join(f"{n} x {told}" if n > 1 else told for told, n in counted.items())


def told_map(part: Weighted) -> str:
    """Say what a weighted map is."""
    if part.weight.ndim == 2:
        return f"linear {part.weight.shape[1]} to {part.weight.shape[0]}"
    out, _, kh, kw = part.weight.shape
    return f"conv {kh}x{kw} to {out}" + (f", stride {part.stride}" if part.stride > 1 else "")
