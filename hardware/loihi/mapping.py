"""Which nodes Lava's own ("stock") processes compute exactly, and why the others they do not.

Formats are those of Lava 0.10's fixed-point models: weights of mixed signs lose their lowest bit,
so int8 q is written as 2 q with weight_exp -1; LIF keeps potentials in 64ths, has one threshold a
process, compares with ">", and a bias of 13 bits.
"""

from __future__ import annotations

import numpy as np

from edgesnn.errors import BundleError
from edgesnn.program import Layer, Node, Program
from edgesnn.program.kinds.integrate import Integrate, keep_of, kept

LIF_BITS = 6
MOST_BIAS, MOST_THRESHOLD = 4095, 2**17 - 1
MOST_DELAY = 62


def way_of(program: Program, node: Node) -> tuple[str, str]:
    """Return "stock", "own" or "none" (only wiring), and why."""
    if isinstance(node, Layer):
        return _layer(program, node)
    if isinstance(node, Integrate):
        return _integrate(program, node)
    if node.kind in ("concat", "upsample"):
        return "none", "wiring"
    if node.kind == "pool":
        return "own", "sums or OR of spikes"
    if node.kind == "leaky":
        return "own", "rounds its potential at whole units; stock LIF keeps 64ths"
    if node.kind == "fire":
        return "own", "fires once; stock neurons fire again"
    if node.kind == "add":
        return "stock", "connections add up in the neuron"
    return "own", "Lava has no such process"


def check_start(program: Program) -> None:
    """Raise BundleError where a reset cannot make up for Lava's start.

    Neurons behind n connections get their first input in Lava's step n + 1; until then their
    currents charge them, and may make them fire. A reset empties the neurons themselves, but not
    the spikes that a delay still holds, theirs or of others that they woke: any delay behind them
    counts.
    """
    depth = 0
    for at, node in enumerate(program.nodes):
        depth += isinstance(node, Layer)
        if not isinstance(node, Integrate):
            continue
        theta, current = program.tensors[node.threshold], program.tensors[node.current]
        potential, fired = np.zeros_like(current), False
        for _ in range(depth):
            potential = kept(potential, keep_of(node, program.tensors, 1)) + current
            fired |= bool((potential >= theta).any())
            potential[potential >= theta] = 0
        late = [n.name for n in program.nodes[at:] if _delays(program, n)]
        if fired and late:
            raise BundleError(
                f"{node.name} ({node.kind}) is not for stock processes: its currents make it fire "
                f"before its first input comes, and {late[0]}, behind it, has delays"
            )


def _delays(program: Program, node: Node) -> bool:
    if not isinstance(node, Layer):
        return False
    delays = program.delays_of(node)
    return bool(program.taps_of(node)[:, 1:].any() or (delays is not None and delays.any()))


def _layer(program: Program, node: Layer) -> tuple[str, str]:
    if node.op == "conv":
        return "own", "a convolution; unrolled into a dense matrix it is stock"
    taps = program.taps_of(node).astype(np.int64)
    if taps.shape[0] > 1:
        return "own", "several filters on one input"
    product = np.abs(taps).max() * np.abs(program.tensors[node.weight].astype(np.int64)).max()
    if product > 127:
        return "own", f"weights times taps reach {product}, beyond 8 bits"
    graded = program.values[node.input].high > 1
    counts = ", its inputs as graded messages (Loihi 2)" if graded else ""
    if node.threshold is None:
        return "stock", f"sums go into the neurons behind it, or out{counts}"
    return "stock", f"delayed dense connections into LIFReset(reset_interval=1){counts}"


def _integrate(program: Program, node: Integrate) -> tuple[str, str]:
    theta, current = program.tensors[node.threshold], program.tensors[node.current]
    if node.bits != LIF_BITS or node.reset != "zero":
        return "own", "stock LIF keeps 64ths and resets to 0"
    if len(np.unique(theta)) > 1:
        return "own", "stock LIF has one threshold"
    if node.leak is not None or node.most > 1:
        return "own", "stock LIF has one leak, and fires once in a step"
    unit = 1 << LIF_BITS
    if (int(theta[0]) - 1) % unit or int(theta[0]) // unit > MOST_THRESHOLD:
        return "own", "its threshold is no whole unit of stock LIF"
    if (current % unit).any() or np.abs(current // unit).max() > MOST_BIAS:
        return "own", f"its currents are no whole units up to {MOST_BIAS}"
    return "stock", "LIF"
