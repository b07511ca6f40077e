import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgesnn.errors import BundleError  # noqa: E402
from edgesnn.hardware.reference import Reference, run_sequence  # noqa: E402
from edgesnn.models.gesture.convert import gesture_program  # noqa: E402
from edgesnn.models.gesture.net import GestureNet  # noqa: E402
from edgesnn.program import Layer, warmup_steps  # noqa: E402
from edgesnn.quantize.integers import sum_bounds  # noqa: E402

STEPS = 40


@pytest.fixture(scope="module")
def net():
    """A network whose thresholds were set by data, as training sets them."""
    torch.manual_seed(3)
    net = GestureNet()
    for _ in range(30):
        net(torch.from_numpy(levels(torch.randint(2**31, ()).item())).float()[:, None])
    return net.eval()


def levels(seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 8, (STEPS, 2, 32, 32)) * (rng.random((STEPS, 2, 32, 32)) < 0.2)
    return x.astype(np.uint8)


def test_the_program_gives_the_networks_own_integers(net):
    program = gesture_program(net, step_us=25_000, grid=32, input_high=7)
    x = levels(1)
    with torch.no_grad():
        wanted = net(torch.from_numpy(x).float()[:, None])[:, 0].numpy()
    assert np.abs(wanted).max() > 0
    assert np.array_equal(run_sequence(program, x), wanted)


def test_streamed_step_by_step_it_gives_the_same(net):
    program = gesture_program(net, step_us=25_000, grid=32, input_high=7)
    x = levels(2)
    stream = Reference(program).stream()
    streamed = np.stack([stream.step(frame).copy() for frame in x])
    assert np.array_equal(streamed, run_sequence(program, x))


def test_shared_kernels_are_one_tensor_and_thresholds_are_at_least_one(net):
    program = gesture_program(net, step_us=25_000, grid=32, input_high=7)
    weights = {n.name: n.weight for n in program.nodes if isinstance(n, Layer)}
    assert weights["near1"] == weights["near2"] and weights["far1"] == weights["far2"]
    assert len({n for n in program.tensors if n.startswith("w_")}) == 5
    for name, tensor in program.tensors.items():
        if name.startswith("theta_"):
            assert tensor.min() >= 1


def test_warm_up_is_the_sum_of_all_memories(net):
    program = gesture_program(net, step_us=25_000, grid=32, input_high=7)
    assert warmup_steps(program) == 3 + 5 * 5  # four delays, five sliding PSNs of order six


def test_no_input_exceeds_the_bounds_that_are_told(net):
    program = gesture_program(net, step_us=25_000, grid=32, input_high=7)
    bounds = sum_bounds(program)
    assert set(bounds) == set(net.layers) | {"scores"}
    full = np.full((12, 2, 32, 32), 7, np.uint8)
    assert np.abs(run_sequence(program, full)).max() <= bounds["scores"]


def test_weights_that_are_no_integers_are_refused(net):
    class Broken:
        layers = net.layers
        scores = type("S", (), {"integers": staticmethod(lambda: torch.tensor([[0.5]]))})

    with pytest.raises(BundleError, match="are no int8"):
        gesture_program(Broken, step_us=25_000, grid=32, input_high=7)
