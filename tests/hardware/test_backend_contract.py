from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import contract_backends as contract
import numpy as np
import pytest

pytest.importorskip("onnx")

from loops import looping_images, looping_program  # noqa: E402
from programs import (  # noqa: E402
    ENCODER,
    READOUT,
    frames,
    gesture_shaped,
    random_program,
)

from edgesnn.backend import Model, backend, load_model  # noqa: E402
from edgesnn.bundle import Bundle  # noqa: E402
from edgesnn.errors import BundleError, InputError  # noqa: E402
from edgesnn.hardware import events  # noqa: E402
from edgesnn.hardware.reference import run_sequence  # noqa: E402
from edgesnn.program import KINDS, Layer, Program  # noqa: E402
from edgesnn.program.kinds.layer_kernels import fits_int8  # noqa: E402
from edgesnn.quantize.export import export  # noqa: E402

SEEDS = range(30)
CHECKS: list[Callable[[Model], None]] = [
    contract.check_streamed_is_the_whole_sequence,
    contract.check_a_snapshot_goes_on_anywhere,
    contract.check_restoring_copies,
    contract.check_forks_part,
    contract.check_streams_share_a_model,
    contract.check_the_input_is_only_read,
    contract.check_wrong_inputs_are_named,
    contract.check_what_no_stream_can_hold_is_refused,
]


@cache
def bundle(seed: int | None) -> Bundle:
    program = gesture_shaped() if seed is None else random_program(seed)
    return Bundle(program, ENCODER, READOUT, {}, export(program), {})


@pytest.mark.parametrize("name", contract.EVERY_BACKEND)
@pytest.mark.parametrize("seed", SEEDS)
def test_random_programs(name: str, seed: int) -> None:
    contract.check_streamed_is_the_whole_sequence(backend(name).load(bundle(seed)))


@pytest.mark.parametrize("name", contract.EVERY_BACKEND)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("seed", [3, 11, 17])
def test_the_contract(name: str, check: Callable[[Model], None], seed: int | None) -> None:
    check(backend(name).load(bundle(seed)))


IMAGES = 100
"""From this seed on loops are of images."""


@cache
def looping(seed: int) -> Bundle:
    program = looping_images(seed) if seed >= IMAGES else looping_program(seed)
    return Bundle(program, ENCODER, READOUT, {}, export(program), {})


@pytest.mark.parametrize("name", contract.EVERY_BACKEND)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("seed", [0, 1, 2, IMAGES, IMAGES + 1])
def test_the_contract_with_loops(name: str, check: Callable[[Model], None], seed: int) -> None:
    check(backend(name).load(looping(seed)))


@pytest.mark.parametrize("name", contract.EVERY_BACKEND)
@pytest.mark.parametrize("seed", [*range(3, 20), *range(IMAGES + 2, IMAGES + 10)])
def test_random_programs_with_loops(name: str, seed: int) -> None:
    contract.check_streamed_is_the_whole_sequence(backend(name).load(looping(seed)))


@pytest.mark.parametrize("name", contract.EVERY_BACKEND)
@pytest.mark.parametrize("stride", [7, 10, 11, 2**28])
def test_a_stride_beyond_the_image_is_one_output(name: str, stride: int) -> None:
    """As much memory as any other stride takes, too."""
    weight = np.random.default_rng(0).integers(-9, 9, (4, 2, 3, 3)).astype(np.int8)
    layer = Layer("h", "x", "w", stride=stride, padding=1)
    program = Program("far", 1000, (2, 6, 8), 3, (layer,), "h", {"w": weight})
    one = Bundle(program, ENCODER, READOUT, {}, export(program), {})
    contract.check_streamed_is_the_whole_sequence(backend(name).load(one))


@contract.UNBUILT
def test_what_the_engine_does_not_know_is_refused_by_name_and_auto_goes_on(monkeypatch) -> None:
    assert set(events._KINDS) == set(KINDS.values())
    monkeypatch.setattr(events, "_KINDS", events._KINDS[:-1])
    with pytest.raises(BundleError, match="before: the events backend does not run"):
        backend("events").load(looping(0))
    assert load_model("auto", looping(0))[0] == "onnx_cpu"


def test_loops_matter() -> None:
    """Most programs answer otherwise when their loop is cut."""
    differ = 0
    for seed in [*range(10), *range(IMAGES, IMAGES + 10)]:
        program = looping(seed).program
        cut = dict(program.tensors)
        cut["w_again"] = np.zeros_like(cut["w_again"])
        xs = frames(program, 40, 1)
        wanted = run_sequence(program, xs)
        differ += not np.array_equal(wanted, run_sequence(replace(program, tensors=cut), xs))
    assert differ >= 15


@pytest.mark.parametrize("name", contract.EVERY_BACKEND)
def test_threads(name: str) -> None:
    contract.check_threads_change_nothing(backend(name), bundle(None))


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        ("onnx_cpu", None),
        ("onnx_cpu", 11),
        ("reference", 11),
        pytest.param("events", None, marks=contract.UNBUILT),
        pytest.param("events", 11, marks=contract.UNBUILT),
    ],
)
def test_a_thousand_steps(name: str, seed: int | None) -> None:
    stream = backend(name).load(bundle(seed)).stream()
    xs = frames(bundle(seed).program, 1_000, 12, density=0.3)
    wanted = run_sequence(bundle(seed).program, xs)
    assert all(np.array_equal(stream.step(x), y) for x, y in zip(xs, wanted, strict=True))


def test_the_random_programs_leave_nothing_out() -> None:
    """Every kind of node, setting and kernel occurs, and most outputs depend on the input."""
    programs = [random_program(seed) for seed in SEEDS]
    layers = [(p, n) for p in programs for n in p.nodes if isinstance(n, Layer)]
    kinds = {n.kind for p in programs for n in p.nodes}
    assert kinds | {n.kind for n in looping_program(0).nodes} == set(KINDS)
    assert {n.op for p in programs for n in p.nodes if n.kind == "pool"} == {"sum", "or"}
    assert {fits_int8(p, n) for p, n in layers} == {True, False}
    for setting in (
        lambda p, n: n.op,
        lambda p, n: n.threshold is None,
        lambda p, n: n.groups > 1,
        lambda p, n: n.taps is None,
        lambda p, n: p.values[n.input].spikes,
        lambda p, n: p.taps_of(n).shape[0] > 1,
        lambda p, n: p.filtered_bounds(n)[0] < 0,
        lambda p, n: n.delays is None,
        lambda p, n: n.delays is None or p.taps_of(n).shape[1] > 1,
    ):
        assert len({setting(p, n) for p, n in layers}) == 2
    assert {1, 2} <= {n.stride for _, n in layers}
    assert {1, 2, 4, 6, 8} <= {p.taps_of(n).shape[1] for p, n in layers}
    weights = [[n.weight for n in p.nodes if isinstance(n, Layer)] for p in programs]
    assert any(len(set(names)) < len(names) for names in weights)
    varied = [np.ptp(run_sequence(p, frames(p, 20, 1)), axis=0).any() for p in programs]
    assert sum(varied) >= 0.8 * len(programs)


def test_an_unknown_backend_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="no backend 'gpu'; the backends here are: onnx_cpu, ref"):
        backend("gpu")
