"""One graph for every height and width: the program's bits on each, and no other program's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("onnx")

from edgesnn.errors import BundleError  # noqa: E402
from edgesnn.hardware.onnx_cpu import OnnxModel  # noqa: E402
from edgesnn.hardware.reference import Reference  # noqa: E402
from edgesnn.program import Add, Concat, Layer, Program, Upsample  # noqa: E402
from edgesnn.quantize.export import export  # noqa: E402
from edgesnn.quantize.guard import guard  # noqa: E402


def program(height: int, width: int, seed: int = 0) -> Program:
    """Windows, delays, strides, a residual, upsampling and sums."""
    rng = np.random.default_rng(seed)
    tensors = {
        "windows": np.array([[1, 0, 0, 0], [0, 1, 1, 1]], np.int8),
        "delays": np.array([[1, 0, 0], [0, 0, 1]], np.int8),
        "w_a": rng.integers(-9, 10, (6, 4, 3, 3)).astype(np.int8),
        "w_b": rng.integers(-9, 10, (5, 12, 3, 3)).astype(np.int8),
        "w_c": rng.integers(-9, 10, (3, 11, 3, 3)).astype(np.int8),
        "w_y": rng.integers(-9, 10, (2, 3, 1, 1)).astype(np.int8),
        "w_x": rng.integers(-9, 10, (2, 2, 2, 2)).astype(np.int8),
        **{f"theta_{n}": np.full(c, 9, np.int32) for n, c in (("a", 6), ("b", 5), ("c", 3))},
    }
    nodes = (
        Layer("a", "x", "w_a", taps="windows", threshold="theta_a", stride=2, padding=1),
        Layer("b", "a", "w_b", taps="delays", threshold="theta_b", stride=2, padding=1),
        Upsample("up", "b", 2),
        Concat("both", ("a", "up")),
        Layer("c", "both", "w_c", threshold="theta_c", padding=1),
        Layer("y_c", "c", "w_y"),
        Layer("y_x", "x", "w_x", stride=2),
        Add("y", ("y_c", "y_x")),
    )
    return Program("grids", 1000, (2, height, width), 7, nodes, "y", tensors)


@pytest.mark.parametrize("grid", [(8, 12), (16, 8), (4, 4), (40, 24)])
def test_a_graph_for_any_grid_is_the_program_on_each(grid: tuple[int, int]) -> None:
    base = program(8, 12)
    graph = export(base, any_grid=True)
    fitted = base.on_grid(*grid)
    assert fitted == program(*grid) and fitted.any_grid_sha256 == base.any_grid_sha256
    assert (fitted.sha256 == base.sha256) == (grid == (8, 12))
    guard(fitted, graph)
    x = np.ones(fitted.input_shape, np.uint8)
    wanted = Reference(fitted).stream().step(x)
    assert np.array_equal(OnnxModel(fitted, graph).stream().step(x), wanted)


def test_a_graph_of_other_weights_or_for_one_grid_only_is_refused() -> None:
    graph = export(program(8, 12, seed=1), any_grid=True)
    with pytest.raises(BundleError, match="made from another program"):
        OnnxModel(program(8, 12), graph)
    with pytest.raises(BundleError, match="made from another program"):
        OnnxModel(program(16, 12), export(program(8, 12)))


def test_a_grid_that_its_nodes_do_not_fit_is_refused() -> None:
    with pytest.raises(BundleError, match="both"):
        program(8, 12).on_grid(10, 12)


def test_a_node_that_holds_to_its_size_is_named() -> None:
    own = program(8, 12)
    nodes = (Layer("y", "x", "w_all", op="linear"),)
    tensors = {"w_all": np.ones((3, 2 * 8 * 12), np.int8)}
    with pytest.raises(BundleError, match="y: a layer node holds to one height"):
        export(replace(own, nodes=nodes, output="y", tensors=tensors), any_grid=True)
