"""What every conversion does: write float32 integers down, and check that they were exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgesnn.errors import BundleError
from edgesnn.program import Program, Tensor

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

EXACT_IN_FLOAT32 = 2**24


def check_exact(program: Program) -> Program:
    """Return the program; raises BundleError if training in float32 could have rounded a sum."""
    for node in program.nodes:
        largest = node.largest_number(program)
        if largest is not None and largest >= EXACT_IN_FLOAT32:
            raise BundleError(
                f"{node.name}: numbers up to {largest} are not exact in float32 training"
            )
    return program


def sum_bounds(program: Program) -> dict[str, int]:
    """Return the largest |H| that any input could reach, for each node that sums."""
    found = {node.name: node.largest_sum(program) for node in program.nodes}
    return {name: bound for name, bound in found.items() if bound is not None}


def integers(values: TorchTensor, dtype: type) -> Tensor:
    """Return whole numbers as an array of dtype; raises BundleError when they are not."""
    array = values.detach().double().numpy()
    rounded = np.rint(array)
    info = np.iinfo(dtype)
    if not (np.array_equal(array, rounded) and info.min <= array.min() and array.max() <= info.max):
        raise BundleError(f"values from {array.min()} to {array.max()} are no {dtype.__name__}")
    return np.ascontiguousarray(rounded.astype(dtype))
