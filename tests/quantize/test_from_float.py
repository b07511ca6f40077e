"""Channels whose weights are nothing beside their thresholds, converted from floats."""

from __future__ import annotations

import numpy as np
import pytest

from edgesnn.hardware.reference import run_sequence
from edgesnn.quantize.float_net import FloatNet
from edgesnn.quantize.float_stages import Neurons, Weighted
from edgesnn.quantize.from_float import converted


def spikes(weight, bias, threshold):
    """Spikes of each channel of a float network and of its integer program, on the same input."""
    neurons = Neurons("n", ("fc",), np.asarray(threshold, float))
    layer = Weighted("fc", "x", np.asarray(weight, float), np.asarray(bias, float))
    net = FloatNet((1, 2, 2), (layer, neurons), "test")
    xs = (np.random.default_rng(0).random((200, 1, 2, 2)) < 0.5).astype(np.uint8)
    made = converted(net, name="p", step_us=1000, highest=1)
    return net.run(xs)["n"].sum(0), run_sequence(made.program, xs).sum(0)


WEIGHT = np.random.default_rng(1).normal(size=(3, 4))


@pytest.mark.parametrize("threshold", [1e-3, 1e-2, 1.0, 300.0])
def test_a_channel_without_weights_keeps_its_bias(threshold):
    """It fires by its bias alone, every third or fourth step."""
    weight = WEIGHT * [[1], [0], [1]]
    wanted, found = spikes(weight, [0, 0.3 * threshold, 0], [1, threshold, 1])
    assert wanted[1] >= 50 and found[1] == wanted[1]
    assert np.abs(found - wanted).max() <= 0.05 * 200


@pytest.mark.parametrize(("gain", "wide"), [(0.05, True), (0.01, True), (0.001, False)])
def test_small_gains_lose_no_precision(gain, wide):
    """Membranes of 20 ms in steps of 1 ms, and longer ones: thresholds of many weights."""
    rng = np.random.default_rng(0)
    layer = Weighted("fc", "x", rng.normal(size=(30, 50)) * 0.1, np.zeros(30))
    neurons = Neurons("n", ("fc",), np.ones(30), 1 - gain, gain)
    net = FloatNet((2, 5, 5), (layer, neurons), "test")
    made = converted(net, name="p", step_us=1000, highest=1, wide=wide)
    (error,) = [row.weight_error for row in made.layers if row.weight_error is not None]
    assert error < (1e-4 if wide else 6e-3)


@pytest.mark.parametrize("tiny", [1e-5, 1e-9, 1e-12, 1e-320, 0.0])
def test_a_channel_of_tiny_weights_refuses_nothing(tiny):
    weight = WEIGHT.copy()
    weight[1] = tiny
    wanted, found = spikes(weight, np.zeros(3), np.ones(3))
    assert found[1] == wanted[1] == 0
    assert np.abs(found - wanted).max() <= 0.05 * 200
