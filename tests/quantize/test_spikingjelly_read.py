"""SpikingJelly modules, known by their classes' names and attributes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgesnn.errors import InputError
from edgesnn.quantize.agreement import compared
from edgesnn.quantize.from_float import converted

SHAPE = (2, 8, 8)


def inputs(steps: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    seen = rng.random((steps, *SHAPE)) < 0.15
    return (seen * rng.integers(1, 4, (steps, *SHAPE))).astype(np.uint8)


def test_a_spikingjelly_network() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based import functional, layer, neuron

    from edgesnn.quantize.spikingjelly_read import read_spikingjelly

    torch.manual_seed(0)
    module = torch.nn.Sequential(
        layer.Conv2d(2, 6, 3, padding=1, bias=False),
        layer.BatchNorm2d(6),
        neuron.LIFNode(tau=2.0),
        layer.AvgPool2d(2),
        layer.Conv2d(6, 8, 3, padding=1),
        neuron.ParametricLIFNode(init_tau=3.0, decay_input=False, v_reset=None),
        layer.MaxPool2d(2),
        layer.Dropout(0.5),
        layer.Flatten(),
        layer.Linear(32, 5, bias=False),
        neuron.IFNode(),
    )
    module[1].running_mean.uniform_(-0.1, 0.1)
    module[1].running_var.uniform_(0.05, 0.1)
    for weighted in (module[4], module[9]):
        weighted.weight.data.mul_(4)
    (note,) = read_spikingjelly(module.train(), SHAPE).approximations
    assert note.startswith("1, 7: in train() mode, read as in eval() mode")
    net = read_spikingjelly(module.eval(), SHAPE)
    assert not net.approximations
    xs = inputs(80)
    with torch.no_grad():
        wanted = torch.stack([module(torch.tensor(x[None], dtype=torch.float32)) for x in xs])
    functional.reset_net(module)
    found = net.run(xs)[net.stages[-1].name]
    assert wanted.any() and (found == wanted[:, 0].numpy()).mean() > 0.999
    made = converted(net, name="sj", step_us=1000, highest=3)
    told = compared(net, made, [xs])
    equal = [row.agreement for row in told.layers if row.agreement is not None]
    # Random weights, no training: differences add up from layer to layer.
    assert equal[0] > 0.999 and equal[1] > 0.99 and equal[2] > 0.95, equal


@pytest.mark.parametrize("bias", [-0.6, 0.2])
def test_sliding_psns_step_by_step_and_all_at_once(bias: float) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based import functional, layer, neuron

    from edgesnn.quantize.spikingjelly_read import read_spikingjelly

    torch.manual_seed(1)
    module = torch.nn.Sequential(
        layer.Conv2d(2, 6, 3, padding=1, bias=False),
        neuron.SlidingPSN(k=4, exp_init=False, step_mode="m"),
        layer.Flatten(),
        layer.Linear(384, 5, bias=False),
        neuron.SlidingPSN(k=3, step_mode="m"),
    )
    functional.set_step_mode(module, "m")
    module[0].weight.data.mul_(3)
    module[3].weight.data.mul_(8)
    module[1].bias.data.fill_(bias)
    net = read_spikingjelly(module, SHAPE)
    xs = inputs(60)
    with torch.no_grad():
        wanted = module(torch.tensor(xs[:, None], dtype=torch.float32))[:, 0].numpy()
    found = net.run(xs)[net.stages[-1].name]
    assert wanted.any() and (found == wanted).mean() > 0.999
    told = compared(net, converted(net, name="psn", step_us=1000, highest=3), [xs])
    equal = [row.agreement for row in told.layers if row.agreement is not None]
    assert min(equal) > 0.98, equal


class Kind:
    """A module of any class name, as the importer sees it."""

    def __init__(self, kind: str, **fields: Any) -> None:
        self.__class__ = type(kind, (Kind,), {})
        self.__dict__.update(fields)

    def named_children(self) -> list[tuple[str, Any]]:
        return list(self.__dict__.get("parts", {}).items())


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Kind("PSN"), "PSN.*is not carried over: it sees the future; use SlidingPSN; what is"),
        (Kind("SlidingPSN"), "neurons follow Conv2d or Linear"),
        (Kind("IFNode", v_reset=0.0), "neurons follow Conv2d or Linear"),
        (Kind("BatchNorm2d"), "there are none before it"),
        (Kind("Flatten"), "holds nothing"),
    ],
)
def test_modules_that_are_not_carried_over_are_named(module: Any, message: str) -> None:
    from edgesnn.quantize.spikingjelly_read import read_spikingjelly

    with pytest.raises(InputError, match=message):
        read_spikingjelly(module, SHAPE)
