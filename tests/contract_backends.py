"""What every backend must do, whatever it is; `test_backend_contract.py` runs it on each."""

from __future__ import annotations

import numpy as np
import pytest
from programs import frames

from edgesnn.backend import BACKENDS, Backend, Model, Stream
from edgesnn.bundle import Bundle
from edgesnn.errors import InputError
from edgesnn.hardware.events_library import library_path
from edgesnn.hardware.loihi.installed import installed_version
from edgesnn.hardware.reference import Reference, run_sequence
from edgesnn.program import Tensor, initial_state, state_ports

STEPS = 24
UNBUILT = pytest.mark.skipif(library_path() is None, reason="no compiler was there: no engine")
NO_LAVA = pytest.mark.skipif(
    installed_version() is None, reason="Lava is not installed (docs/loihi.md says how)"
)
MARKS = {"events": [UNBUILT], "loihi": [NO_LAVA]}
BUILT = [name for name in BACKENDS if name != "loihi" and (name != "events" or library_path())]
"""Those that are quick, where they are there."""
EVERY_BACKEND = [pytest.param(name, marks=MARKS.get(name, [])) for name in BACKENDS]


def streamed(stream: Stream, xs: Tensor) -> Tensor:
    return np.stack([stream.step(x).copy() for x in xs])


def same_state(a: Stream, b: Stream) -> bool:
    left, right = a.snapshot(), b.snapshot()
    return list(left) == list(right) and all(np.array_equal(left[n], right[n]) for n in left)


def check_streamed_is_the_whole_sequence(model: Model) -> None:
    """Sparse, dense and largest inputs: the same integers and the reference's states."""
    reference, stream = Reference(model.program).stream(), model.stream()
    parts = [frames(model.program, STEPS, 5, density) for density in (0.1, 0.5)]
    full = np.full((STEPS, *model.program.input_shape), model.program.input_high, np.uint8)
    xs = np.concatenate([*parts, full])
    wanted = run_sequence(model.program, xs)
    found = streamed(stream, xs)
    assert found.dtype == np.int32 and found.shape == (len(xs), *model.program.output_shape)
    assert np.array_equal(found, wanted)
    streamed(reference, xs)
    assert same_state(stream, reference)


def check_a_snapshot_goes_on_anywhere(model: Model) -> None:
    """On the same stream later, on a new one, on the reference, and from the reference."""
    xs = frames(model.program, 2 * STEPS, 6)
    wanted = run_sequence(model.program, xs)[STEPS:]
    stream = model.stream()
    streamed(stream, xs[:STEPS])
    saved = stream.snapshot()
    kept = {name: tensor.copy() for name, tensor in saved.items()}
    assert np.array_equal(streamed(stream, xs[STEPS:]), wanted)
    assert all(np.array_equal(saved[name], kept[name]) for name in kept)
    for other in (stream, model.stream(), Reference(model.program).stream()):
        other.restore(saved)
        assert np.array_equal(streamed(other, xs[STEPS:]), wanted)
    reference = Reference(model.program).stream()
    streamed(reference, xs[:STEPS])
    stream.restore(reference.snapshot())
    assert np.array_equal(streamed(stream, xs[STEPS:]), wanted)


def check_restoring_copies(model: Model) -> None:
    """What is done to a state after it was restored, or snapshot, changes no stream."""
    xs = frames(model.program, STEPS, 7)
    stream = model.stream()
    state = initial_state(model.program)
    stream.restore(state)
    for tensor in (*state.values(), *stream.snapshot().values()):
        tensor[:] = 1
    assert np.array_equal(streamed(stream, xs), run_sequence(model.program, xs))


def check_forks_part(model: Model) -> None:
    """Both go on as if alone, whatever the other sees, stepped in turns."""
    before, left, right = (frames(model.program, n, n) for n in (5, 21, 22))
    one = model.stream()
    streamed(one, before)
    two = one.fork()
    found = [(one.step(left[t]).copy(), two.step(right[t]).copy()) for t in range(len(left))]
    for i, xs in enumerate((left, right)):
        wanted = run_sequence(model.program, np.concatenate([before, xs]))[5:]
        assert np.array_equal(np.stack([pair[i] for pair in found]), wanted[: len(found)])


