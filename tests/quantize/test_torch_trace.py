"""Modules whose order their code decides: residual blocks, branches, checkpoints of them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("spikingjelly")
from spikingjelly.activation_based import functional, layer, neuron  # noqa: E402

from edgesnn.errors import InputError  # noqa: E402
from edgesnn.hardware.events import EventsModel  # noqa: E402
from edgesnn.hardware.reference import run_sequence  # noqa: E402
from edgesnn.quantize import from_spikingjelly  # noqa: E402
from edgesnn.quantize.agreement import compared  # noqa: E402
from edgesnn.quantize.from_float import converted  # noqa: E402
from edgesnn.quantize.spikingjelly_read import read_spikingjelly  # noqa: E402

SHAPE = (2, 8, 8)
STEPS = 60


def inputs() -> np.ndarray:
    rng = np.random.default_rng(0)
    seen = rng.random((STEPS, *SHAPE)) < 0.2
    return (seen * rng.integers(1, 4, (STEPS, *SHAPE))).astype(np.uint8)


def outputs(module: Any, xs: np.ndarray) -> np.ndarray:
    functional.reset_net(module)
    with torch.no_grad():
        steps = [module(torch.tensor(x[None], dtype=torch.float32))[0] for x in xs]
    functional.reset_net(module)
    return np.stack([step.numpy() for step in steps])


def whole(module: Any, seed: int) -> Any:
    """Give a module weights of whole numbers, and its batch norms statistics of their own."""
    drawn = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d | torch.nn.Linear):
            part.weight.data = torch.randint(-3, 4, part.weight.shape, generator=drawn).float()
            part.weight.data.flatten(1)[:, 0] = 127.0
            part.weight.data /= 127
    return module.eval()


class Block(torch.nn.Module):  # type: ignore[misc]
    """A spike-element-wise block: with ADD spikes become counts."""

    def __init__(self, channels: int, how: str) -> None:
        super().__init__()
        self.how = how
        self.conv1 = layer.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn = layer.BatchNorm2d(channels)
        self.sn1 = neuron.IFNode(v_threshold=0.5)
        self.conv2 = layer.Conv2d(channels, channels, 1, bias=False)
        self.sn2 = neuron.IFNode(v_threshold=0.5, v_reset=None)

    def forward(self, x: Any) -> Any:
        out = self.sn2(self.conv2(self.sn1(self.bn(self.conv1(x)))))
        if self.how == "ADD":
            out += x
        elif self.how == "AND":
            out = out * x
        else:
            out = x * (1.0 - out)
        return out


class Residual(torch.nn.Module):  # type: ignore[misc]
    """Two blocks between a stem and a readout."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.stem = torch.nn.Sequential(
            layer.Conv2d(2, 6, 3, padding=1, bias=False), neuron.IFNode(v_threshold=0.8)
        )
        self.blocks = torch.nn.Sequential(Block(6, how), Block(6, how))
        self.pool = layer.AvgPool2d(2)
        self.fc = layer.Linear(96, 5, bias=False)
        self.out = neuron.IFNode(v_threshold=0.05)

    def forward(self, x: Any) -> Any:
        x = self.pool(self.blocks(self.stem(x)))
        return self.out(self.fc(torch.flatten(x, 1)))


@pytest.mark.parametrize("how", ["ADD", "AND", "IAND"])
def test_spike_element_wise_blocks(how: str) -> None:
    module, xs = whole(Residual(how), 5), inputs()
    net = read_spikingjelly(module, SHAPE)
    wanted = outputs(module, xs)
    assert wanted.any() and (net.run(xs)[net.stages[-1].name] == wanted).mean() > 0.999
    made = compared(net, converted(net, name="sew", step_us=1000, highest=3), [xs])
    equal = [row.agreement for row in made.layers if row.agreement is not None]
    assert len(equal) == 6 and min(equal) > 0.97, equal
    found = EventsModel(made.program).stream()
    assert np.array_equal([found.step(x).copy() for x in xs], run_sequence(made.program, xs))


