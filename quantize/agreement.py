"""How many spikes of an integer program are those of the float network that it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.hardware.reference import trace
from edgesnn.program import initial_state

from .conversion import Converted
from .float_net import FloatNet
from .float_stages import Neurons

RANDOM_STEPS = 256
_SHARE = 0.1


def random_clip(made: Converted, steps: int = RANDOM_STEPS, seed: int = 0) -> NDArray[np.uint8]:
    """Return random spikes (steps, *shape): what is compared on where there are no recordings."""
    rng = np.random.default_rng(seed)
    drawn: NDArray[np.bool_] = rng.random((steps, *made.program.input_shape)) < _SHARE
    return drawn.astype(np.uint8)


def compared(net: FloatNet, made: Converted, clips: list[NDArray[np.uint8]]) -> Converted:
    """Return a conversion with the agreement of every layer's spikes on clips (T, *shape)."""
    names = [stage.name for stage in net.stages if isinstance(stage, Neurons)]
    same: Mapping[str, list[float]] = {name: [] for name in names}
    rates: Mapping[str, list[float]] = {name: [] for name in names}
    for xs in clips:
        wanted, state = net.run(xs), initial_state(made.program)
        found: dict[str, list[Any]] = {name: [] for name in names}
        for x in xs:
            outputs, state = trace(made.program, x, state)
            for name in names:
                found[name].append(outputs[name])
        for name in names:
            same[name].append(float((np.stack(found[name]) == wanted[name]).mean()))
            rates[name].append(float(wanted[name].mean()))
    layers = tuple(
        replace(
            layer,
            agreement=float(np.mean(same[layer.name])),
            rate=float(np.mean(rates[layer.name])),
        )
        if same.get(layer.name)
        else layer
        for layer in made.layers
    )
    return replace(made, layers=layers)