def check_streams_share_a_model(model: Model) -> None:
    """Three streams with inputs of their own, one step each in turn; one is reset midway."""
    inputs = [frames(model.program, STEPS, seed) for seed in (31, 32, 33)]
    streams = [model.stream() for _ in inputs]
    found: list[list[Tensor]] = [[], [], []]
    for t in range(STEPS):
        if t == STEPS // 2:
            streams[1].reset()
        for i, stream in enumerate(streams):
            found[i].append(stream.step(inputs[i][t]).copy())
    for i in (0, 2):
        assert np.array_equal(np.stack(found[i]), run_sequence(model.program, inputs[i]))
    again = run_sequence(model.program, inputs[1][STEPS // 2 :])
    assert np.array_equal(np.stack(found[1][STEPS // 2 :]), again)


def check_the_input_is_only_read(model: Model) -> None:
    """x is not changed, may be read-only, need not be contiguous, and is not kept."""
    xs = frames(model.program, 3, 8)
    wanted = run_sequence(model.program, xs)
    stream = model.stream()
    spread = np.zeros((*model.program.input_shape, 2), np.uint8)
    for x, y in zip(xs, wanted, strict=True):
        spread[..., 0] = x
        view = spread[..., 0]
        view.flags.writeable = False
        assert np.array_equal(stream.step(view), y)
        assert np.array_equal(view, x)
        spread[:] = 255


def check_wrong_inputs_are_named(model: Model) -> None:
    """Wrong shape, dtype, and states that do not fit: InputError, and the stream goes on."""
    stream = model.stream()
    shape = model.program.input_shape
    xs = frames(model.program, 4, 9)
    first = stream.step(xs[0]).copy()
    for wrong in (
        np.zeros((*shape[:2], shape[2] + 1), np.uint8),
        np.zeros((1, *shape), np.uint8),
        np.zeros(shape, np.int8),
        np.zeros(shape, np.float32),
    ):
        with pytest.raises(InputError, match="takes uint8 frames of shape"):
            stream.step(wrong)
    highest = model.program.input_high
    if highest < 255:
        with pytest.raises(InputError, match=f"takes levels up to {highest}, got {highest + 1}"):
            stream.step(np.full(shape, highest + 1, np.uint8))
    for name, port in state_ports(model.program).items():
        good = initial_state(model.program)
        with pytest.raises(InputError, match=f"needs {name}, which is not there"):
            stream.restore({n: t for n, t in good.items() if n != name})
        with pytest.raises(InputError, match=f"{name} of .* is {port.dtype} of shape"):
            stream.restore({**good, name: np.zeros((*port.shape, 1), port.dtype)})
        with pytest.raises(InputError, match=f"{name} of .* got int64"):
            stream.restore({**good, name: np.zeros(port.shape, np.int64)})
    with pytest.raises(InputError, match="has no state state_of_another"):
        stream.restore({**initial_state(model.program), "state_of_another": xs[0]})
    found = np.concatenate([first[None], streamed(stream, xs[1:])])
    assert np.array_equal(found, run_sequence(model.program, xs))


def check_threads_change_nothing(backend: Backend, bundle: Bundle) -> None:
    """Two threads give what one gives."""
    xs = frames(bundle.program, STEPS, 10)
    found = streamed(backend.load(bundle, threads=2).stream(), xs)
    assert np.array_equal(found, run_sequence(bundle.program, xs))


def check_what_no_stream_can_hold_is_refused(model: Model) -> None:
    """A state with one value beyond its bound, either way."""
    for name, port in state_ports(model.program).items():
        kind = np.iinfo(port.dtype)
        for value in (port.lowest - 1, port.largest + 1):
            if not kind.min <= value <= kind.max:
                continue
            state = initial_state(model.program)
            state[name].flat[-1] = value
            with pytest.raises(InputError, match=f"{name} of .* holds values from"):
                model.stream().restore(state)
