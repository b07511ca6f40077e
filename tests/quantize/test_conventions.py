"""Graphs of other frameworks, stepped by these and by us: the same spikes in every step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

nir = pytest.importorskip("nir")

from edgesnn.errors import InputError  # noqa: E402
from edgesnn.hardware.reference import run_sequence  # noqa: E402
from edgesnn.quantize.agreement import compared  # noqa: E402
from edgesnn.quantize.float_net import FloatNet  # noqa: E402
from edgesnn.quantize.float_stages import Neurons, Weighted  # noqa: E402
from edgesnn.quantize.from_float import converted  # noqa: E402
from edgesnn.quantize.nir_read import read_nir  # noqa: E402

STEPS = 300


def inputs() -> np.ndarray:
    """ON events of a row of 12 pixels; what features become."""
    rng = np.random.default_rng(0)
    return (rng.random((STEPS, 2, 1, 12)) < 0.4).astype(np.uint8)


@pytest.mark.parametrize(
    ("kind", "options", "reset"),
    [
        ("Leaky", {}, None),
        ("Leaky", {"reset_mechanism": "zero"}, "zero"),
        ("Leaky", {"reset_delay": False}, "subtract"),
        ("Synaptic", {}, None),
        ("Synaptic", {"reset_mechanism": "zero", "reset_delay": False}, "zero"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_snntorch(tmp_path: Path, kind: str, options: dict[str, Any], reset: str | None) -> None:
    torch = pytest.importorskip("torch")
    snn = pytest.importorskip("snntorch")
    pytest.importorskip("nirtorch")
    from snntorch import utils
    from snntorch.export_nir import export_to_nir

    def neurons(n: int, beta: float) -> Any:
        """As learned ones are: each with a leak of its own."""
        betas = torch.linspace(beta - 0.1, beta + 0.05, n)
        of = {"beta": betas, "threshold": torch.ones(n), "init_hidden": True}
        if kind == "Synaptic":
            of["alpha"] = torch.linspace(0.5, 0.7, n)
        return getattr(snn, kind)(**of, **options)

    torch.manual_seed(0)
    first, second = torch.nn.Linear(12, 20), torch.nn.Linear(20, 5, bias=False)
    second.weight.data.mul_(3)
    module = torch.nn.Sequential(first, neurons(20, 0.9), second, neurons(5, 0.8))
    graph = export_to_nir(module, torch.zeros(1, 12), ignore_dims=[0])
    nir.write(tmp_path / "a.nir", graph)
    net = read_nir(tmp_path / "a.nir", step_us=2000, convention="snntorch", reset=reset)
    utils.reset(module)
    xs = inputs()
    with torch.no_grad():
        wanted = np.stack([module(torch.tensor(x[1], dtype=torch.float32))[0] for x in xs])
    found = net.run(xs)[net.stages[-1].name]
    assert wanted.any() and (found == wanted).mean() > 0.999
    keeps = [np.size(stage.keep) for stage in net.stages if isinstance(stage, Neurons)]
    assert keeps == [20, 5]
    other = read_nir(tmp_path / "a.nir", step_us=100, convention="nir", reset="subtract")
    if reset is None:
        differs = other.run(xs)[net.stages[-1].name] != wanted
        assert differs.mean() > 0.002, "no reset came late"
    made = converted(net, name="a", step_us=2000, highest=1, wide=True)
    told = compared(net, made, [xs])
    assert min(row.agreement for row in told.layers if row.agreement is not None) > 0.97


def test_norse(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("norse")
    from norse.torch.utils.import_nir import from_nir

    rng = np.random.default_rng(0)

    def each(n: int, **values: float) -> dict[str, np.ndarray]:
        return {name: np.full(n, value, np.float32) for name, value in values.items()}

    rest = {"v_leak": 0, "v_reset": 0}
    cuba = each(20, tau_mem=0.01, tau_syn=0.005, r=2, w_in=3, v_threshold=0.5, **rest)
    nodes = {
        "input": nir.Input({"input": np.array([12])}),
        "a": nir.Affine(rng.normal(size=(20, 12)).astype("f4"), np.zeros(20, np.float32)),
        "cuba": nir.CubaLIF(**cuba),
        "b": nir.Linear(rng.normal(size=(5, 20)).astype("f4")),
        "lif": nir.LIF(**each(5, tau=0.01, r=1, v_threshold=0.05, **rest)),
        "output": nir.Output({"output": np.array([5])}),
    }
    names = list(nodes)
    graph = nir.NIRGraph(nodes, list(zip(names, names[1:], strict=False)))
    nir.write(tmp_path / "a.nir", graph)
    net = read_nir(tmp_path / "a.nir", step_us=1000, convention="norse")
    module, state, steps = from_nir(graph, dt=0.001), None, []
    with torch.no_grad():
        for x in inputs():
            y, state = module(torch.tensor(x[1], dtype=torch.float32), state)
            steps.append(y[0].numpy())
    wanted, found = np.stack(steps), net.run(inputs())[net.stages[-1].name]
    assert wanted.any() and (found == wanted).mean() > 0.999


def stepped(module: Any, torch: Any) -> np.ndarray:
    """What a module that takes (batch, time, features) gives."""
    with torch.no_grad():
        found = module(torch.tensor(inputs()[None, :, 1, 0], dtype=torch.float32))
    found = found[0] if isinstance(found, tuple) else found
    return found.reshape(STEPS, -1).numpy()


RECORDED = Path(__file__).parent / "peers"
"""Graphs that sinabs 3.1.3 and Rockpool 3.1.0 wrote, and their spikes on `inputs`, which the tests
below made: so they hold where neither is installed."""


@pytest.mark.parametrize("convention", ["sinabs", "rockpool"])
def test_recorded_spikes(tmp_path: Path, convention: str) -> None:
    with np.load(RECORDED / f"{convention}.npz") as file:
        (tmp_path / "a.nir").write_bytes(file["graph"].tobytes())
        check_peer(tmp_path, file["spikes"].astype(np.float64), convention)


def recorded(graph: Any, folder: Path, wanted: np.ndarray, convention: str) -> None:
    """Compare what the framework itself gives, and what is recorded of it."""
    nir.write(folder / "a.nir", graph)
    check_peer(folder, wanted, convention)
    with np.load(RECORDED / f"{convention}.npz") as file:
        assert (file["spikes"] == wanted).mean() > 0.99


def check_peer(folder: Path, wanted: np.ndarray, convention: str) -> None:
    """All spikes in floats, and nearly all in integers, several in a step among them."""
    net = read_nir(folder / "a.nir", step_us=1000, convention=convention)
    assert wanted.max() > 1 and (net.run(inputs())[net.stages[-1].name] == wanted).mean() > 0.999
    made = converted(net, name="a", step_us=1000, highest=1, wide=True)
    told = compared(net, made, [inputs()])
    assert min(row.agreement for row in told.layers if row.agreement is not None) > 0.97


@pytest.mark.filterwarnings("ignore")
def test_sinabs(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("sinabs")
    from sinabs import layers
    from sinabs.nir import to_nir

    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(12, 20),
        layers.LIF(torch.linspace(3.0, 20.0, 20), spike_threshold=torch.ones(20), norm_input=False),
        torch.nn.Linear(20, 5),
        layers.LIF(torch.full((5,), 8.0), spike_threshold=torch.full((5,), 0.6), norm_input=False),
    )
    for part in (module[0], module[2]):
        part.weight.data.mul_(2.5)
    wanted = stepped(module, torch)
    graph = to_nir(module, torch.zeros(1, STEPS, 12))
    recorded(graph, tmp_path, wanted, "sinabs")


@pytest.mark.filterwarnings("ignore")
def test_rockpool(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("rockpool")
    from rockpool.nn.combinators import Sequential
    from rockpool.nn.modules import LIFTorch, LinearTorch
    from rockpool.nn.modules.torch.nir import to_nir

    torch.manual_seed(0)
    module = Sequential(
        LinearTorch((12, 20)),
        LIFTorch(20, tau_mem=0.01, tau_syn=0.004, dt=0.001),
        LinearTorch((20, 5)),
        LIFTorch(5, tau_mem=0.02, tau_syn=0.002, dt=0.001),
    )
    for part in (module[0], module[2]):
        part.weight.data.mul_(1.2)
    wanted = stepped(module, torch)
    graph = to_nir(module)
    recorded(graph, tmp_path, wanted, "rockpool")


def late(keep: float) -> FloatNet:
    """Neurons of whole numbers whose reset by subtraction comes a step late."""
    rng = np.random.default_rng(1)
    weights = rng.integers(-127, 128, (6, 24)).astype(float)
    weights[:, 0] = 127  # so that a unit is 1
    neurons = Neurons("n", ("w",), np.full(6, 256.0), keep, reset="subtract", drop=1 / keep)
    return FloatNet((2, 1, 12), (Weighted("w", "x", weights, np.zeros(6)), neurons), "late")


@pytest.mark.parametrize("keep", [0.5, 0.25])
def test_a_late_reset_is_a_larger_one_at_once(keep: float) -> None:
    """By its definition: H[t] = keep H[t-1] - theta S[t-1] + X[t]."""
    net, xs = late(keep), inputs()
    assert isinstance(net.stages[0], Weighted)
    sums = xs.reshape(STEPS, -1) @ net.stages[0].weight.T
    h, wanted = np.zeros(6), []
    for x in sums:
        h = keep * h - 256.0 * (wanted[-1] if wanted else 0) + x
        wanted.append(h >= 256.0)
    assert np.array_equal(net.run(xs)["n"], np.stack(wanted)) and np.any(wanted)
    made = converted(net, name="late", step_us=1000, highest=1)
    assert (run_sequence(made.program, xs) == net.run(xs)["n"]).mean() > 0.99


def test_what_is_no_convention_or_reset(tmp_path: Path) -> None:
    for convention, reset, said in (
        ("lava", None, "--convention lava is none; give one of nir, sinabs, rockpool, snntorch"),
        ("nir", "soft", "--reset soft is none; give one of zero, subtract, late"),
    ):
        with pytest.raises(InputError, match=said):
            read_nir(tmp_path / "a.nir", step_us=1000, convention=convention, reset=reset)
