"""Neurons that fire once: worked out by hand, and bit for bit on every backend."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgesnn.hardware.onnx_cpu import OnnxModel  # noqa: E402
from edgesnn.hardware.reference import Reference, run_sequence, trace  # noqa: E402
from edgesnn.models.digits.convert import digits_program  # noqa: E402
from edgesnn.models.digits.data import jittered, latency_spikes  # noqa: E402
from edgesnn.models.digits.net import DigitNet, DigitShape  # noqa: E402
from edgesnn.models.digits.recipe import STILL  # noqa: E402
from edgesnn.models.layers.ttfs import (  # noqa: E402
    TtfsLayer,
    decode,
    fire_once,
    sum_pool,
    temporal_weights,
)
from edgesnn.program import Fire, Layer, Program, initial_state  # noqa: E402
from edgesnn.quantize.export import export  # noqa: E402

SHAPE = DigitShape(size=20, steps=5, near=4, far=6, deep=5, population=3, classes=4)


def trial(seed: int, batch: int = 3, size: int = 20, steps: int = 5) -> torch.Tensor:
    images = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (batch, size, size)))
    return latency_spikes(images, steps, dark=True)


def settled(shape: DigitShape) -> DigitNet:
    """A network whose thresholds have seen some trials, in eval mode."""
    net = DigitNet(shape)
    for seed in range(100, 130):
        net(trial(seed))
    return net.eval()


def test_a_neuron_fires_once_and_stays_fired() -> None:
    x = torch.tensor([[-1.0, -2.0, 3.0], [0.0, -1.0, -5.0], [-4.0, -1.0, 2.0]])
    assert fire_once(x, torch.ones(3)).tolist() == [[0, 0, 1], [1, 0, 1], [1, 0, 1]]


def test_the_gradient_by_hand() -> None:
    """alpha 2 and step 1: slope 1 / (1 + (pi m)^2), m the highest potential so far.

    It belongs to the time of that highest potential: the first neuron's is at 0, 1 and 1, the
    second's always at 0, though it fires no spike.
    """
    x = torch.tensor([[-1.0, -0.5], [0.5, -1.0], [0.0, -2.0]], requires_grad=True)
    fire_once(x, torch.ones(2)).backward(torch.tensor([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]]))

    def slope(m: float) -> float:
        return float(1 / (1 + (np.pi * m) ** 2))

    assert x.grad is not None
    assert x.grad[:, 0].tolist() == pytest.approx([slope(-1.0), 6 * slope(0.5), 0.0])
    assert x.grad[:, 1].tolist() == pytest.approx([7 * slope(-0.5), 0.0, 0.0])


def test_thresholds_follow_the_potentials_and_are_at_least_one() -> None:
    """Two neurons of one input, weights 1 and -1: int8 127 and -127, potentials +-127 c."""
    layer = TtfsLayer(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        layer.bias.fill_(0.5)
    counts = torch.tensor([0.0, 0.0, 1.0, 1.0]).view(1, 4, 1).repeat(3, 1, 1)
    for _ in range(200):
        fired = layer(counts)
    # The mean is 63.5, the standard deviation 63.5, and one is added to it: 63.5 + 64.5 / 2.
    weight, threshold = layer.integers()
    assert weight.flatten().tolist() == [127.0, -127.0]
    assert threshold.tolist() == pytest.approx([96.0, 1.0])
    assert fired[-1, :, 0].tolist() == [0.0, 0.0, 1.0, 1.0]
    assert layer.eval()(counts)[-1].T.tolist() == [[0.0, 0.0, 1.0, 1.0], [0.0] * 4]


def test_the_threshold_passes_gradients_to_the_weights_as_batch_normalisation_does() -> None:
    """A weight's scale changes potentials and threshold alike: no gradient along the weights."""
    torch.manual_seed(0)
    layer = TtfsLayer(5, 40)
    counts = (torch.rand(4, 64, 40) < 0.3).float().cumsum(0).clamp(max=1)
    layer(counts).square().sum().backward()
    assert layer.weight.grad is not None and layer.bias.grad is not None
    along = (layer.weight.grad * layer.weight).sum(dim=1).abs()
    size = layer.weight.grad.norm(dim=1) * layer.weight.detach().norm(dim=1)
    assert (along < 0.2 * size).all()
    assert (layer.bias.grad <= 0).all() and (layer.bias.grad < 0).any()


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_the_start_keeps_firing_alive_through_depth(scale: float) -> None:
    """Six layers of 400 neurons, half the inputs fire: a third to 0.6 of them fires in each."""
    torch.manual_seed(0)
    counts = (torch.rand(1, 64, 400) < 0.5).float()
    times = torch.randint(0, 8, (64, 400))
    counts = torch.stack([counts[0] * (times <= t) for t in range(8)])
    for _ in range(6):
        layer = TtfsLayer(400, 400)
        with torch.no_grad():
            layer.weight.mul_(scale)
        counts = layer(counts).detach()
        assert 0.33 < float(layer.fired) < 0.6
        # Spikes still differ in time: some come in the second half.
        assert float(counts[3].mean()) < float(counts[-1].mean())


