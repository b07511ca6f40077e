"""Three ways to write a layer with one delay per synapse as ONNX operators, one thread each.

    python benchmarks/delay_kernels.py [--inputs 256] [--out 256] [--span 25]

dense int8   MatMulInteger over all delays, weights 0 where a synapse has another delay: what is
             exported (quantize/delays.py)
dense float  the same in float32
gathered     GatherElements takes each synapse's own input, then Mul and ReduceSum in float32

All give the same sums, which is checked first. Blocks of steps alternate; medians and the fastest.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

BLOCK, ROUNDS = 20, 30


def session(name: str, weight: np.ndarray, delays: np.ndarray, span: int) -> ort.InferenceSession:
    """Return a session that takes the newest `span` inputs, uint8 (span, inputs), newest first."""
    out, inputs = weight.shape
    dense = np.zeros((out, span, inputs), np.int8)
    np.put_along_axis(dense, delays[:, None, :], weight[:, None, :], axis=1)
    matrix = np.ascontiguousarray(dense.reshape(out, -1).T)
    node = helper.make_node
    if name == "dense int8":
        constants = {"w": matrix, "row": np.array([1, span * inputs])}
        nodes = [node("Reshape", ["seen", "row"], ["u"]), node("MatMulInteger", ["u", "w"], ["y"])]
    elif name == "dense float":
        constants = {"w": matrix.astype(np.float32), "row": np.array([1, span * inputs])}
        nodes = [
            node("Reshape", ["seen", "row"], ["u"]),
            node("Cast", ["u"], ["f"], to=TensorProto.FLOAT),
            node("MatMul", ["f", "w"], ["z"]),
            node("Cast", ["z"], ["y"], to=TensorProto.INT32),
        ]
    else:
        constants = {"w": weight.astype(np.float32), "d": delays, "axis": np.array([1])}
        nodes = [
            node("GatherElements", ["seen", "d"], ["u"], axis=0),
            node("Cast", ["u"], ["f"], to=TensorProto.FLOAT),
            node("Mul", ["f", "w"], ["p"]),
            node("ReduceSum", ["p", "axis"], ["z"], keepdims=0),
            node("Cast", ["z"], ["y"], to=TensorProto.INT32),
        ]
    graph = helper.make_graph(
        nodes,
        "step",
        [helper.make_tensor_value_info("seen", TensorProto.UINT8, [span, inputs])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, None)],
        [numpy_helper.from_array(array, key) for key, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=256)
    parser.add_argument("--out", type=int, default=256)
    parser.add_argument("--span", type=int, default=25)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    # Weights up to 64: the uint8 x int8 kernels of every processor are exact (docs/onnx.md).
    weight = rng.integers(-64, 65, (given.out, given.inputs)).astype(np.int8)
    delays = rng.integers(0, given.span, weight.shape)
    seen = (rng.random((given.span, given.inputs)) < 0.08).astype(np.uint8)
    names = ("dense int8", "dense float", "gathered")
    sessions = {name: session(name, weight, delays, given.span) for name in names}
    wanted = (weight * seen[delays, np.arange(given.inputs)].astype(np.int64)).sum(axis=1)
    for name, one in sessions.items():
        assert np.array_equal(np.ravel(one.run(None, {"seen": seen})[0]), wanted), name
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name, one in sessions.items():
            for _ in range(BLOCK):
                began = time.perf_counter_ns()
                one.run(None, {"seen": seen})
                times[name].append((time.perf_counter_ns() - began) / 1e3)
    print(f"{given.out} x {given.inputs} synapses, delays below {given.span}; us")
    for name in names:
        print(
            f"{name:12} median {statistics.median(times[name]):7.1f}  min {min(times[name]):7.1f}"
        )


if __name__ == "__main__":
    main()
