"""ONNX Runtime on the CPU: runs the graph that a bundle carries.

A stream owns two sets of state buffers and two bindings made once: one step reads set 0 and writes
set 1, the next the reverse, so nothing is allocated, copied or rebound per step (x excepted).
The session itself holds no state and serves any number of streams.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]

from edgesnn.backend import check_input, check_state, verify
from edgesnn.bundle import Bundle
from edgesnn.errors import BundleError
from edgesnn.program import Program, State, Tensor, initial_state, state_ports

_CHECKED_STEPS = 8  # of 40: two to three milliseconds


def load(bundle: Bundle, *, threads: int = 1) -> OnnxModel:
    """Load a bundle's graph; raises BundleError when it is not the program's graph.

    The first steps of the parity vector are replayed: a graph of another program would pass any
    hash that was written for it.
    """
    model = OnnxModel(bundle.program, bundle.onnx, threads=threads)
    if bundle.parity:
        verify(bundle, model, _CHECKED_STEPS)
    return model


class OnnxModel:
    """A session for one program."""

    def __init__(self, program: Program, graph: bytes, *, threads: int = 1) -> None:
        self.program = program
        try:
            self._session = ort.InferenceSession(
                graph, _options(threads), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own errors share no public base class
            raise BundleError(
                f"ONNX Runtime cannot load the graph of {program.name}: {error}"
            ) from error
        _check(program, self._session)

    def stream(self) -> OnnxStream:
        """Return a new stream in the initial state."""
        return OnnxStream(self.program, self._session)


class OnnxStream:
    """One run through time; see `edgesnn.backend.Stream`. y is overwritten by the next step."""

    def __init__(self, program: Program, session: Any) -> None:
        self._program = program
        self._session = session
        self._now = 0
        self._states = (initial_state(program), initial_state(program))
        self._x = np.zeros((1, *program.input_shape), np.uint8)
        self._y = np.zeros((1, *program.output_shape), np.int32)
        self._bindings = (self._binding(0), self._binding(1))

    def _binding(self, now: int) -> Any:
        """Bind buffers by address: they live as long as the stream does, and never move."""
        binding = self._session.io_binding()
        before, after = self._states[now], self._states[1 - now]
        given = {"x": self._x, **before}
        made = {"y": self._y, **{f"new_{name}": tensor for name, tensor in after.items()}}
        for name, array in given.items():
            binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        for name, array in made.items():
            binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        return binding

    def step(self, x: Tensor) -> Tensor:
        """Take x, uint8 (channels, height, width); return y, int32, valid until the next step."""
        check_input(self._program, x)
        self._x[0] = x
        self._session.run_with_iobinding(self._bindings[self._now])
        self._now = 1 - self._now
        y: Tensor = self._y[0]
        return y

    def snapshot(self) -> State:
        """Return a copy of the state."""
        return {name: tensor.copy() for name, tensor in self._states[self._now].items()}

    def restore(self, state: State) -> None:
        """Go on from a snapshot; raises InputError when it does not fit."""
        check_state(self._program, state)
        for name, tensor in self._states[self._now].items():
            tensor[:] = state[name]

    def reset(self) -> None:
        """Go back to the initial state."""
        self.restore(initial_state(self._program))

    def fork(self) -> OnnxStream:
        """Return an independent stream that goes on from the same state."""
        other = OnnxStream(self._program, self._session)
        other.restore(self._states[self._now])
        return other


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    # A step is short and rare: threads that spin between steps would burn a battery.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _check(program: Program, session: Any) -> None:
    metadata = session.get_modelmeta().custom_metadata_map
    if "program_sha256" not in metadata:
        raise BundleError(f"the graph of {program.name} has no metadata program_sha256")
    free = metadata.get("any_grid_sha256")
    any_grid = free is not None and free == program.any_grid_sha256
    if metadata["program_sha256"] != program.sha256 and not any_grid:
        raise BundleError(
            f"the graph of {program.name} was made from another program; export again"
        )
    states = {name: port.shape for name, port in state_ports(program).items()}
    given = {"x": (1, *program.input_shape), **states}
    made = {"y": (1, *program.output_shape), **{f"new_{n}": s for n, s in states.items()}}
    found = [{p.name: tuple(p.shape) for p in ports} for ports in _ports(session)]
    if any_grid:  # the names of free axes stand for any length
        wanted = [given, made]
        found = [
            {name: _filled(shape, to.get(name, ())) for name, shape in ports.items()}
            for ports, to in zip(found, wanted, strict=True)
        ]
    of_type = {name: port.dtype for name, port in state_ports(program).items()}
    kinds = {"x": "uint8", "y": "int32"} | of_type
    same = all(
        port.type == f"tensor({kinds[name]})"
        for ports in _ports(session)
        for port in ports
        if (name := port.name.removeprefix("new_")) in kinds
    )
    if found != [given, made] or not same:
        raise BundleError(f"the graph of {program.name} does not take and give what it should")


def _filled(shape: tuple[int | str, ...], wanted: tuple[int, ...]) -> tuple[int | str, ...]:
    """Return a shape whose free axes have the wanted lengths."""
    if len(shape) != len(wanted):
        return shape
    return tuple(w if isinstance(n, str) else n for n, w in zip(shape, wanted, strict=True))


def _ports(session: Any) -> tuple[Any, Any]:
    return session.get_inputs(), session.get_outputs()
