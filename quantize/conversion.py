"""What an importer tells of a conversion, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

from edgesnn.program import Program


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
