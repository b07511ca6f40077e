import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgesnn.models.gesture.net import GestureNet  # noqa: E402
from edgesnn.models.layers.psn import (  # noqa: E402
    QuantWeight,
    SpikingConv,
    Taps,
    Threshold,
    delayed,
    filter_time,
    spike,
)


def test_filter_time_is_the_sliding_psn_sum_written_out():
    x = torch.tensor([1.0, 0.0, 2.0, 3.0]).view(4, 1)
    h = filter_time(x, torch.tensor([4.0, 2.0, 1.0]))
    # H[t] = 4 x[t] + 2 x[t-1] + x[t-2], zeros before the start
    assert h.flatten().tolist() == [4.0, 2.0, 9.0, 16.0]


def test_taps_start_as_halves_and_are_integers_up_to_seven():
    assert Taps(4).integers().tolist() == [7.0, 4.0, 2.0, 1.0]


def test_spike_fires_at_zero_and_passes_the_arctangent_derivative():
    z = torch.tensor([-1.0, 0.0, 1.0], requires_grad=True)
    s = spike(z)
    assert s.tolist() == [0.0, 1.0, 1.0]
    s.sum().backward()
    side = 1 / (1 + np.pi**2)
    assert z.grad.tolist() == pytest.approx([side, 1.0, side])


def test_delayed_puts_the_newest_first_and_starts_with_zeros():
    x = torch.arange(1.0, 4.0).view(3, 1, 1, 1, 1)
    assert delayed(x, 3).flatten(1).tolist() == [[1, 0, 0], [2, 1, 0], [3, 2, 1]]


def test_threshold_integers_split_exactly_where_batch_norm_does():
    torch.manual_seed(0)
    layer = Threshold(5)
    with torch.no_grad():
        layer.gain.uniform_(-2, 2)
        layer.bias.uniform_(-2, 2)
        layer.mean.uniform_(-20, 20)
        layer.variance.uniform_(1, 200)
    layer.eval()
    h = torch.arange(-300.0, 301.0)[:, None].expand(-1, 5)
    theta = layer.integers()
    assert (theta >= 1).all()
    assert torch.equal(layer(h).bool(), h >= theta)


def test_weights_are_int8_and_reach_the_limit_in_every_channel():
    torch.manual_seed(0)
    w = QuantWeight(6, 3, 3, 3).integers()
    assert torch.equal(w, w.round())
    assert w.abs().flatten(1).amax(dim=1).tolist() == [127.0] * 6


def test_streaming_a_layer_step_by_step_equals_the_whole_sequence():
    torch.manual_seed(0)
    layer = SpikingConv(QuantWeight(4, 3, 3, 3), order=5).eval()
    with torch.no_grad():
        layer.threshold.mean.uniform_(0, 500)
        layer.threshold.variance.uniform_(1e4, 1e5)
        x = (torch.rand(20, 1, 3, 6, 6) < 0.3).float()
        whole = layer(x)
        # The last five inputs decide each step: no more, no less.
        steps = [layer(x[max(0, t - 4) : t + 1])[-1] for t in range(20)]
    assert 0 < whole.mean() < 1
    assert torch.equal(whole, torch.stack(steps))


def test_blocks_of_a_stage_share_one_kernel_and_keep_their_own_taps_and_thresholds():
    net = GestureNet()
    near1, near2 = net.layers["near1"], net.layers["near2"]
    assert near1.shared is near2.shared
    assert near1.taps is not near2.taps
    assert near1.threshold is not near2.threshold
    names = [n for n, _ in net.named_parameters() if "near" in n and n.endswith("weight")]
    assert len(names) == 1


def test_silence_in_is_silence_out():
    net = GestureNet().eval()
    with torch.no_grad():
        assert not net(torch.zeros(10, 1, 2, 32, 32)).any()
