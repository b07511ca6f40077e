"""An integer program as one ONNX graph: one step, state in and state out, standard ops only.

    x, state_<layer>...  ->  y, new_state_<layer>...

A spiking layer becomes

    Concat(input, state)      the last k inputs, uint8          -> new_state (the newest k - 1)
    QLinearMatMul(taps, .)    filtered input u, uint8 with a zero point where taps are negative
    QLinearConv(u, W)         int32 sums, compared in its rescaling (`spike_rescaling`): 0/1

or, where 8-bit kernels are not exact for its bounds (`fits_int8`), float32 operations on integers,
exact below 2**24. Everything else has no choice to make. Which alternatives are fast was measured;
the figures are in docs/onnx.md.
"""

from __future__ import annotations

import numpy as np

from edgesnn.bundle import ReadoutSpec
from edgesnn.errors import BundleError
from edgesnn.program import (
    Add,
    Concat,
    Layer,
    Node,
    Pool,
    Program,
    Tensor,
    Upsample,
    state_shapes,
)

from .graph import Graph, Port
from .kernels import fits_float32, fits_int8, spike_rescaling
from .metadata import metadata_of


def export(program: Program, *, readout: ReadoutSpec | None = None, license: str = "") -> bytes:
    """Return the ONNX model of one step of the program.

    x: uint8 (1, *input_shape); y: int32 (1, *output_shape); state_<layer>, new_state_<layer>: uint8
    as `state_shapes` says. Metadata: see `metadata.py`.
    Raises BundleError when a layer's sums leave the range in which all kernels are exact.
    """
    return _Export(program).model(metadata_of(program, readout, license))


