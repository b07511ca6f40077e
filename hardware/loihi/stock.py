"""A program on Lava's own processes alone, where they compute it exactly.

Runs of dense layers with delays or taps, sliding PSNs (`LIFReset`, which forgets in every step) and
Loihi's own leaky neurons (`LIF`). A connection hands on the sums of the step before: the output of
a program of n connections in a row comes n Lava steps after its input (`latency`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgesnn.errors import BundleError
from edgesnn.hardware.loihi.mapping import LIF_BITS, check_start, way_of
from edgesnn.hardware.loihi.wiring import size_of
from edgesnn.program import Layer, Program, Tensor
from edgesnn.program.kinds.integrate import KEEP_UNIT, Integrate

_ALL_FORGOTTEN = 4095
"""du and dv of a neuron that keeps nothing; Lava adds 1 to du, and LIFReset clears v."""
_MESSAGE_BITS = 8
_NEVER_AGAIN = 2**30


def check_stock(program: Program) -> None:
    """Raise BundleError with the first node that stock processes do not compute exactly."""
    for node in program.nodes:
        way, why = way_of(program, node)
        if way != "stock" or not isinstance(node, Layer | Integrate):
            raise BundleError(f"{node.name} ({node.kind}) is not for stock processes: {why}")
        theta = program.tensors[node.threshold] if node.threshold is not None else None
        if theta is not None and int(theta.min()) < 1:
            raise BundleError(f"{node.name}: a threshold below 1 fires before anything came")
    check_start(program)


def latency(program: Program) -> int:
    """Return after how many Lava steps the output of an input comes."""
    return sum(isinstance(node, Layer) for node in program.nodes)


def built(program: Program, x: Any) -> dict[str, Any]:
    """Connect stock processes behind the port x; return the port of every node that has one."""
    ports, depth = {"x": x}, 0
    for node in program.nodes:
        if isinstance(node, Integrate):
            ports[node.name] = _lif(program, node, ports[node.input], depth)
            continue
        assert isinstance(node, Layer)
        depth += 1
        connections = _connections(program, node, ports[node.input])
        if node.threshold is None:
            (ports[node.name],) = _sums(program, node, connections)
        else:
            ports[node.name] = _psn(program, node, connections)
    return ports


def _connections(program: Program, node: Layer, source: Any) -> list[Any]:
    """Return the output ports of (delayed) dense connections, one for each tap that is not 0."""
    weight = program.tensors[node.weight].astype(np.int64)
    weight = weight.reshape(weight.shape[0], -1)
    delays = program.delays_of(node)
    found = []
    for lag, tap in enumerate(program.taps_of(node)[0].tolist()):
        if tap:
            at = np.full(weight.shape, lag, np.int64)
            if delays is not None:
                at += delays.reshape(weight.shape)
            graded = program.values[node.input].high > 1
            found.append(_dense(tap * weight, at, graded, source))
    return found


def _dense(weight: Tensor, delays: Tensor, graded: bool, source: Any) -> Any:
    from lava.proc.dense.process import DelayDense, Dense
    from lava.utils.weightutils import SignMode

    # Lava drops the lowest bit of mixed signs: 2 q, and the sum is shifted back
    how = {
        "weights": 2 * weight,
        "weight_exp": -1,
        "sign_mode": SignMode.MIXED,
        "num_weight_bits": 8,
        "num_message_bits": _MESSAGE_BITS if graded else 0,
    }
    made = DelayDense(delays=delays, **how) if delays.any() else Dense(**how)
    source.connect(made.s_in)
    return made.a_out


def _sums(program: Program, node: Layer, connections: list[Any]) -> list[Any]:
    if len(connections) != 1:
        raise BundleError(f"{node.name}: sums with several taps need a neuron behind them")
    return connections


def _psn(program: Program, node: Layer, connections: list[Any]) -> Any:
    """Neurons that forget: v = sum + 1 - theta, a spike where it is above 0."""
    from lava.proc.lif.process import LIFReset

    assert node.threshold is not None
    theta = program.tensors[node.threshold].astype(np.int64)
    made = LIFReset(
        shape=(size_of(program, node.name),),
        du=_ALL_FORGOTTEN,
        dv=_ALL_FORGOTTEN,
        vth=0,
        bias_mant=1 - theta,
        bias_exp=LIF_BITS,
        reset_interval=1,
    )
    for port in connections:
        port.connect(made.a_in)
    return made.s_out


def _lif(program: Program, node: Integrate, source: Any, depth: int) -> Any:
    """Leaky neurons behind so many connections: empty when their first input comes.

    Until then their currents would have charged them.
    """
    from lava.proc.lif.process import LIFReset

    unit = 1 << LIF_BITS
    made = LIFReset(
        shape=(size_of(program, node.name),),
        du=_ALL_FORGOTTEN,
        dv=KEEP_UNIT - node.keep,
        vth=int(program.tensors[node.threshold][0]) // unit,
        bias_mant=program.tensors[node.current].astype(np.int64) // unit,
        bias_exp=LIF_BITS,
        reset_interval=_NEVER_AGAIN,
        reset_offset=depth + 1,  # Lava counts its steps from 1
    )
    source.connect(made.a_in)
    return made.s_out


def run_stock(program: Program, xs: Tensor) -> Tensor:
    """Compute a sequence on stock processes: xs (T, C, H, W) to ys (T, *output), aligned.

    Raises BundleError for a program that is not for them, RunError when Lava fails.
    """
    from edgesnn.hardware.loihi.supervised import Child

    check_stock(program)
    late = latency(program)
    child = Child(program, stock=True)
    try:
        silence = np.zeros((late, *program.input_shape), np.uint8)
        found = [child.step(x) for x in np.concatenate([xs, silence])]
    finally:
        child.close()
    return np.stack(found[late:])
