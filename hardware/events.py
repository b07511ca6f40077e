"""The event-driven engine: one step costs what its spikes cost; plain C, reached through ctypes.

The program's weights are repacked once, channels last, so that one input event is a run of weights
that is added to a run of sums (`hardware/engine/`). Only sums that may differ from 0 are compared,
and neurons at rest are not touched. The plan is shared by any number of streams, each of which
belongs to one thread at a time; ctypes releases the interpreter's lock during a step.
"""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Callable
from typing import Literal

import numpy as np

from edgesnn.backend import check_input, check_state, verify
from edgesnn.bundle import Bundle
from edgesnn.errors import BundleError, InputError
from edgesnn.hardware.events_library import ENGINE, array, done, library, pointer
from edgesnn.hardware.events_weights import delayed_synapses, packed_weights, stride_of
from edgesnn.program import (
    Add,
    Concat,
    Fire,
    Integrate,
    Integrator,
    Layer,
    Leaky,
    Node,
    Pool,
    Previous,
    Program,
    State,
    Tensor,
    Upsample,
    initial_state,
)
from edgesnn.program.kinds.integrate import RESETS

_KINDS: tuple[type[Node], ...] = (
    *(Layer, Pool, Upsample, Concat, Add),
    *(Fire, Leaky, Integrate, Integrator, Previous),
)
"""In the order of the engine's own numbers."""
_SIZES = {Pool: "size", Upsample: "factor", Integrate: "bits", Integrator: "bits"}
_CHECKED_STEPS = 8
_LARGEST = 1 << 28
_UINT8 = np.dtype(np.uint8)


def load(bundle: Bundle, *, threads: int = 1) -> EventsModel:
    """Load a bundle's program; one stream is one thread, whatever `threads` says.

    The first steps of the parity vector are replayed, and the graph must be the program's although
    it is not run. Raises InputError where the engine was not built, BundleError naming a node it
    cannot run, or what differs.
    """
    program = bundle.program
    own = program.sha256.encode() in bundle.onnx or program.any_grid_sha256.encode() in bundle.onnx
    if bundle.onnx and not own:
        raise BundleError(
            f"the graph of {bundle.program.name} was made from another program; export again"
        )
    model = EventsModel(bundle.program)
    if bundle.parity:
        verify(bundle, model, _CHECKED_STEPS)
    return model


class EventsModel:
    """A program, repacked for the engine. Stateless: streams on many threads may share it."""

    def __init__(self, program: Program) -> None:
        self.program = program
        _check_numbers(program)
        self._library = library()
        self.index = {name: at for at, name in enumerate(program.values)}
        self.plan = self._library.engine_plan(
            len(self.index),
            len(program.nodes),
            self.index[program.output],
            program.input_high,
        )
        if not self.plan:
            raise MemoryError(f"no memory for the plan of {program.name}")
        for name, value in program.values.items():
            channels, height, width = value.shape if len(value.shape) == 3 else (*value.shape, 1, 1)
            self._library.engine_shape(
                self.plan, self.index[name], channels, height, width, value.dtype == "int32"
            )
        for at, node in enumerate(program.nodes):
            self._add(at, node)

    def __reduce__(self) -> str:
        """Refuse to be copied or pickled: two owners of one memory."""
        raise TypeError("a model of the events backend is not copied; load it again")

    def __del__(self) -> None:
        """Give the plan's memory back."""
        if getattr(self, "plan", None):
            self._library.engine_free_plan(self.plan)

    def stream(self) -> EventsStream:
        """Return a new stream in the initial state."""
        return EventsStream(self)

    def bytes(self) -> int:
        """Return how much memory the repacked weights take."""
        return int(self._library.engine_bytes(self.plan, None))

    def _add(self, at: int, node: Node) -> None:
        if type(node) not in _KINDS:
            raise BundleError(
                f"{node.name}: the events backend does not run nodes of kind {node.kind!r}; use "
                "--backend onnx_cpu"
            )
        reads = (node.later,) if isinstance(node, Previous) else node.reads
        inputs = np.array([self.index[name] for name in reads], np.int32)
        theta, current = self._tensor(node, "threshold"), self._tensor(node, "current")
        drop, leak = self._tensor(node, "drop"), self._tensor(node, "leak")
        size = _SIZES.get(type(node))
        choice = int(getattr(node, "op", "") == "or")
        if isinstance(node, Integrate):
            choice = RESETS.index(node.reset)
            drop = theta if drop is None else drop
        elif isinstance(node, Integrator):
            choice = self.program.values[node.name].high
        done(
            self._library.engine_node(
                self.plan,
                at,
                _KINDS.index(type(node)),
                self.index[node.name],
                *array(inputs),
                getattr(node, size) if size else 0,
                choice,
                pointer(theta),
                pointer(current),
                getattr(node, "keep", 0),
                pointer(drop),
                pointer(leak),
                getattr(node, "most", 1),
            )
        )
        if isinstance(node, Layer):
            self._add_weights(at, node)

    def _add_weights(self, at: int, node: Layer) -> None:
        past, call = self.program.history_of(node), self._library
        if node.delays is not None:
            d = delayed_synapses(self.program, node)
            arrays = [pointer(d.first), pointer(d.place), pointer(d.weight)]
            done(call.engine_delays(self.plan, at, past, d.rows, *arrays, *array(d.taps)))
            return
        w = packed_weights(self.program, node)
        done(
            call.engine_weights(
                self.plan,
                at,
                past,
                node.op == "conv",
                *w.kernel,
                w.sets.shape[-1],
                stride_of(self.program, node),
                node.padding if node.op == "conv" else 0,
                pointer(w.sets),
                len(w.sets),
                w.sets[0].size,
                pointer(w.first),
                pointer(w.last),
                pointer(w.terms),
                len(w.terms),
                w.banks,
                w.narrow,
                w.wide,
                w.ring,
                w.running,
            )
        )

    def _tensor(self, node: Node, field: str) -> Tensor | None:
        name = getattr(node, field, None)
        return None if name is None else np.ascontiguousarray(self.program.tensors[name], np.int32)


