"""What executes an integer program, and the door to it.

model  = backend("onnx_cpu").load(bundle, threads=1)     stateless, shared by many streams
stream = model.stream()                                  owns one state
y      = stream.step(x)                                  one step of `step_us`
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol

import numpy as np

from edgesnn.bundle import Bundle
from edgesnn.errors import BundleError, InputError
from edgesnn.program import Program, State, Tensor, state_ports

BACKENDS = {
    "onnx_cpu": "edgesnn.hardware.onnx_cpu",
    "reference": "edgesnn.hardware.reference",
    "events": "edgesnn.hardware.events",
    "loihi": "edgesnn.hardware.loihi",
}
"""The modules that execute programs, by name: ONNX Runtime on the CPU with INT8 kernels; NumPy
integers, slow, which define the meaning; our event-driven engine in C, where it was built; Lava's
simulator of Loihi 2, where Lava is installed."""
AUTO = "auto"
"""events where it was built and runs the program, else onnx_cpu."""


class Stream(Protocol):
    """One run of a model through time. Not shared between threads."""

    def step(self, x: Tensor) -> Tensor:
        """Take x, uint8 of the program's input shape; return y, int32; advance the state.

        The returned array may be reused by the next step: copy it to keep it.
        """
        ...

    def snapshot(self) -> State:
        """Return a copy of the state; the same on every backend, bit for bit."""
        ...

    def restore(self, state: State) -> None:
        """Go on from a snapshot (of this stream or any other of the same program).

        Raises InputError when a name, shape or dtype does not fit.
        """
        ...

    def reset(self) -> None:
        """Go back to the exact initial state."""
        ...

    def fork(self) -> Stream:
        """Return a second stream that goes on from the same state, independently."""
        ...


class Model(Protocol):
    """A loaded program. Stateless: any number of streams may run on it."""

    @property
    def program(self) -> Program:
        """The program that runs."""
        ...

    def stream(self) -> Stream:
        """Return a new stream in the initial state."""
        ...


class Backend(Protocol):
    """A module of `edgesnn.hardware`: one function."""

    def load(self, bundle: Bundle, *, threads: int = 1) -> Model:
        """Load a bundle's program for execution on `threads` threads."""
        ...


def backend(name: str) -> Backend:
    """Return the backend of that name; raises InputError that lists the known ones."""
    if name not in BACKENDS:
        known = ", ".join((*BACKENDS, AUTO))
        raise InputError(f"there is no backend {name!r}; the backends here are: {known}")
    module: Backend = importlib.import_module(BACKENDS[name])
    return module


def load_model(name: str, bundle: Bundle, *, threads: int = 1) -> tuple[str, Model]:
    """Load a bundle on a backend; return the backend's name, the chosen one's for "auto".

    Raises InputError, BundleError.
    """
    if name == AUTO:
        engine: Any = backend("events")
        name = "events" if engine.can_run(bundle.program) else "onnx_cpu"
    return name, backend(name).load(bundle, threads=threads)


def check_input(program: Program, x: Tensor, *, sequence: bool = False) -> None:
    """Raise InputError unless x is uint8 of the program's input shape (or (T, *shape)).

    Also for a level above the program's input_high, on which its bounds rest.
    """
    shape = x.shape[1:] if sequence else x.shape
    if x.dtype != np.uint8 or shape != program.input_shape:
        wanted = f"{'(steps, ...) of ' if sequence else ''}{program.input_shape}"
        raise InputError(
            f"{program.name} takes uint8 frames of shape {wanted}, got {x.dtype} of {x.shape}"
        )
    if program.input_high < 255 and x.size and int(x.max()) > program.input_high:
        raise InputError(f"{program.name} takes levels up to {program.input_high}, got {x.max()}")


def check_state(program: Program, state: State) -> None:
    """Raise InputError that names the first state tensor which is missing, strange or misshapen."""
    ports = state_ports(program)
    for name in (*ports, *state):
        if name not in state:
            raise InputError(f"the state of {program.name} needs {name}, which is not there")
        if name not in ports:
            raise InputError(f"{program.name} has no state {name}; it has: {', '.join(ports)}")
        port, found = ports[name], state[name]
        if found.dtype != np.dtype(port.dtype) or found.shape != port.shape:
            raise InputError(
                f"{name} of {program.name} is {port.dtype} of shape {port.shape}, "
                f"got {found.dtype} of {found.shape}"
            )
        low, high = (int(found.min()), int(found.max())) if found.size else (0, 0)
        if low < port.lowest or high > port.largest:
            raise InputError(
                f"{name} of {program.name} holds values from {low} to {high}, and no stream of it "
                f"leaves {port.lowest} to {port.largest}"
            )


def verify(bundle: Bundle, model: Model, steps: int | None = None) -> None:
    """Replay the parity vector, or its first steps; raises BundleError at the first difference."""
    stream, parity = model.stream(), bundle.parity
    missing = sorted({"x", "y", *state_ports(bundle.program)} - set(parity))
    if missing:
        raise BundleError(f"{bundle.program.name}: its parity vector has no {missing[0]}")
    if any(not parity[name].shape for name in "xy") or not 0 < len(parity["x"]) == len(parity["y"]):
        raise BundleError(
            f"{bundle.program.name}: its parity vector needs an output for each input, and one at "
            "least"
        )
    for t, (x, wanted) in enumerate(zip(parity["x"][:steps], parity["y"][:steps], strict=True)):
        if not np.array_equal(stream.step(x), wanted):
            raise BundleError(
                f"{bundle.program.name}: step {t} of the parity vector differs: its graph is not "
                "that of its program"
            )
    if steps is not None:
        return
    for name, found in stream.snapshot().items():
        if not np.array_equal(found, bundle.parity[name]):
            raise BundleError(f"{bundle.program.name}: {name} differs after the parity vector")
