"""Lava's fixed-point simulator of Loihi 2 as a backend: every node is a Lava process of its own.

A model owns one Lava network, in a child that is watched (`supervised.py`). Streams take turns on
it: the state of the one that runs lies in the network, those of the others here. What the nodes
compute is their meaning in integers, on Lava's ports, in Lava's time; the same sums as every other
backend's. See docs/loihi.md.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

import numpy as np

from edgesnn.backend import check_input, check_state
from edgesnn.hardware.loihi.installed import check_lava
from edgesnn.hardware.loihi.supervised import Child
from edgesnn.hardware.loihi.wiring import check_wiring
from edgesnn.program import Program, State, Tensor, initial_state

if TYPE_CHECKING:
    from edgesnn.bundle import Bundle


def load(bundle: Bundle, *, threads: int = 1) -> LoihiModel:
    """Load a bundle's program and start its network, one process for each node and a few more.

    Raises MissingDependency without Lava, InputError for another version of it, BundleError for a
    program that cannot be wired, and RunError when Lava does not start.
    """
    check_lava()
    check_wiring(bundle.program)
    model = LoihiModel(bundle.program)
    model.start()
    return model


class LoihiModel:
    """A program on Lava. Streams of several threads wait for each other."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._running: weakref.ref[LoihiStream] | None = None

    def stream(self) -> LoihiStream:
        """Return a new stream in the initial state."""
        return LoihiStream(self, initial_state(self.program))

    def start(self) -> None:
        """Start the network, which the first step would do; raises RunError."""
        with self._lock:
            self._child = self._child or Child(self.program)

    def close(self) -> None:
        """End the network; the next step starts another."""
        with self._lock:
            child, self._child, self._running = self._child, None, None
            if child is not None:
                child.close()

    def _network(self, stream: LoihiStream) -> Child:
        """Return the network, in the state of a stream; the lock is held."""
        if self._child is None:
            self._child = Child(self.program)
        running = None if self._running is None else self._running()
        if running is not stream:
            if running is not None:
                running._state = self._child.dump()
            self._running = None  # should loading fail, the network is nobody's
            assert stream._state is not None
            self._child.load(stream._state)
            self._running, stream._state = weakref.ref(stream), None
        return self._child

    def _failed(self) -> None:
        """Forget a network that failed, and the state that was in it; the lock is held."""
        if self._child is not None:
            self._child.close()
        self._child = self._running = None


class LoihiStream:
    """One run through time; see `edgesnn.backend.Stream`. A step takes about a millisecond.

    After a RunError the state that was in the network is lost: reset or restore.
    """

    def __init__(self, model: LoihiModel, state: State) -> None:
        self._model = model
        self._state: State | None = state  # None: it lies in the network

    def step(self, x: Tensor) -> Tensor:
        """Take x, uint8 (channels, height, width); return y, int32; raises RunError."""
        model = self._model
        check_input(model.program, x)
        with model._lock:
            try:
                return model._network(self).step(x)
            except BaseException:
                model._failed()
                if self._state is None:
                    self._state = initial_state(model.program)
                raise

    def snapshot(self) -> State:
        """Return a copy of the state."""
        model = self._model
        with model._lock:
            if self._state is not None:
                return {name: np.copy(tensor) for name, tensor in self._state.items()}
            assert model._child is not None
            try:
                return model._child.dump()
            except BaseException:
                model._failed()
                self._state = initial_state(model.program)
                raise

    def restore(self, state: State) -> None:
        """Go on from a snapshot; raises InputError when it does not fit."""
        check_state(self._model.program, state)
        self._set({name: np.copy(tensor) for name, tensor in state.items()})

    def reset(self) -> None:
        """Go back to the initial state."""
        self._set(initial_state(self._model.program))

    def fork(self) -> LoihiStream:
        """Return an independent stream that goes on from the same state."""
        return LoihiStream(self._model, self.snapshot())

    def _set(self, state: State) -> None:
        with self._model._lock:
            if self._state is None:
                self._model._running = None
            self._state = state
