"""The Lava processes of a program: its source, its nodes, its sink.

In every Lava step all take a command from the source, then their inputs, and send their output:
one step of the program, or the loading or dumping of the state. The source reads from the parent's
pipe and the sink writes to it. An exception is told through the same pipe, because Lava would wait
for ever.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from edgesnn.hardware.loihi.messages import DUMP, LOAD, STATE, STEP, fail, take
from edgesnn.hardware.loihi.wiring import MOST_INPUTS, ends, inputs_of, size_of
from edgesnn.program import Previous


class Source(AbstractProcess):  # type: ignore[misc]
    """Gives x, and what is to be done with it. program; fd: of the pipe that is read; tell: of the
    pipe for failures."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.x = OutPort(shape=(size_of(given["program"], "x"),))
        self.command = OutPort(shape=(1,))


class NodeProcess(AbstractProcess):  # type: ignore[misc]
    """A node of a program. program, node; folder: where states are read and written; tell."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        program, node = given["program"], given["node"]
        for i in range(MOST_INPUTS):
            read = inputs_of(node)
            size = size_of(program, read[i]) if i < len(read) else 1
            setattr(self, f"in{i}", InPort(shape=(size,)))
        self.command = InPort(shape=(1,))
        self.out = OutPort(shape=(size_of(program, node.name),))


class Sink(AbstractProcess):  # type: ignore[misc]
    """Waits for the output and all that nothing reads. program; tell: the pipe it answers to."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        waited = ends(given["program"])
        for i in range(MOST_INPUTS):
            size = size_of(given["program"], waited[i]) if i < len(waited) else 1
            setattr(self, f"in{i}", InPort(shape=(size,)))
        self.command = InPort(shape=(1,))


class _Told(PyLoihiProcessModel):  # type: ignore[misc]
    """A model whose exceptions are told."""

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.given = proc_params

    def run_spk(self) -> None:
        """Take one Lava step."""
        try:
            self.step()
        except Exception as error:
            fail(self.given["tell"], f"{type(error).__name__}: {error}")
            time.sleep(3600)  # the parent ends us; an exception would hang Lava in silence

    def step(self) -> None:
        """What the model does in one step."""
        raise NotImplementedError


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PySource(_Told):
    """Takes commands and x from the parent's pipe."""

    x: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    command: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def step(self) -> None:
        """Take what the parent wants next; wait for it."""
        fd, size = self.given["fd"], size_of(self.given["program"], "x")
        command = take(fd, 1)[0]
        x = np.zeros(size, np.int32)
        if command == STEP:
            x[:] = np.frombuffer(take(fd, size), np.uint8)
        self.command.send(np.array([command], np.int32))
        self.x.send(x)


@implements(proc=NodeProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyNode(_Told):
    """Runs a node's meaning; its state is here."""

    for _i in range(MOST_INPUTS):
        locals()[f"in{_i}"] = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    command: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        ports = proc_params["node"].ports(proc_params["program"])
        self.state = {name: np.zeros(port.shape, port.dtype) for name, port in ports.items()}

    def step(self) -> None:
        """Do what the source says."""
        node = self.given["node"]
        command = int(self.command.recv()[0])
        self._obey(command, node)  # before the output, which says that it is done
        late = isinstance(node, Previous)  # it gives first, and takes what comes of that
        if late:
            self.out.send(self._computed(node, []) if command == STEP else self._nothing())
        given = [getattr(self, f"in{i}").recv() for i in range(len(inputs_of(node)))]
        if command == STEP and late:
            later = np.asarray(given[0]).reshape(1, *node.shape)
            self.state |= node.closed({node.later: later})
        elif command == STEP:
            self.out.send(self._computed(node, given))
        elif not late:
            self.out.send(self._nothing())

    def _computed(self, node: Any, given: list[Any]) -> Any:
        program = self.given["program"]
        values = [
            np.asarray(flat).astype(_dtype(program, name)).reshape(1, *_shape(program, name))
            for flat, name in zip(given, node.reads, strict=True)
        ]
        value, after = node.run(program, values, self.state)
        self.state |= after
        return value[0].ravel().astype(np.int32)

    def _nothing(self) -> Any:
        return np.zeros(size_of(self.given["program"], self.given["node"].name), np.int32)

    def _obey(self, command: int, node: Any) -> None:
        """Load or dump the state."""
        folder = Path(self.given["folder"])
        if command == LOAD:
            with np.load(folder / STATE, allow_pickle=False) as stored:
                self.state = {name: stored[name] for name in self.state}
        elif command == DUMP and self.state:
            np.savez(folder / f"{node.name}.npz", **self.state)  # type: ignore[arg-type]


@implements(proc=Sink, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PySink(_Told):
    """Answers every command with the output."""

    for _i in range(MOST_INPUTS):
        locals()[f"in{_i}"] = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    command: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)

    def step(self) -> None:
        """Wait for all, and answer."""
        self.command.recv()
        given = [getattr(self, f"in{i}").recv() for i in range(len(ends(self.given["program"])))]
        y = np.asarray(given[0]).astype("<i4").tobytes()
        view = memoryview(b"Y" + y)
        while view:
            view = view[os.write(self.given["tell"], view) :]


def _shape(program: Any, name: str) -> tuple[int, ...]:
    shape: tuple[int, ...] = program.input_shape if name == "x" else program.values[name].shape
    return shape


def _dtype(program: Any, name: str) -> str:
    return "uint8" if name == "x" else str(program.values[name].dtype)
