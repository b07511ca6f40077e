"""The process that runs a Lava network; `supervised.py` starts it, in a session of its own.

    python -m edgesnn.hardware.loihi.child READ TELL FOLDER < program

Standard input holds the program (a line of JSON, then an .npz of its tensors) and stays open: when
it ends, the parent wants us gone, or is gone itself, and the whole session ends with its segments
of shared memory.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import select
import sys
from typing import Any

import numpy as np

from edgesnn.hardware.loihi.compat import import_lava
from edgesnn.hardware.loihi.messages import RUNS, fail
from edgesnn.hardware.loihi.session import end_session
from edgesnn.hardware.loihi.wiring import ends, inputs_of
from edgesnn.program import Program
from edgesnn.program.program import from_dict

_LOOK_S = 0.2


def main(read: int, tell: int, folder: str) -> None:
    """Build the network, run it, and watch over it."""
    try:
        program, stock = _given()
        network = _built(program, stock, read, tell, folder)
        _start(network)
    except Exception as error:
        fail(tell, f"{type(error).__name__}: {error}")
        return
    os.write(tell, RUNS)
    while True:
        if select.select([0], [], [], _LOOK_S)[0] and not os.read(0, 1):
            return
        for process in multiprocessing.active_children():
            if process.exitcode not in (None, 0):
                fail(tell, f"a process of Lava died (exit code {process.exitcode})")
                return


def _given() -> tuple[Program, bool]:
    """Return the program, and whether it is for stock processes."""
    given = sys.stdin.buffer
    head = json.loads(given.readline())
    with np.load(io.BytesIO(given.read(head["bytes"])), allow_pickle=False) as stored:
        tensors = {name: stored[name] for name in stored.files}
    return from_dict(head["program"], tensors), bool(head["stock"])


def _built(program: Program, stock: bool, read: int, tell: int, folder: str) -> Any:
    """Return the sink of the network, which runs all that it is connected with."""
    import_lava()
    from edgesnn.hardware.loihi.processes.nodes import NodeProcess, Sink, Source
    from edgesnn.hardware.loihi.stock import built

    common = {"program": program, "tell": tell, "folder": folder}
    source = Source(**common, fd=read)
    outputs = built(program, source.x) if stock else {"x": source.x}
    made = {} if stock else {n.name: NodeProcess(**common, node=n) for n in program.nodes}
    outputs |= {name: process.out for name, process in made.items()}
    for node in () if stock else program.nodes:
        process = made[node.name]
        source.command.connect(process.command)
        for i, name in enumerate(inputs_of(node)):
            outputs[name].connect(getattr(process, f"in{i}"))
    sink = Sink(**common)
    source.command.connect(sink.command)
    for i, name in enumerate(ends(program)):
        outputs[name].connect(getattr(sink, f"in{i}"))
    return sink


def _start(network: Any) -> None:
    from lava.magma.core.run_conditions import RunContinuous
    from lava.magma.core.run_configs import Loihi2SimCfg

    network.run(condition=RunContinuous(), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
    finally:
        end_session(os.getpid())
