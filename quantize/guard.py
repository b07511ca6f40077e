"""The export guard: an exported graph that differs from the reference anywhere is refused.

An export can lose the state or round differently without a warning, so each graph is run beside
the reference before it is written: random inputs of several densities (one of them inputs that are
always largest, where narrow kernels would saturate), every state compared after every step.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgesnn.errors import BundleError
from edgesnn.hardware.onnx_cpu import OnnxModel
from edgesnn.hardware.reference import Reference
from edgesnn.program import Program, Tensor

DENSITIES = (0.02, 0.1, 0.3, 0.7, 1.0)
STRETCH = 20
"""Steps of one kind of input before the next kind: longer than most temporal filters."""


def guard(program: Program, graph: bytes, *, steps: int = 200, xs: Tensor | None = None) -> None:
    """Run `steps` random steps, then xs (T, *input_shape) if given, through graph and reference.

    Raises BundleError that names the step, the tensor, the place and both values.
    """
    exported, reference = OnnxModel(program, graph).stream(), Reference(program).stream()
    inputs = list(random_inputs(program, steps)) + ([] if xs is None else list(xs))
    for t, x in enumerate(inputs):
        _same(program, t, "y", exported.step(x), reference.step(x))
        states = reference.snapshot()
        for name, found in exported.snapshot().items():
            _same(program, t, name, found, states[name])


def random_inputs(program: Program, steps: int, seed: int = 0) -> Iterator[Tensor]:
    """Yield inputs of changing density, every second stretch at the largest value only."""
    rng = np.random.default_rng(seed)
    for t in range(steps):
        stretch = t // STRETCH
        density = DENSITIES[stretch % len(DENSITIES)]
        lowest = program.input_high if stretch % 2 else 1
        counts = rng.integers(lowest, program.input_high + 1, program.input_shape)
        yield (counts * (rng.random(program.input_shape) < density)).astype(np.uint8)


def _same(program: Program, step: int, name: str, found: Tensor, wanted: Tensor) -> None:
    if np.array_equal(found, wanted):
        return
    place = tuple(int(i) for i in np.argwhere(found != wanted)[0])
    raise BundleError(
        f"the exported graph of {program.name} differs from the reference at step {step}: "
        f"{name}{list(place)} is {found[place]}, wanted {wanted[place]}"
    )