def test_without_input_nothing_fires() -> None:
    torch.manual_seed(0)
    net = settled(SHAPE)
    assert net(torch.zeros(5, 1, 2, 20, 20)).sum() == 0 and net.fired() == [0.0] * 4


def test_decoding_by_hand() -> None:
    """T = 3, two classes of two neurons: class 0 fires at 0 and 2 (3 + 1), class 1 at 1 (2)."""
    fired = torch.tensor([[1, 0, 0, 0], [1, 0, 1, 0], [1, 1, 1, 0]]).float()[:, None]
    assert decode(fired, 2).tolist() == [[4.0, 2.0]]
    assert temporal_weights(3).tolist() == [3.0, 2.0, 1.0]
    spikes = torch.diff(fired, dim=0, prepend=torch.zeros(1, 1, 4)).view(3, 1, 2, 2).sum(3)
    assert torch.einsum("t,tbc->bc", temporal_weights(3), spikes).tolist() == [[4.0, 2.0]]


def test_sum_pooling_adds_cumulative_counts() -> None:
    counts = torch.arange(16.0).view(1, 1, 1, 4, 4)
    assert sum_pool(counts)[0, 0, 0].tolist() == [[10.0, 18.0], [42.0, 50.0]]


@pytest.mark.parametrize("seed", range(3))
def test_the_network_is_the_integer_program_bit_for_bit(seed: int) -> None:
    """torch scores = weighted counts of reference, whole sequence and ONNX; each fires once."""
    torch.manual_seed(seed)
    net = settled(SHAPE)
    program = digits_program(net, name="small", step_us=5000)
    x = trial(seed)
    with torch.no_grad():
        wanted = net(x).numpy()
    onnx = OnnxModel(program, export(program)).stream()
    weights = np.arange(5, 0, -1)[:, None]
    assert wanted.sum() > 0
    for i in range(x.shape[1]):
        xs = x[:, i].numpy().astype(np.uint8)
        whole = run_sequence(program, xs)
        assert np.array_equal((weights * whole).sum(axis=0), wanted[i])
        onnx.reset()
        reference, total = Reference(program).stream(), {}
        state = initial_state(program)
        for t in range(5):
            assert np.array_equal(onnx.step(xs[t]), whole[t])
            assert np.array_equal(reference.step(xs[t]), whole[t])
            outputs, state = trace(program, xs[t], state)
            for node in program.nodes:
                if isinstance(node, Fire):
                    total[node.name] = total.get(node.name, 0) + outputs[node.name].astype(int)
        assert all(times.max() <= 1 for times in total.values()) and total["near"].max() == 1
        kept, found = reference.snapshot(), onnx.snapshot()
        assert all(np.array_equal(kept[name], found[name]) for name in kept)


def test_potentials_saturate_alike_on_every_backend() -> None:
    """Sums of 127 x 255 each step for 40,000 steps would pass 2**30; the membrane stops there."""
    tensors = {"w": np.full((1, 1), 127, np.int8), "theta": np.array([2**31 - 1], np.int32)}
    nodes = (Layer("sums", "x", "w", op="linear"), Fire("once", "sums", "theta"))
    program = Program("long", 1000, (1, 1, 1), 255, nodes, "once", tensors)
    state = initial_state(program)
    state["membrane_once"][:] = 2**30 - 40_000
    streams = [Reference(program).stream(), OnnxModel(program, export(program)).stream()]
    for stream in streams:
        stream.restore(state)
        for _ in range(3):
            assert stream.step(np.full((1, 1, 1), 255, np.uint8))[0] == 0
        assert stream.snapshot()["membrane_once"][0] == 2**30


def test_images_are_moved_and_stay_images() -> None:
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (6, 28, 28)))
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(jittered(images, generator, **STILL), images.float())
    moved = jittered(
        images, generator, **{**STILL, "degrees": 20, "scale": 0.2, "shear": 0.1, "shift": 3}
    )
    assert not torch.equal(moved, images.float())
    assert moved.min() >= 0 and moved.max() <= 255 and torch.equal(moved, moved.round())


def test_shifts_by_whole_pixels_blur_nothing() -> None:
    """Every copy is the image itself, shifted by -1, 0 or 1 in each direction, turned or not."""
    images = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (40, 12, 10)))
    change = {**STILL, "shift": 1.5, "whole": True, "flip": True}
    moved = jittered(images, torch.Generator().manual_seed(0), **change).numpy()
    found = set()
    for image, copy in zip(images.numpy(), moved, strict=True):
        padded = np.pad(image, 1)
        possible = {
            (y, x, turned): padded[1 + y : 13 + y, 1 + x : 11 + x][:, ::turned]
            for y in (-1, 0, 1) for x in (-1, 0, 1) for turned in (1, -1)
        }  # fmt: skip
        found |= {how for how, wanted in possible.items() if np.array_equal(copy, wanted)}
        assert any(np.array_equal(copy, wanted) for wanted in possible.values())
    assert len(found) > 9
