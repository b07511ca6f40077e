"""netx files: what is in them, and that lava-dl's own reader computes the same from them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

h5py = pytest.importorskip("h5py")

from edgesnn.bundle import load_bundle  # noqa: E402
from edgesnn.cli.main import run_line  # noqa: E402
from edgesnn.errors import BundleError  # noqa: E402
from edgesnn.hardware.loihi.installed import installed_version  # noqa: E402
from edgesnn.hardware.reference import trace  # noqa: E402
from edgesnn.program import initial_state  # noqa: E402
from edgesnn.quantize.netx_write import netx_file  # noqa: E402


def has_netx() -> bool:
    return installed_version() is not None and find_spec("lava.lib") is not None


def test_what_a_file_holds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    program = load_bundle("keyword_portable").program
    out = tmp_path / "a.net"
    assert run_line(["export", "keyword_portable", "--to", "netx", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "never fires" in told and "3 steps after" in told and "input_message_bits=" in told
    with h5py.File(out) as file:
        layers = file["layer"]
        assert sorted(layers) == ["0", "1", "2", "3"]
        assert layers["1/type"][0] == b"dense" and layers["1/delay"][()].max() <= 24
        assert np.array_equal(layers["1/weight"][()], program.tensors["w_hear"])
        theta = 64 * int(layers["2/neuron/vThMant"][()]) + 1
        assert theta == program.tensors["theta_relate"][0]
        assert layers["2/neuron/vDecay"][()] == 4096 - 2048


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("gesture", "no place for motion .layer.: a convolution"), ("keyword", "no place for hear")],
)
def test_what_netx_cannot_hold_is_named(name: str, sentence: str) -> None:
    with pytest.raises(BundleError, match=sentence):
        netx_file(load_bundle(name).program)


READER = """
import sys, types
from importlib.util import find_spec
import numpy as np
from edgesnn.hardware.loihi.compat import import_lava
import_lava()
# lava-dl's packages import torch and more on the way to the reader: only their paths are wanted
places = list(find_spec("lava.lib").submodule_search_locations)
for name in ("lava.lib.dl", "lava.lib.dl.netx", "lava.lib.dl.netx.blocks", "lava.lib.dl.slayer",
             "lava.lib.dl.slayer.neuron"):
    part = types.ModuleType(name)
    part.__path__ = [place + "/" + "/".join(name.split(".")[2:]) for place in places]
    sys.modules[name] = part
rf = types.ModuleType("lava.lib.dl.slayer.neuron.rf")
rf.neuron_params = None
sys.modules[rf.__name__] = rf
from lava.lib.dl.netx import hdf5
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.io.source import RingBuffer as Source
from lava.proc.io.sink import RingBuffer as Sink

path, given, told, layers, bits = sys.argv[1:]
xs = np.load(given)
net = hdf5.Network(net_config=path, input_shape=(xs.shape[1],), num_layers=int(layers),
                   input_message_bits=int(bits), reset_interval=2**30, reset_offset=1)
source, sink = Source(data=xs.T.copy()), Sink(shape=net.out.shape, buffer=len(xs))
source.s_out.connect(net.inp)
net.out.connect(sink.a_in)
sink.run(condition=RunSteps(num_steps=len(xs)), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
np.save(told, sink.data.get())
sink.stop()
"""


@pytest.mark.skipif(not has_netx(), reason="lava-dl is not installed")
def test_the_netx_reader_computes_the_same_spikes(tmp_path: Path) -> None:
    """The portable keyword network's hidden layers, on the bundle's own inputs."""
    bundle = load_bundle("keyword_portable")
    program, steps = bundle.program, 40
    data, _ = netx_file(program)
    (tmp_path / "a.net").write_bytes(data)
    xs = np.concatenate([bundle.parity["x"]] * 3)[:steps]
    late = 2
    np.save(tmp_path / "x.npy", xs.reshape(steps, -1).astype(np.int32))
    names = ("a.net", "x.npy", "y.npy")
    places = [str(tmp_path / name) for name in names]
    # the reader counts the input among the layers
    subprocess.run([sys.executable, "-c", READER, *places, "3", "8"], check=True, timeout=120)
    found = np.load(places[2]).T != 0
    state, wanted = initial_state(program), []
    for x in xs:
        values, state = trace(program, x, state)
        wanted.append(values["relate"].ravel() != 0)
    assert np.any(wanted)
    assert np.array_equal(found[late:], np.array(wanted)[: steps - late])


def test_a_file_is_plain_hdf5() -> None:
    data, notes = netx_file(load_bundle("keyword_portable").program)
    with h5py.File(io.BytesIO(data)) as file:
        assert json.dumps(sorted(file["layer/1"])) and len(notes) == 4
