"""Does a program fit a Loihi, layer by layer: static checks against the limits that are published.

Worst-case sums are those that any input could reach. What is checked, and where the limit stands:

    weight    8 bits with a sign: int8 q is written as 2 q with weight_exp -1, for Loihi drops the
              lowest bit of mixed signs (Lava 0.10's weight utilities): every int8 fits, exactly
    delay     0 to 62 steps (6 bits; lava-dl 0.6)
    |H|       15 bits are safe everywhere (nengo-loihi's 21-bit accumulator after << 6); Lava's LIF
              compares up to 17 bits, and beyond 24 its own potentials wrap
    theta     17 bits, the same field
    neurons   1,024 a core on Loihi 1 (nengo-loihi); 8,192 at most on Loihi 2 (Intel's brief, 2021)
    axons     4,096 in and out a core on Loihi 1 (nengo-loihi)
    synapses  128 KiB a core (16,384 words of 64 bits)
    cores     128 a chip

This says that a program respects the limits, not that it ran on a chip: it did not.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from edgesnn.hardware.loihi.mapping import way_of
from edgesnn.measure.operations import fan_out
from edgesnn.program import Layer, Node, Program

SAFE, COMPARED = 2**15 - 1, 2**17 - 1
MOST_DELAY = 62
_NEURONS = {"loihi1": 1024, "loihi2": 8192}
_AXONS, _CORE_BITS, _CORES = 4096, 16384 * 64, 128
_SYNAPSE_BITS, _DELAY_BITS = 8, 6


@dataclass(frozen=True, slots=True)
class Fit:
    """A node on a Loihi. sums: largest |H|. broken: hard limits, as sentences. doubts: what is not
    safe on all hardware. way: "stock" where Lava's own processes compute it exactly, "own" where
    only a process of ours would, "none" for what is only wiring.
    """

    name: str
    kind: str
    way: str
    why: str
    neurons: int = 0
    synapses: int = 0
    delay: int = 0
    sums: int | None = None
    theta: int | None = None
    synapse_bits: int = 0
    cores_loihi1: int = 0
    cores_loihi2: int = 0
    broken: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def report_on(program: Program) -> dict[str, Any]:
    """Return the report, plain JSON values; "fits" is False where a hard limit is broken."""
    layers = [_fit(program, node) for node in program.nodes]
    cores = {chip: sum(getattr(row, f"cores_{chip}") for row in layers) for chip in _NEURONS}
    broken = [f"{row.name}: {sentence}" for row in layers for sentence in row.broken]
    broken += [
        f"{name}: needs {count} cores, a chip has {_CORES}"
        for name, count in cores.items()
        if count > _CORES
    ]
    return {
        "model": program.name,
        "fits": not broken,
        "broken": broken,
        "layers": [asdict(row) for row in layers],
        "cores": cores,
        "neurons": sum(row.neurons for row in layers),
        "synapses": sum(row.synapses for row in layers),
        "run_on_hardware": False,
    }


def _fit(program: Program, node: Node) -> Fit:
    value = program.values[node.name]
    theta_of = getattr(node, "threshold", None)
    theta = None if theta_of is None else int(program.tensors[theta_of].max())
    neurons = math.prod(value.shape) if theta_of is not None else 0
    sums = node.largest_sum(program)
    if sums is None and theta is not None:  # it compares what others summed
        sums = sum(program.values[name].largest for name in node.reads)
    broken, doubts = _limits(sums if theta is not None else None, theta)
    own = Fit(
        name=node.name,
        kind=node.kind,
        way="",
        why="",
        neurons=neurons,
        sums=sums,
        theta=theta,
        broken=tuple(broken),
        doubts=tuple(doubts),
        cores_loihi1=math.ceil(neurons / _NEURONS["loihi1"]),
        cores_loihi2=math.ceil(neurons / _NEURONS["loihi2"]),
    )
    if not isinstance(node, Layer):
        way, why = way_of(program, node)
        return replace(own, way=way, why=why)
    delay = program.history_of(node)
    if delay > MOST_DELAY:
        own = replace(own, broken=(*own.broken, _too_long(delay)))
    taps = program.taps_of(node)
    copies = max(1, int(np.count_nonzero(taps) / taps.shape[0]))
    synapses = int(fan_out(program, node, dense=True).sum()) * copies
    bits = synapses * (_SYNAPSE_BITS + (_DELAY_BITS if delay else 0))
    inputs = math.prod(program.values[node.input].shape)
    memory = max(math.ceil(bits / _CORE_BITS), math.ceil(inputs / _AXONS))
    outputs = math.prod(value.shape)
    way, why = way_of(program, node)
    return replace(
        own,
        way=way,
        why=why,
        synapses=synapses,
        delay=delay,
        synapse_bits=bits,
        cores_loihi1=max(memory, math.ceil(outputs / _NEURONS["loihi1"])),
        cores_loihi2=max(memory, math.ceil(outputs / _NEURONS["loihi2"])),
    )


def _too_long(delay: int) -> str:
    return f"remembers {delay} steps; delays go to {MOST_DELAY}"


def _limits(sums: int | None, theta: int | None) -> tuple[list[str], list[str]]:
    broken, doubts = [], []
    if sums is not None and sums > COMPARED:
        broken.append(f"|H| up to {sums:,}; neurons compare up to {COMPARED:,} (17 bits)")
    elif sums is not None and sums > SAFE:
        doubts.append(f"|H| up to {sums:,}, beyond {SAFE:,} (15 bits): not safe everywhere")
    if theta is not None and theta > COMPARED:
        broken.append(f"a threshold of {theta:,}; they go to {COMPARED:,}")
    return broken, doubts