class Branches(torch.nn.Module):  # type: ignore[misc]
    """Sums before neurons: a shortcut of spikes, one through weights, one through upsampling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = layer.Conv2d(2, 4, 3, padding=1, bias=False)
        self.sn1 = neuron.LIFNode(tau=2.0, v_threshold=0.4)
        self.down = layer.Conv2d(4, 4, 2, stride=2, bias=False)
        self.sn2 = neuron.IFNode(v_threshold=0.6)
        self.up = torch.nn.Upsample(scale_factor=2)
        self.conv2 = layer.Conv2d(4, 4, 1, bias=False)
        self.sn3 = neuron.IFNode(v_threshold=2.0)
        self.sn4 = neuron.IFNode(v_threshold=1.0)

    def forward(self, x: Any) -> Any:
        near = self.sn1(self.conv1(x))
        far = self.up(self.sn2(self.down(near)))
        both = self.conv2(far) + near
        return self.sn3(both) * self.sn4(both)  # two populations read the same sums


def test_sums_of_branches_shared_by_two_populations() -> None:
    module, xs = whole(Branches(), 2), inputs()
    net = read_spikingjelly(module, SHAPE)
    wanted = outputs(module, xs)
    assert wanted.any() and (net.run(xs)[net.stages[-1].name] == wanted).mean() > 0.999
    made = converted(net, name="b", step_us=1000, highest=3)
    told = compared(net, made, [xs])
    assert min(row.agreement for row in told.layers if row.agreement is not None) > 0.97
    assert (run_sequence(made.program, xs) == wanted).mean() > 0.97


class Odd(torch.nn.Module):  # type: ignore[misc]
    """Calls one function on what its layers give."""

    def __init__(self, call: Any) -> None:
        super().__init__()
        self.conv = layer.Conv2d(2, 4, 1)
        self.sn = neuron.IFNode()
        self.call = call

    def forward(self, x: Any) -> Any:
        return self.call(self, x)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m, x: torch.relu(m.conv(x)), r"relu\(conv\), which is not carried over"),
        (lambda m, x: m.sn(m.conv(x)) if x.sum() > 0 else x, "its code cannot be followed"),
        (lambda m, x: (m.sn(m.conv(x)), x), "gives several values"),
        (lambda m, x: m.sn(m.conv(x)) * 2, "mul.* which is not carried over"),
        (lambda m, x: m.conv(m.conv(x)), "reads sums without neurons between"),
        (lambda m, x: 1 - m.sn(m.conv(x)), "ends in a sum of 1, or in 1 - spikes"),
        (lambda m, x: m.sn(m.conv(x)) * x[:, :1], "getitem"),
        (lambda m, x: m.conv(x) * m.sn(m.conv(x)), "multiplies what are not the spikes"),
    ],
)
def test_calls_that_are_not_carried_over_are_named(call: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_spikingjelly(Odd(call), SHAPE)


def test_a_checkpoint_of_parameters(tmp_path: Path) -> None:
    trained, fresh = whole(Residual("ADD"), 3), Residual("ADD").eval()
    torch.save({"epoch": 3, "state_dict": trained.state_dict()}, tmp_path / "a.pt")
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "other.pt")
    (tmp_path / "code.pt").write_bytes(pickle.dumps(print))
    torch.save([1, 2], tmp_path / "list.pt")
    options: dict[str, Any] = {"name": "a", "highest": 3}
    made = from_spikingjelly(fresh, np.zeros((1, *SHAPE)), state=tmp_path / "a.pt", **options)
    assert made.program.sha256 == from_spikingjelly(trained, SHAPE, **options).program.sha256
    for name, said in (
        ("other.pt", "is not of this network: Missing key"),
        ("code.pt", "is not a checkpoint of tensors alone"),
        ("list.pt", "holds no state_dict"),
        ("none.pt", "cannot be read: No such file"),
    ):
        with pytest.raises(InputError, match=said):
            from_spikingjelly(fresh, SHAPE, state=tmp_path / name, **options)


class Pair(torch.nn.Module):  # type: ignore[misc]
    """Two maps and neurons, called as `call` says."""

    def __init__(self, call: Any) -> None:
        super().__init__()
        self.c = layer.Conv2d(2, 4, 1, bias=False)
        self.d = layer.Conv2d(2, 4, 1, bias=False)
        self.n = neuron.IFNode(v_threshold=0.5)
        self.o = neuron.IFNode(v_threshold=0.5)
        self.mean = layer.AvgPool2d(2, divisor_override=1)
        self.call = call

    def forward(self, x: Any, y: Any = None) -> Any:
        return self.call(self, x, y)


def added_in_place(m: Any, x: Any, _: Any) -> Any:
    sums = m.c(x)
    sums.add_(m.d(x))
    return m.n(sums)


def added_through_another_name(m: Any, x: Any, _: Any) -> Any:
    spikes = m.n(m.c(x))
    same = spikes.contiguous()
    same += m.o(m.d(x))
    return spikes


def changed_behind_a_view(m: Any, x: Any, _: Any) -> Any:
    spikes = m.n(m.c(x))
    same = spikes.contiguous()
    spikes += m.o(m.d(x))
    return same


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (changed_behind_a_view, "changes in place what output reads later"),
        (lambda m, x, y: torch.flatten(input=m.n(m.c(x))), "flatten.* which is not carried over"),
        (lambda m, x, y: torch.add(m.c(x), m.d(x), alpha=2), "add.* which is not carried over"),
        (lambda m, x, y: m.n(m.c(x)) + m.n(m.d(x)), "is called twice in a step, and remembers"),
        (added_in_place, "changes in place what n reads later"),
        (added_through_another_name, "changes in place what output reads later"),
        (lambda m, x, y: m.n(m.c(x) + m.d(y)), "takes several inputs"),
        (lambda m, x, y: m.mean(m.n(m.c(x))), "a divisor or a dilation of its own"),
        (lambda m, x, y: m.o(torch.sub(1, m.n(m.c(x)), alpha=2)), "sub.* which is not carried"),
        (lambda m, x, y: m.n(m.c(input=x)), "is called with other than one value"),
    ],
)
def test_what_would_be_read_wrongly_is_refused(call: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_spikingjelly(Pair(call), SHAPE)


def test_a_module_is_followed_as_it_is_in_evaluation() -> None:
    def call(m: Any, x: Any, _: Any) -> Any:
        return m.n(m.c(x)) if m.training else m.o(m.d(x))

    module = whole(Pair(call), 4).train()
    module.c.eval()
    net = read_spikingjelly(module, SHAPE)
    assert module.training and module.d.training and not module.c.training
    assert (net.run(inputs())[net.stages[-1].name] == outputs(module.eval(), inputs())).all()


def test_maps_may_be_called_twice_and_thresholds_are_above_0() -> None:
    module = whole(Pair(lambda m, x, y: m.n(m.c(x) + m.c(x))), 5)
    net = read_spikingjelly(module, SHAPE)
    assert (net.run(inputs())[net.stages[-1].name] == outputs(module, inputs())).all()
    module.n.v_threshold = 0.0
    with pytest.raises(InputError, match="a threshold of 0; above 0 is carried over"):
        converted(read_spikingjelly(module, SHAPE), name="a", step_us=1000, highest=3)


def test_a_checkpoint_of_a_parallel_training(tmp_path: Path) -> None:
    trained, options = whole(Residual("ADD"), 3), {"name": "a", "highest": 3}
    named = {f"module.{key}": value for key, value in trained.state_dict().items()}
    torch.save(named, tmp_path / "a.pt")
    torch.save({1: torch.zeros(2)}, tmp_path / "numbers.pt")
    made = from_spikingjelly(Residual("ADD"), SHAPE, state=tmp_path / "a.pt", **options)  # type: ignore[arg-type]
    assert made.program.sha256 == from_spikingjelly(trained, SHAPE, **options).program.sha256  # type: ignore[arg-type]
    with pytest.raises(InputError, match="holds no state_dict"):
        from_spikingjelly(Residual("ADD"), SHAPE, state=tmp_path / "numbers.pt", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "a-b"}, "name is 'a-b'; wanted letters"),
        ({"name": "a", "step_us": 1.5}, "step_us is 1.5; wanted a whole number"),
        ({"name": "a", "highest": "3"}, "highest is '3'; wanted a whole number"),
    ],
)
def test_arguments_that_make_no_program(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        from_spikingjelly(Residual("ADD").eval(), SHAPE, **options)
