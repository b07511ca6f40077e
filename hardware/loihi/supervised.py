"""A Lava network in a child process: every answer has a deadline, every failure is one sentence."""

from __future__ import annotations

import io
import json
import os
import select
import subprocess
import sys
import tempfile
import time
import weakref
from pathlib import Path

import numpy as np

from edgesnn.errors import RunError
from edgesnn.hardware.loihi.messages import DUMP, FAILED, LOAD, OUTPUT, RUNS, STATE, STEP
from edgesnn.hardware.loihi.session import end_session
from edgesnn.program import Program, State, Tensor, initial_state
from edgesnn.program.program import to_dict

START_S, ANSWER_S = 60.0, 20.0
"""How long the network may take to start, and a step to be answered: a thousand times the usual."""


class Child:
    """One running network. Not shared between threads. Ends with this object, at the latest."""

    def __init__(self, program: Program, *, stock: bool = False) -> None:
        """Start it; raises RunError when that fails.

        stock: on Lava's own processes (`stock.py`); then it has no state that can be moved.
        """
        self._program = program
        self._shape = program.output_shape
        self._folder = tempfile.TemporaryDirectory(prefix="edgesnn-lava-")
        read, self._write = os.pipe()
        self._read, tell = os.pipe()
        os.set_blocking(self._write, False)
        modules = os.pathsep.join(folder for folder in sys.path if folder)
        module = "edgesnn.hardware.loihi.child"
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  closed with the child
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, str(read), str(tell), self._folder.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            pass_fds=(read, tell),
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": modules},
        )
        os.close(read)
        os.close(tell)
        self._end = weakref.finalize(
            self, _ended, self._process, (self._read, self._write), self._folder, self._said
        )
        try:
            self._send_program(program, stock)
            if self._answer(1, time.monotonic() + START_S, "did not start") != RUNS:
                raise RunError("Lava did not start as it should")
        except BaseException:
            self.close()
            raise

    def step(self, x: Tensor) -> Tensor:
        """Take x; return y, int32."""
        y = np.frombuffer(self._asked(STEP, np.ascontiguousarray(x).tobytes()), "<i4")
        return y.reshape(self._shape).astype(np.int32)

    def load(self, state: State) -> None:
        """Put the network into a state."""
        np.savez(Path(self._folder.name, STATE), **state)  # type: ignore[arg-type]
        self._asked(LOAD)

    def dump(self) -> State:
        """Return the state that the network is in."""
        self._asked(DUMP)
        found: State = {}
        for node in self._program.nodes:
            path = Path(self._folder.name, f"{node.name}.npz")
            if node.ports(self._program):
                with np.load(path, allow_pickle=False) as stored:
                    found |= {name: stored[name] for name in stored.files}
        return {name: found[name] for name in initial_state(self._program)}

    def close(self) -> None:
        """End it; nothing of it is left."""
        self._end()

    def _send_program(self, program: Program, stock: bool) -> None:
        data = io.BytesIO()
        np.savez(data, **program.tensors)  # type: ignore[arg-type]
        head = {"program": to_dict(program), "bytes": data.tell(), "stock": stock}
        given = self._process.stdin
        assert given is not None
        try:
            given.write(json.dumps(head).encode() + b"\n" + data.getvalue())
            given.flush()
        except OSError as error:
            raise self._gone() from error

    def _asked(self, command: int, payload: bytes = b"") -> bytes:
        """Send a command; return the output's bytes; raises RunError."""
        if self._process.poll() is not None:  # nobody would watch over the others
            raise self._gone()
        until = time.monotonic() + ANSWER_S
        left = memoryview(bytes([command]) + payload)
        while left:
            ready = select.select([], [self._write], [], max(0.0, until - time.monotonic()))[1]
            if not ready:
                raise RunError(f"Lava did not take an input within {ANSWER_S:g} s")
            try:
                left = left[os.write(self._write, left) :]
            except OSError as error:
                raise self._gone() from error
        late = f"did not answer within {ANSWER_S:g} s"
        if self._answer(1, until, late) != OUTPUT:
            raise RunError("Lava answered what was not asked")
        return self._answer(4 * int(np.prod(self._shape)), until, late)

    def _answer(self, count: int, until: float, late: str) -> bytes:
        """Return so many bytes of an answer; raises RunError for a failure that was told."""
        parts = bytearray()
        while len(parts) < count:
            if not select.select([self._read], [], [], max(0.0, until - time.monotonic()))[0]:
                raise RunError(f"Lava {late}{self._reason()}")
            part = os.read(self._read, count - len(parts))
            if not part:
                raise self._gone()
            parts += part
            if count == 1 and part == FAILED:
                length = int.from_bytes(self._answer_raw(4), "little")
                raise RunError(f"Lava failed: {self._answer_raw(length).decode(errors='replace')}")
        return bytes(parts)

    def _answer_raw(self, count: int) -> bytes:
        parts = b""
        while len(parts) < count and (part := os.read(self._read, count - len(parts))):
            parts += part
        return parts

    def _gone(self) -> RunError:
        return RunError(f"Lava ended by itself{self._reason()}")

    def _reason(self) -> str:
        """Return the last line that it wrote on standard error, as a clause."""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return f" ({lines[-1][:200]})" if lines else ""


def _ended(
    process: subprocess.Popen[bytes],
    pipes: tuple[int, ...],
    folder: tempfile.TemporaryDirectory[str],
    said: object,
) -> None:
    """Kill the session, remove its shared memory, close what was open."""
    end_session(process.pid)
    process.wait()
    if process.stdin is not None:
        try:
            process.stdin.close()
        except OSError:
            pass  # it was full when the child died
    for pipe in pipes:
        os.close(pipe)
    folder.cleanup()
    said.close()  # type: ignore[attr-defined]