class _Export:
    """One export: walks the nodes and writes the graph."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.graph = Graph()
        self.names = {"x": "x"}

    def model(self, metadata: dict[str, str]) -> bytes:
        for node in self.program.nodes:
            self.names[node.name] = self._node(node)
        program = self.program
        y = Port("y", "int32", (1, *program.output_shape))
        if program.values[program.output].dtype == "uint8":
            self._cast(self.names[program.output], "int32", "y")
        states = [Port(n, "uint8", shape) for n, shape in state_shapes(program).items()]
        new = [Port(f"new_{port.name}", port.dtype, port.shape) for port in states]
        x = Port("x", "uint8", (1, *program.input_shape))
        return self.graph.model(program.name, [x, *states], [y, *new], metadata)

    def _output(self, node: Node) -> str:
        sums = self.program.values[node.name].dtype == "int32"
        return "y" if node.name == self.program.output and sums else f"out_{node.name}"

    def _node(self, node: Node) -> str:
        match node:
            case Layer():
                return self._layer(node)
            case Pool():
                return self._pool(node)
            case Upsample():
                scales = np.array([1, 1, node.factor, node.factor], np.float32)
                return self.graph.add(
                    "Resize",
                    [
                        self.names[node.input],
                        "",
                        self.graph.constant(f"scales_{node.factor}", scales),
                    ],
                    self._output(node),
                    mode="nearest",
                    coordinate_transformation_mode="asymmetric",
                    nearest_mode="floor",
                )
            case Concat():
                inputs = [self.names[name] for name in node.inputs]
                return self.graph.add("Concat", inputs, self._output(node), axis=1)
            case Add():
                return self._add(node)

    def _pool(self, node: Pool) -> str:
        window = {"kernel_shape": [node.size] * 2, "strides": [node.size] * 2}
        source, out = self.names[node.input], self._output(node)
        if node.op == "or":
            return self.graph.add("MaxPool", [source], out, **window)
        channels = self.program.values[node.input].shape[0]
        ones = np.ones((channels, 1, node.size, node.size), np.int8)
        weight = self.graph.constant(f"ones_{channels}_{node.size}", ones)
        one, zero = self.graph.scalar(1, "float32"), self.graph.scalar(0, "uint8")
        inputs = [source, one, zero, weight, one, self.graph.scalar(0, "int8"), one, zero]
        return self.graph.add("QLinearConv", inputs, out, group=channels, **window)

    def _add(self, node: Add) -> str:
        total = self.names[node.inputs[0]]
        for i, name in enumerate(node.inputs[1:], start=1):
            last = i == len(node.inputs) - 1 and node.threshold is None
            out = self._output(node) if last else f"partial{i}_{node.name}"
            total = self.graph.add("Add", [total, self.names[name]], out)
        return self._compared(node, total)

    def _compared(self, node: Layer | Add, sums: str) -> str:
        """Compare int32 sums to the node's thresholds, if it has any."""
        if node.threshold is None:
            return sums
        theta = self.program.tensors[node.threshold]
        theta = theta.reshape(-1, *[1] * (len(self.program.values[node.name].shape) - 1))
        inputs = [sums, self.graph.constant(f"theta_{node.name}", theta)]
        fired = self.graph.add("GreaterOrEqual", inputs, f"fired_{node.name}")
        return self._cast(fired, "uint8", self._output(node))

    def _layer(self, node: Layer) -> str:
        if not fits_float32(self.program, node):
            lows, highs = self.program.sum_bounds(node)
            raise BundleError(
                f"{node.name}: sums from {lows.min()} to {highs.max()} can leave the range in "
                f"which float32 is exact; use smaller weights or taps"
            )
        seen = self._seen(node)
        if node.op == "linear":
            return self._linear(node, seen)
        if node.threshold is not None and fits_int8(self.program, node):
            return self._convolved_int8(node, seen)
        return self._convolved_float(node, seen)

    def _seen(self, node: Layer) -> str:
        """Return the layer's last k inputs, newest first, (k, *input shape), and keep k - 1."""
        source = self.names[node.input]
        past = self.program.taps_of(node).shape[1] - 1
        if past == 0:
            return source
        seen = self.graph.add("Concat", [source, f"state_{node.name}"], f"seen_{node.name}", axis=0)
        ends = [self.graph.constant(f"at_{n}", np.array([n])) for n in (0, past, 0)]
        self.graph.add("Slice", [seen, *ends], f"new_state_{node.name}")
        return seen

    def _wanted(self, node: Layer) -> tuple[int, ...]:
        """Return the shape of u as the weighted sum takes it."""
        shape = self.program.values[node.input].shape
        filters = self.program.taps_of(node).shape[0]
        if node.op == "linear":
            return (1, filters * int(np.prod(shape)))
        return (1, filters * shape[0], *shape[1:])

    def _filtered_int8(self, node: Layer, seen: str) -> tuple[str, str]:
        """Return u as uint8 and its zero point."""
        taps = self.program.taps_of(node)
        low, _ = self.program.filtered_bounds(node)
        zero = self.graph.scalar(max(0, -low), "uint8")
        if not _delays_only(taps):
            one, shift = self.graph.scalar(1, "float32"), max(0, -int(taps.min()))
            name = f"taps_{node.taps}" if node.taps else "taps"
            inputs = [
                self.graph.constant(name, (taps + shift).astype(np.uint8)),
                one,
                self.graph.scalar(shift, "uint8"),
                self._reshape(seen, (taps.shape[1], -1), f"rows_{node.name}"),
                one,
                self.graph.scalar(0, "uint8"),
                one,
                zero,
            ]
            seen = self.graph.add("QLinearMatMul", inputs, f"filtered_{node.name}")
        return self._reshape(seen, self._wanted(node), f"u_{node.name}"), zero

    def _filtered_float(self, node: Layer, seen: str) -> str:
        """Return u as float32."""
        taps = self.program.taps_of(node)
        seen = self._cast(seen, "float32", f"float_{node.name}")
        if not _delays_only(taps):
            rows = self._reshape(seen, (taps.shape[1], -1), f"rows_{node.name}")
            name = f"taps_{node.taps}_float"
            inputs = [self.graph.constant(name, taps.astype(np.float32)), rows]
            seen = self.graph.add("MatMul", inputs, f"filtered_{node.name}")
        return self._reshape(seen, self._wanted(node), f"u_{node.name}")

    def _convolved_int8(self, node: Layer, seen: str) -> str:
        """Convolve and compare in one QLinearConv."""
        u, zero = self._filtered_int8(node, seen)
        rescaling = spike_rescaling(self.program, node)
        one = self.graph.scalar(1, "float32")
        inputs = [
            u,
            one,
            zero,
            self.graph.constant(node.weight, self.program.tensors[node.weight]),
            one,
            self.graph.scalar(0, "int8"),
            self.graph.scalar(rescaling.scale, "float32"),
            self.graph.scalar(0, "uint8"),
            self.graph.constant(f"bias_{node.name}", rescaling.bias),
        ]
        return self.graph.add("QLinearConv", inputs, self._output(node), **_geometry(self, node))

    def _convolved_float(self, node: Layer, seen: str) -> str:
        """Convolve in float32; clip(sum + 1 - theta, 0, 1) is the spike."""
        weight = self.program.tensors[node.weight].astype(np.float32)
        inputs = [
            self._filtered_float(node, seen),
            self.graph.constant(f"{node.weight}_float", weight),
        ]
        if node.threshold is None:
            sums = self.graph.add("Conv", inputs, f"sums_{node.name}", **_geometry(self, node))
            return self._cast(sums, "int32", self._output(node))
        lows, highs = self.program.sum_bounds(node)
        theta = np.clip(self.program.tensors[node.threshold], lows, highs + 1)
        bias = self.graph.constant(f"bias_{node.name}", (1 - theta).astype(np.float32))
        sums = self.graph.add("Conv", [*inputs, bias], f"sums_{node.name}", **_geometry(self, node))
        ends = [self.graph.scalar(0, "float32"), self.graph.scalar(1, "float32")]
        fired = self.graph.add("Clip", [sums, *ends], f"fired_{node.name}")
        return self._cast(fired, "uint8", self._output(node))

    def _linear(self, node: Layer, seen: str) -> str:
        """Multiply by the matrix as int8 where that is exact, else as float32."""
        weight = self.program.tensors[node.weight].T.copy()
        sums = self._output(node) if node.threshold is None else f"sums_{node.name}"
        if fits_int8(self.program, node):
            u, zero = self._filtered_int8(node, seen)
            matrix = self.graph.constant(f"{node.weight}_transposed", weight)
            self.graph.add("MatMulInteger", [u, matrix, zero], sums)
        else:
            u = self._filtered_float(node, seen)
            matrix = self.graph.constant(f"{node.weight}_float", weight.astype(np.float32))
            product = self.graph.add("MatMul", [u, matrix], f"product_{node.name}")
            self._cast(product, "int32", sums)
        return self._compared(node, sums)

    def _cast(self, source: str, dtype: str, out: str) -> str:
        return self.graph.add("Cast", [source], out, to=CAST[dtype])

    def _reshape(self, source: str, shape: tuple[int, ...], out: str) -> str:
        return self.graph.add("Reshape", [source, self.graph.shape(shape)], out)


CAST = {"float32": 1, "uint8": 2, "int32": 6}
"""ONNX's numbers of element types (TensorProto.DataType)."""


def _delays_only(taps: Tensor) -> bool:
    """Whether the filtered input is just the last inputs in order."""
    return np.array_equal(taps, np.eye(len(taps)))


def _geometry(export: _Export, node: Layer) -> dict[str, int | list[int]]:
    kernel = export.program.tensors[node.weight].shape[2:]
    return {
        "kernel_shape": [int(n) for n in kernel],
        "strides": [node.stride] * 2,
        "pads": [node.padding] * 4,
        "group": node.groups,
    }
