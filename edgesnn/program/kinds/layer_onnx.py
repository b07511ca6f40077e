"""How a layer is written as ONNX operators. A spiking convolution of order k becomes

    Concat(input, state)      the last k inputs, uint8         -> new_state (the newest k - 1)
    QLinearMatMul(taps, .)    filtered input u, uint8, with a zero point where taps are negative
    QLinearConv(u, W)         sums, compared in its rescaling (`spike_rescaling`): 0 or 1

or, where 8-bit kernels are not exact for its bounds (`fits_int8`), float32 operations on integers,
exact below 2**24. Which alternatives are fast was measured: docs/onnx.md.
"""

from __future__ import annotations

import numpy as np

from edgesnn.errors import BundleError
from edgesnn.program.kinds.layer_bounds import Filtered, filtered_bounds_of, sum_bounds_of
from edgesnn.program.kinds.layer_kernels import (
    fits_float32,
    fits_int8,
    fits_rescaling,
    reachable_thresholds,
    spike_rescaling,
)
from edgesnn.program.node import Known, Tensor, Writer, write_compared


def write_layer(graph: Writer, known: Known, node: Filtered, source: str, out: str) -> str:
    """Write a layer that reads `source`, uint8 (1, *shape); return `out`.

    Raises BundleError when no kernel is exact for all inputs.
    """
    if not fits_float32(known, node):
        lows, highs = sum_bounds_of(known, node)
        raise BundleError(
            f"{node.name}: sums from {lows.min()} to {highs.max()} can leave the range in "
            f"which float32 is exact; use smaller weights or taps"
        )
    seen = _seen(graph, known, node, source)
    int8 = fits_int8(known, node)
    if node.op == "linear":
        sums = out if node.threshold is None else f"sums_{node.name}"
        (_linear_int8 if int8 else _linear_float)(graph, known, node, seen, sums)
        return write_compared(graph, known, (node.name, node.threshold), sums, out)
    if node.threshold is None:
        # ConvInteger is two to five times slower than float32 here, and nothing is compared.
        sums = _conv_float(graph, known, node, seen, None)
        return graph.cast(sums, "int32", out)
    int8 = int8 and fits_rescaling(known, node)
    return (_spikes_int8 if int8 else _spikes_float)(graph, known, node, seen, out)


def _seen(graph: Writer, known: Known, node: Filtered, source: str) -> str:
    """Return the layer's last k inputs, newest first, (k, *input shape), and keep k - 1."""
    past = node.taps_in(known.tensors).shape[1] - 1
    if past == 0:
        return source
    seen = graph.add("Concat", [source, f"state_{node.name}"], f"seen_{node.name}", axis=0)
    ends = [graph.constant(f"at_{n}", np.array([n])) for n in (0, past, 0)]
    graph.add("Slice", [seen, *ends], f"new_state_{node.name}")
    return seen


def _delays_only(taps: Tensor) -> bool:
    """Whether the filtered input is just the last inputs in order."""
    return np.array_equal(taps, np.eye(len(taps)))


def _shaped(graph: Writer, known: Known, node: Filtered, source: str, seen: str) -> str:
    """Return the filtered input of `seen` in the shape that the weighted sum takes."""
    channels, *size = known.values[node.input].shape
    channels *= node.taps_in(known.tensors).shape[0]
    if node.op == "linear":
        return graph.reshape(source, (1, channels * int(np.prod(size))), f"u_{node.name}")
    return graph.image(source, channels, size, seen, f"u_{node.name}")


def _filtered_int8(graph: Writer, known: Known, node: Filtered, seen: str) -> tuple[str, str]:
    """Return the filtered input as uint8, and its zero point."""
    taps = node.taps_in(known.tensors)
    low, _ = filtered_bounds_of(known, node)
    zero = graph.scalar(-low, "uint8")
    if not _delays_only(taps):
        one, lift = graph.scalar(1, "float32"), max(0, -int(taps.min()))
        inputs = [
            graph.constant(f"taps_{node.name}", (taps + lift).astype(np.uint8)),
            one,
            graph.scalar(lift, "uint8"),
            graph.reshape(seen, (taps.shape[1], -1), f"rows_{node.name}"),
            one,
            graph.scalar(0, "uint8"),
            one,
            zero,
        ]
        filtered = graph.add("QLinearMatMul", inputs, f"filtered_{node.name}")
        return _shaped(graph, known, node, filtered, seen), zero
    return _shaped(graph, known, node, seen, seen), zero


