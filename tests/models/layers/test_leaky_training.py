"""Leaky neurons in torch: what is trained is the integer neuron."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgesnn.models.layers.leaky import Leaky  # noqa: E402


def neuron(theta: float, current: float, keep: int = 128) -> Leaky:
    """One neuron in eval mode of this threshold and current: gain 1, deviation theta."""
    made = Leaky(1, keep).eval()
    with torch.no_grad():
        made.gain.fill_(1 - 1e-3)
        made.variance.fill_(theta**2 - 1e-3)
        made.mean.fill_(-current)
    return made


def test_by_hand() -> None:
    """As in the reference: 7; 3 + 7 = 10 fires; 9; 4 + 5 = 9; 4 - 13 = -9; -4; -2 + 12 fires."""
    made = neuron(10, 0)
    assert [v.item() for v in made.integers()] == [10, 0]
    h = torch.tensor([7.0, 7, 9, 5, -13, 0, 12])
    assert made(h.view(-1, 1, 1)).flatten().tolist() == [0, 1, 0, 0, 0, 0, 1]


def test_the_equation_of_the_normalised_neuron() -> None:
    """Potentials far above 1 hide the rounding: spikes are those of v/2 + BN(H) >= 1."""
    torch.manual_seed(0)
    made = Leaky(5).eval()
    with torch.no_grad():
        made.gain.copy_(torch.tensor([0.5, 1.0, 2.0, 1.0, 3.0]))
        made.bias.copy_(torch.tensor([-0.5, 0.0, 0.3, -2.0, 0.1]))
        made.mean.copy_(torch.tensor([300.0, -200.0, 0.0, 50.0, 1000.0]))
        made.variance.fill_(2000.0**2)
    h = (torch.randn(200, 3, 5) * 2000).round()
    z = torch.nn.functional.batch_norm(
        h.flatten(0, 1), made.mean, made.variance, made.gain.abs() + 1e-3, made.bias, eps=1e-3
    ).view(h.shape)
    v, wanted = torch.zeros(3, 5), []
    for current in z:
        v = v / 2 + current
        wanted.append((v >= 1).float())
        v = v * (v < 1)
    agree = (made(h) == torch.stack(wanted)).float().mean().item()
    assert agree > 0.998
    assert 0.05 < made(h).mean() < 0.5


def test_a_neuron_that_would_fire_alone_gets_the_largest_current_that_does_not() -> None:
    made = neuron(10, 1000)
    assert made.integers()[1].item() == 4
    assert not made(torch.zeros(50, 1, 1)).any()


def test_statistics_are_learned_and_gradients_reach_every_parameter() -> None:
    torch.manual_seed(0)
    made = Leaky(4)
    h = (torch.randn(30, 8, 4) * 50 + 20).round().requires_grad_()
    for _ in range(100):
        spikes = made(h)
    assert made.mean.mean().item() == pytest.approx(20, abs=5)
    assert made.variance.mean().sqrt().item() == pytest.approx(50, rel=0.1)
    (spikes * torch.linspace(0, 1, 30)[:, None, None]).sum().backward()
    for given in (h.grad, made.gain.grad, made.bias.grad):
        assert given is not None and given.abs().sum() > 0
    assert np.isin(spikes.detach().numpy(), (0, 1)).all()