class EventsStream:
    """One run through time; see `edgesnn.backend.Stream`. y is overwritten by the next step."""

    def __init__(self, model: EventsModel) -> None:
        self._model, self._program = model, model.program
        self._library = library()
        self._stream = self._library.engine_stream(model.plan)
        if not self._stream:
            raise MemoryError(f"no memory for a stream of {model.program.name}")
        self._x = np.zeros(self._program.input_shape, np.uint8)
        self._y = np.zeros(self._program.output_shape, np.int32)
        self._step: Callable[..., int] = self._library.engine_step
        self._arguments = (
            ctypes.c_void_p(self._stream),
            ctypes.c_void_p(self._x.ctypes.data),
            ctypes.c_void_p(self._y.ctypes.data),
        )

    def __reduce__(self) -> str:
        """Refuse to be copied or pickled: two owners of one memory."""
        raise TypeError("a stream of the events backend is not copied; fork() it")

    def __del__(self) -> None:
        """Give the stream's memory back."""
        if getattr(self, "_stream", None):
            self._library.engine_free_stream(self._stream)

    def step(self, x: Tensor) -> Tensor:
        """Take x, uint8 (channels, height, width); return y, int32, valid until the next step.

        Raises InputError for a level above the program's input_high, on which its bounds rest.
        """
        if x.dtype is not _UINT8 or x.shape != self._x.shape:  # else nothing is to be said of it
            check_input(self._program, x)
        self._x[:] = x
        if self._step(*self._arguments):
            raise InputError(
                f"{self._program.name} takes levels up to {self._program.input_high}, got {x.max()}"
            )
        return self._y

    def snapshot(self) -> State:
        """Return a copy of the state, in the form that all backends share."""
        state = initial_state(self._program)
        self._move("get", state)
        return state

    def restore(self, state: State) -> None:
        """Go on from a snapshot; raises InputError when it does not fit."""
        check_state(self._program, state)
        self.reset()
        self._move("set", {name: np.ascontiguousarray(tensor) for name, tensor in state.items()})

    def reset(self) -> None:
        """Go back to the initial state."""
        self._library.engine_reset(self._stream)

    def fork(self) -> EventsStream:
        """Return an independent stream that goes on from the same state."""
        other = EventsStream(self._model)
        other.restore(self.snapshot())
        return other

    def _move(self, way: Literal["get", "set"], state: State) -> None:
        """Copy each node's history, potentials and who has fired between the engine and `state`."""
        histories = getattr(self._library, f"engine_{way}_history")
        neurons = getattr(self._library, f"engine_{way}_neurons")
        for at, node in enumerate(self._program.nodes):
            history, membrane, fired = (
                next(
                    (state[name] for role in roles if (name := f"{role}_{node.name}") in state),
                    None,
                )
                for roles in (("state", "previous"), ("membrane", "potential"), ("fired",))
            )
            if history is not None:
                histories(self._stream, at, pointer(history))
            if membrane is not None:
                neurons(self._stream, at, pointer(membrane), pointer(fired))


def can_run(program: Program) -> bool:
    """Whether the engine is here and knows every kind of node that a program holds."""
    try:
        library()
    except InputError:
        if os.environ.get(ENGINE):  # who chose a library wants to know
            raise
        return False
    return all(type(node) in _KINDS for node in program.nodes)


def _check_numbers(program: Program) -> None:
    """Raise BundleError for what does not fit the engine's 32-bit numbers."""
    for name, value in program.values.items():
        if math.prod(value.shape) > _LARGEST:
            raise BundleError(f"{name}: the events backend takes values up to {_LARGEST:,}")
    for node in program.nodes:
        for field in ("stride", "padding", "groups", "size", "factor", "keep"):
            number = getattr(node, field, 0)
            if not isinstance(number, int) or not 0 <= number <= _LARGEST:
                raise BundleError(f"{node.name}: {field} is {number!r}, wanted a whole number")
        if isinstance(node, Layer):
            slots = program.history_of(node) + 1
            shapes = (program.values[node.input].shape, program.values[node.name].shape)
            remembered = slots * max(math.prod(shape) for shape in shapes)
            if remembered > _LARGEST:
                raise BundleError(f"{node.name}: it remembers more than {_LARGEST:,} numbers")
