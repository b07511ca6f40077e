"""A program as lava-dl's netx file: HDF5 that `lava.lib.dl.netx.hdf5.Network` reads.

The layout is that of lava-dl 0.6: /layer/I with type, shape, weight, delay, bias and a neuron.
Sequences of dense layers fit, with a delay for each synapse, into sliding PSNs without taps (a
neuron whose potential decays whole in every step) or Loihi's own leaky neurons. The last sums go
into neurons that never fire: their potential is 64 times the output.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from edgesnn.errors import BundleError, MissingDependency
from edgesnn.hardware.loihi.mapping import LIF_BITS, MOST_THRESHOLD, check_start, way_of
from edgesnn.program import Layer, Program, Tensor
from edgesnn.program.kinds.integrate import KEEP_UNIT, Integrate

_FORGETS = 4096
_ONCE = 2**30


def netx_file(program: Program) -> tuple[bytes, list[str]]:
    """Return the file's bytes, and what a reader must know that the format does not say.

    Raises BundleError with the first node that netx cannot hold, MissingDependency without h5py.
    """
    try:
        import h5py  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingDependency(
            'netx files are HDF5; install h5py with: pip install ".[nir]"'
        ) from error
    layers = _layers(program)
    data = io.BytesIO()
    with h5py.File(data, "w") as file:
        for number, layer in enumerate(layers):
            _put(file.create_group(f"layer/{number}"), layer)
    high = program.input_high
    notes = [
        f"the output is the potential of the last layer over {1 << LIF_BITS}: it never fires",
        f"a connection hands on the sums of the step before: outputs come {len(layers) - 1} steps "
        "after their inputs",
    ]
    if any(isinstance(node, Integrate) for node in program.nodes):
        notes.append(
            "neurons with currents are charged before their first input comes: open it with "
            f"reset_interval={_ONCE}, reset_offset=1, which empties each layer at its first input"
        )
    if high > 1:
        bits = high.bit_length()
        notes.append(
            f"inputs are counts up to {high}: open it with input_message_bits={bits} or more"
        )
    return data.getvalue(), notes


def _layers(program: Program) -> list[dict[str, Any]]:
    """Return the fields of every layer; each node must read the one before it."""
    size = int(np.prod(program.input_shape))
    found: list[dict[str, Any]] = [{"type": "input", "shape": np.array([size])}]
    nodes, before = list(program.nodes), "x"
    while nodes:
        node = nodes.pop(0)
        if node.reads != (before,):
            raise BundleError(f"{node.name} does not read {before} alone: netx holds sequences")
        way, why = way_of(program, node)
        if not isinstance(node, Layer) or way != "stock":
            raise BundleError(f"netx has no place for {node.name} ({node.kind}): {why}")
        layer = _dense(program, node)
        follower = nodes[0] if nodes else None
        before = node.name
        if isinstance(follower, Integrate) and follower.reads == (node.name,):
            way, why = way_of(program, follower)
            if way != "stock":
                raise BundleError(f"netx has no place for {follower.name} (integrate): {why}")
            layer |= _leaky(program, follower)
            before = nodes.pop(0).name
        elif node.threshold is not None:
            theta = program.tensors[node.threshold].astype(np.int64)
            if int(theta.min()) < 1:
                raise BundleError(f"{node.name}: a threshold below 1 fires before anything came")
            layer |= {"bias": 1 - theta, "neuron": _neuron(0, _FORGETS)}
        elif nodes:
            why = way_of(program, nodes[0])[1]
            raise BundleError(f"netx has no place for {nodes[0].name} ({nodes[0].kind}): {why}")
        else:
            layer["neuron"] = _neuron(MOST_THRESHOLD, _FORGETS)
        found.append(layer)
    check_start(program)
    return found


def _dense(program: Program, node: Layer) -> dict[str, Any]:
    weight = program.tensors[node.weight].astype(np.int64)
    weight = weight.reshape(weight.shape[0], -1)
    taps = program.taps_of(node)[0].astype(np.int64)
    if np.count_nonzero(taps) != 1:
        raise BundleError(
            f"netx has no place for the {len(taps)} taps of {node.name}: a synapse has one delay"
        )
    lag = int(np.flatnonzero(taps)[0])
    weight = weight * int(taps[lag])
    if not weight.any():
        raise BundleError(f"all weights of {node.name} are 0, which netx divides by")
    delays = program.delays_of(node)
    delay = np.full(weight.shape, lag, np.int64)
    if delays is not None:
        delay += delays.reshape(weight.shape)
    out, inputs = weight.shape
    layer = {
        "type": "dense",
        "shape": np.array([out]),
        "inFeatures": inputs,
        "outFeatures": out,
        "weight": weight,
    }
    return layer | ({"delay": delay} if delay.any() else {})


def _leaky(program: Program, node: Integrate) -> dict[str, Any]:
    unit = 1 << LIF_BITS
    theta: Tensor = program.tensors[node.threshold]
    return {
        "bias": program.tensors[node.current].astype(np.int64) // unit,
        "neuron": _neuron(int(theta[0]) // unit, KEEP_UNIT - node.keep),
    }


def _neuron(threshold: int, decay: int) -> dict[str, Any]:
    return {
        "type": "CUBA",
        "iDecay": _FORGETS,
        "vDecay": decay,
        "vThMant": threshold,
        "refDelay": 1,
        "gradedSpike": False,
    }


def _put(group: Any, fields: dict[str, Any]) -> None:
    """Write fields; strings as the format has them, arrays of one."""
    for name, value in fields.items():
        if isinstance(value, dict):
            _put(group.create_group(name), value)
        elif isinstance(value, str):
            group.create_dataset(name, data=np.array([value.encode()], "S10"))
        else:
            group.create_dataset(name, data=value)
