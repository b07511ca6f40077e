"""Learned delays: the published layer, the rounded layer and the integer program agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgesnn.hardware.onnx_cpu import OnnxModel  # noqa: E402
from edgesnn.hardware.reference import Reference, run_sequence  # noqa: E402
from edgesnn.models.keyword.convert import keyword_program  # noqa: E402
from edgesnn.models.keyword.net import KeywordNet, KeywordShape  # noqa: E402
from edgesnn.models.layers.delays import (  # noqa: E402
    NARROWEST,
    DelayedWeight,
    DelayLayer,
    Delays,
    Neuron,
    bumps,
    width,
)
from edgesnn.program import state_ports  # noqa: E402
from edgesnn.quantize.export import export  # noqa: E402

SHAPE = KeywordShape(bands=6, hidden=12, span=9, order=3, classes=4, neuron="psn")


def trained(shape: KeywordShape = SHAPE, seed: int = 0) -> KeywordNet:
    """A network with statistics and taps away from their start, in eval mode."""
    torch.manual_seed(seed)
    net = KeywordNet(shape, dropout=0.0)
    for _ in range(20):
        net(torch.poisson(torch.full((30, 8, 2 * shape.bands), 0.6)).clamp(max=4))
    net.set_width(None)
    return net.eval()


def test_the_published_layer_gives_the_same_currents() -> None:
    """dcls 0.1.1, Dcls1d, version "gauss": positions are counted from the middle of the kernel."""
    published = pytest.importorskip("DCLS.construct.modules")
    torch.manual_seed(1)
    out, inputs, span, sigma = 5, 7, 9, 1.7
    layer = published.Dcls1d(
        inputs, out, kernel_count=1, dilated_kernel_size=span, bias=False, version="gauss"
    )
    ours = DelayedWeight(out, inputs, span, delays="learned")
    ours.sigma = sigma
    with torch.no_grad():
        ours.position.uniform_(0, span - 1)
        layer.weight.copy_(ours.shared.integers()[:, :, None])
        layer.P.copy_((span // 2 - ours.position)[None, :, :, None])
        layer.SIG.fill_(sigma)
    s = (torch.rand(40, 3, inputs) < 0.3).float()
    padded = torch.nn.functional.pad(s.permute(1, 2, 0), (span - 1, 0))
    theirs = layer(padded).permute(2, 0, 1)
    assert torch.allclose(ours(s), theirs, rtol=1e-4, atol=1e-3)


def test_a_bump_by_hand() -> None:
    """sigma 0.73 (+ 0.27 = 1), position 1 of 3: weights e^-1/2, 1, e^-1/2, of mass 1."""
    g = bumps(torch.tensor([1.0]), 3, 0.73)[0]
    side = float(np.exp(-0.5))
    assert g.tolist() == pytest.approx([side / (1 + 2 * side), 1 / (1 + 2 * side), g[0].item()])
    assert g.sum().item() == pytest.approx(1.0)


def test_delays_by_hand() -> None:
    """Two synapses onto one neuron: weight 127 with delay 2, weight -127 with delay 0."""
    layer = DelayedWeight(1, 2, 4, delays="learned")
    with torch.no_grad():
        layer.shared.weight.copy_(torch.tensor([[0.5, -0.5]]))
        layer.position.copy_(torch.tensor([[1.6, 0.4]]))
    assert layer.whole().tolist() == [[2, 0]]
    s = torch.zeros(6, 1, 2)
    s[0, 0, 0] = s[3, 0, 1] = 1
    assert layer(s)[:, 0, 0].tolist() == [0, 0, 127, -127, 0, 0]


def test_positions_learn_towards_the_right_delay_and_stay_inside() -> None:
    """One synapse that should delay by 6 of 0..8 steps, from 2: the gradient moves it there."""
    torch.manual_seed(0)
    layer = DelayedWeight(1, 1, 9, delays="learned")
    with torch.no_grad():
        layer.shared.weight.fill_(1.0)
        layer.position.fill_(2.0)
    s = (torch.rand(200, 4, 1) < 0.2).float()
    wanted = torch.nn.functional.pad(s, (0, 0, 0, 0, 6, 0))[:200] * 127
    optimiser = torch.optim.Adam([layer.position], lr=0.1)
    for step in range(200):
        layer.sigma = width(step / 200, 9, shrink=1.0)
        optimiser.zero_grad()
        ((layer(s) - wanted) ** 2).mean().backward()
        optimiser.step()
        layer.clamp()
    assert layer.whole().item() == 6
    with torch.no_grad():
        layer.position.fill_(99.0)
    layer.clamp()
    assert layer.position.item() == 8


def test_the_width_shrinks_and_stays() -> None:
    assert width(0.0, 25) == 12 and width(0.25, 25) == pytest.approx(NARROWEST)
    assert width(0.9, 25) == pytest.approx(NARROWEST) and 0.23 < width(0.1, 25) < 12


@pytest.mark.parametrize("delays", ["learned", "fixed", "none"])
@pytest.mark.parametrize(("neuron", "order"), [("psn", 1), ("psn", 3), ("leaky", 1)])
def test_the_rounded_network_is_the_integer_program_bit_for_bit(
    delays: Delays, neuron: Neuron, order: int
) -> None:
    """torch = whole sequence = streamed reference = streamed ONNX, and states agree."""
    net = trained(replace(SHAPE, order=order, delays=delays, neuron=neuron))
    program = keyword_program(net, step_us=10_000, input_high=4)
    x = torch.poisson(torch.full((60, 1, 12), 0.7)).clamp(max=4)
    with torch.no_grad():
        wanted = net(x)[:, 0].numpy().astype(np.int32)
    xs = x.numpy().astype(np.uint8).reshape(60, 2, 1, 6)
    assert np.ptp(wanted) > 0 and np.array_equal(run_sequence(program, xs), wanted)
    reference, onnx = Reference(program).stream(), OnnxModel(program, export(program)).stream()
    for t in range(60):
        assert np.array_equal(reference.step(xs[t]), wanted[t])
        assert np.array_equal(onnx.step(xs[t]), wanted[t])
    kept, found = reference.snapshot(), onnx.snapshot()
    assert all(np.array_equal(kept[name], found[name]) for name in state_ports(program))


def test_the_state_is_bounded_by_delay_and_order() -> None:
    program = keyword_program(trained(), step_us=10_000, input_high=4)
    ports = state_ports(program)
    longest = {n.name: int(program.tensors[n.delays].max()) for n in program.nodes}  # type: ignore[union-attr,index]
    assert ports["state_hear"].shape == (longest["hear"] + 2, 2, 1, 6)
    assert ports["state_scores"].shape == (longest["scores"], 12)


def test_a_delay_layer_is_causal() -> None:
    torch.manual_seed(2)
    layer = DelayLayer(4, 3, 5, delays="learned", order=3, neuron="psn").eval()
    s = (torch.rand(20, 1, 3) < 0.4).float()
    changed = s.clone()
    changed[12:] = 1 - changed[12:]
    assert torch.equal(layer(s)[:12], layer(changed)[:12])
