"""Random recurrent programs: neurons that see their own spikes, or those behind, one step late."""

from __future__ import annotations

import numpy as np
from programs import STEPS, Builder, frames

from edgesnn.hardware.reference import run_sequence
from edgesnn.program import (
    KEEP_UNIT,
    Add,
    Integrate,
    Integrator,
    Layer,
    Pool,
    Previous,
    Program,
    Upsample,
)
from edgesnn.program.kinds.integrate import RESETS


def looping_program(seed: int) -> Program:
    """Return a recurrent program of current-based neurons whose output is a potential, or spikes.

    Every other one has a delay in its loop.
    """
    rng = np.random.default_rng((seed, 1))
    b = Builder(rng, (2, 1, int(rng.integers(3, 7))), int(rng.choice([1, 7])))
    hidden, inputs = int(rng.integers(4, 9)), 2 * b.shape[2]
    given = b.add(Layer("given", "x", b.weight("w_given", hidden, inputs), op="linear"))
    b.tensors["none"] = np.zeros(hidden, np.int32)
    bits = int(rng.choice([0, 2]))
    keep = int(rng.choice([1000, 3000, KEEP_UNIT - 40]))
    b.add(Integrator("charge", given, "none", keep, bits))
    sums = run_sequence(b.program(), frames(b.program(), STEPS, seed)).reshape(-1, hidden)
    theta = np.maximum(np.sort(sums, axis=0)[len(sums) * 6 // 10], 1)
    loop = b.add(Previous("before", "neurons", (hidden,)))
    weight = b.weight("w_again", hidden, hidden)
    delays = b.delays("delays_again", hidden, hidden) if seed % 2 else None
    again = b.add(Layer("again", loop, weight, op="linear", delays=delays))
    b.add(Add("both", (given, again)))
    b.tensors["offset"] = rng.integers(-9, 10, hidden).astype(np.int32)
    b.nodes = [node for node in b.nodes if node.name != "charge"]
    b.tensors["leak"] = rng.integers(1000, KEEP_UNIT, hidden).astype(np.int32)
    if seed % 4 == 1:
        b.add(Integrator("charge", "both", "offset", bits=bits, leak="leak"))
    else:
        b.add(Integrator("charge", "both", "offset", keep, bits))
    b.tensors["theta"] = theta.astype(np.int32)
    reset = str(rng.choice(RESETS))
    b.add(Integrate("neurons", "charge", "theta", "none", int(rng.choice([0, 3500])), 0, reset))
    if seed % 3 == 0:
        return b.program()
    b.add(Layer("told", "neurons", b.weight("w_told", 3, hidden), op="linear"))
    b.tensors["still"] = np.zeros(3, np.int32)
    b.add(Integrator("potential", "told", "still", int(rng.choice([2000, KEEP_UNIT]))))
    return b.program()


def looping_images(seed: int) -> Program:
    """Return a program of neurons on an image that see their neighbours' spikes of the step before,
    and, every other one, those of the pool behind them."""
    rng = np.random.default_rng((seed, 2))
    channels, high = int(rng.integers(2, 5)), int(rng.choice([1, 7]))
    b = Builder(rng, (2, 2 * int(rng.integers(2, 5)), 2 * int(rng.integers(2, 6))), high)
    size = b.shape[1:]
    parts = [b.add(Layer("given", "x", b.weight("w_given", channels, 2, 3, 3), padding=1))]
    loop = b.add(Previous("before", "neurons", (channels, *size)))
    weight = b.weight("w_again", channels, channels, 3, 3)
    parts.append(b.add(Layer("again", loop, weight, padding=1)))
    if seed % 2:
        far = b.add(Previous("far", "pool", (channels, size[0] // 2, size[1] // 2)))
        sums = b.add(Layer("wide", far, b.weight("w_wide", channels, channels, 1, 1)))
        parts.append(b.add(Upsample("again_far", sums, 2)))
    b.add(Add("both", tuple(parts)))
    b.tensors["none"] = rng.integers(-3, 4, channels).astype(np.int32)
    b.tensors["theta"] = rng.integers(100, 400, channels).astype(np.int32)
    reset = str(rng.choice(RESETS[:2]))
    keep = int(rng.choice([3500, KEEP_UNIT]))
    b.add(Integrate("neurons", "both", "theta", "none", keep, 0, reset))
    b.add(Pool("pool", "neurons", 2, "or"))
    return b.program()
