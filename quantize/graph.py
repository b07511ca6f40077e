"""A small writer of ONNX graphs: nodes in order, each constant stored once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgesnn.errors import MissingDependency
from edgesnn.program import Tensor

OPSET = 18
IR_VERSION = 8
_ELEMENT_TYPES = {
    "float32": 1,
    "uint8": 2,
    "int32": 6,
    "int64": 7,
    "bool": 9,
}  # numbers of onnx.TensorProto.DataType


@dataclass(frozen=True, slots=True)
class Port:
    """A named input or output of a graph."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Graph:
    """A graph being written. Tensors are known by name.

    any_grid: whether it must run for every height and width of its input. taken: names that no
    constant may have.
    """

    def __init__(self, *, any_grid: bool = False, taken: Iterable[str] = ()) -> None:
        self._any_grid, self._taken = any_grid, frozenset(taken)
        self._nodes: list[tuple[str, tuple[str, ...], str, dict[str, Any]]] = []
        self._constants: dict[str, Tensor] = {}

    def add(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Append a node with one output; return the output's name."""
        self._nodes.append((op, tuple(inputs), output, attributes))
        return output

    def constant(self, name: str, value: Tensor) -> str:
        """Store a constant under a name, once; return its name.

        The same name always means the same values: where it is taken, by a state or by another
        type, the type is added behind a point, which no node's name has.
        """
        known = self._constants.get(name, value)
        if name in self._taken or known.dtype != value.dtype:
            name = f"{name}.{value.dtype}"
        known = self._constants.setdefault(name, value)
        assert known.dtype == value.dtype and np.array_equal(known, value), name
        return name

    def scalar(self, value: int, dtype: str) -> str:
        """Store a whole number from 0 on as a scalar of a type; return its name."""
        return self.constant(f"{dtype}_{value}", np.array(value, dtype))

    def cast(self, source: str, dtype: str, out: str) -> str:
        """Append a conversion to "float32", "uint8", "int32", "int64" or "bool"."""
        return self.add("Cast", [source], out, to=_ELEMENT_TYPES[dtype])

    def reshape(self, source: str, shape: Sequence[int], out: str) -> str:
        """Append a Reshape; one length may be -1."""
        text = "_".join(str(n) for n in shape).replace("-1", "rest")
        wanted = self.constant(f"shape_{text}", np.array(shape, np.int64))
        return self.add("Reshape", [source, wanted], out)

    def image(self, source: str, channels: int, size: Sequence[int], like: str, out: str) -> str:
        """Append a Reshape to (1, channels, *size), the height and width of `like`, which has four
        axes."""
        if not self._any_grid:
            return self.reshape(source, (1, channels, *size), out)
        sizes = self.add("Shape", [like], f"size_of_{out}", start=2)
        front = self.constant(f"one_by_{channels}", np.array([1, channels], np.int64))
        wanted = self.add("Concat", [front, sizes], f"shape_of_{out}", axis=0)
        return self.add("Reshape", [source, wanted], out)

    def model(
        self, name: str, inputs: list[Port], outputs: list[Port], metadata: Mapping[str, str]
    ) -> bytes:
        """Return the model's bytes, the same for the same calls.

        Raises MissingDependency without the onnx package.
        """
        try:
            import onnx
            from onnx import helper, numpy_helper
        except ImportError as error:
            raise MissingDependency(
                'Writing ONNX files needs onnx: pip install ".[export]"'
            ) from error

        def described(ports: list[Port]) -> list[onnx.ValueInfoProto]:
            kinds = {p: helper.np_dtype_to_tensor_dtype(np.dtype(p.dtype)) for p in ports}
            return [helper.make_tensor_value_info(p.name, kinds[p], p.shape) for p in ports]

        graph = helper.make_graph(
            [
                helper.make_node(op, ins, [out], name=f"{op}_{out}", **attributes)
                for op, ins, out, attributes in self._nodes
            ],
            name,
            described(inputs),
            described(outputs),
            [numpy_helper.from_array(value, key) for key, value in self._constants.items()],
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(
            graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="edgesnn"
        )
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString(deterministic=True))