def _filtered_float(graph: Writer, known: Known, node: Filtered, seen: str) -> str:
    """Return the filtered input as float32."""
    taps = node.taps_in(known.tensors)
    seen = graph.cast(seen, "float32", f"float_{node.name}")
    if not _delays_only(taps):
        rows = graph.reshape(seen, (taps.shape[1], -1), f"rows_{node.name}")
        inputs = [graph.constant(f"taps_{node.name}", taps.astype(np.float32)), rows]
        filtered = graph.add("MatMul", inputs, f"filtered_{node.name}")
        return _shaped(graph, known, node, filtered, seen)
    return _shaped(graph, known, node, seen, seen)


def _geometry(known: Known, node: Filtered) -> dict[str, int | list[int]]:
    return {
        "kernel_shape": [int(n) for n in known.tensors[node.weight].shape[2:]],
        "strides": [node.stride] * 2,
        "pads": [node.padding] * 4,
        "group": node.groups,
    }


def _spikes_int8(graph: Writer, known: Known, node: Filtered, seen: str, out: str) -> str:
    """Convolve and compare in one QLinearConv."""
    u, zero = _filtered_int8(graph, known, node, seen)
    rescaling = spike_rescaling(known, node)
    one = graph.scalar(1, "float32")
    inputs = [
        u,
        one,
        zero,
        graph.constant(f"weight_{node.weight}", known.tensors[node.weight]),
        one,
        graph.scalar(0, "int8"),
        graph.constant(f"scale_{node.name}", np.array(rescaling.scale, np.float32)),
        graph.scalar(0, "uint8"),
        graph.constant(f"bias_{node.name}", rescaling.bias),
    ]
    return graph.add("QLinearConv", inputs, out, **_geometry(known, node))


def _spikes_float(graph: Writer, known: Known, node: Filtered, seen: str, out: str) -> str:
    """Convolve in float32; clip(sum + 1 - theta, 0, 1) is the spike."""
    bias = (1 - reachable_thresholds(known, node)).astype(np.float32)
    sums = _conv_float(graph, known, node, seen, bias)
    ends = [graph.scalar(0, "float32"), graph.scalar(1, "float32")]
    return graph.cast(graph.add("Clip", [sums, *ends], f"fired_{node.name}"), "uint8", out)


def _conv_float(graph: Writer, known: Known, node: Filtered, seen: str, bias: Tensor | None) -> str:
    weight = known.tensors[node.weight].astype(np.float32)
    inputs = [
        _filtered_float(graph, known, node, seen),
        graph.constant(f"real_weight_{node.weight}", weight),
    ]
    if bias is not None:
        inputs.append(graph.constant(f"bias_{node.name}", bias))
    return graph.add("Conv", inputs, f"sums_{node.name}", **_geometry(known, node))


def _linear_int8(graph: Writer, known: Known, node: Filtered, seen: str, sums: str) -> str:
    u, zero = _filtered_int8(graph, known, node, seen)
    weight = known.tensors[node.weight].T.copy()
    inputs = [u, graph.constant(f"matrix_{node.weight}", weight), zero]
    return graph.add("MatMulInteger", inputs, sums)


def _linear_float(graph: Writer, known: Known, node: Filtered, seen: str, sums: str) -> str:
    u = _filtered_float(graph, known, node, seen)
    weight = known.tensors[node.weight].T.astype(np.float32)
    inputs = [u, graph.constant(f"real_matrix_{node.weight}", weight)]
    return graph.cast(graph.add("MatMul", inputs, f"product_{node.name}"), "int32", sums)
