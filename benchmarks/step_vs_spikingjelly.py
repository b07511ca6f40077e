"""One step of a bundle's network: ours against the same network in SpikingJelly, one thread each.

    pip install spikingjelly==2.0.0      (the first release on PyPI that has SlidingPSN)
    python benchmarks/step_vs_spikingjelly.py --bundle gesture      (or keyword, mnist, ...)
    python benchmarks/step_vs_spikingjelly.py --input real          (or a share of the cells: 0.01)

Both of our CPU backends take part, events and onnx_cpu (events where it was built). The peer is
written as its users would (`spikingjelly_network.py`), and run in
`torch.inference_mode`. All see the same inputs and must give the same outputs before any time is
taken; then blocks of steps alternate, so that a noisy machine is noisy for both. The fastest steps
are printed beside the medians: on a machine that others use, long steps are interrupted more often
than short ones. Networks that run in trials start each trial, of both, from rest.
"""

from __future__ import annotations

import argparse
import math
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from spikingjelly_network import spikingjelly_network

from edgesnn.app import APPS, load_app, sample_path
from edgesnn.backend import load_model
from edgesnn.bundle import Bundle, load_bundle
from edgesnn.decide.trial import TrialSpec
from edgesnn.hardware.events_library import library_path
from edgesnn.measure.profile import StageMeter
from edgesnn.program import Tensor
from edgesnn.sources.files import open_file
from edgesnn.stream.pipeline import run

BACKENDS = ("events", "onnx_cpu") if library_path() else ("onnx_cpu",)
PEER = "SpikingJelly single step"
STEPS_PLAYED = 300
BLOCK = 20
"""Steps of one contender before it is the other's turn."""


def inputs(bundle: Bundle, kind: str, steps: int) -> list[Tensor]:
    """Return inputs: "real", of the bundled recording, or random levels in a share of the cells."""
    if kind == "real":
        return real_inputs(bundle)[:steps]
    program, rng = bundle.program, np.random.default_rng(0)
    shape = (steps, *program.input_shape)
    levels = rng.integers(1, program.input_high + 1, shape) * (rng.random(shape) < float(kind))
    return list(levels.astype(np.uint8))


def real_inputs(bundle: Bundle) -> list[Tensor]:
    """Return what the network is given of the recording that shows it, 200 steps at most."""
    name = bundle.program.name
    apps = [load_app(app) for app in APPS]
    (app,) = [app for app in apps if name in (app.model, app.event_model, *dict(app.samples))]
    meter = StageMeter()
    run(
        open_file(sample_path(app, name), bundle, speed=math.inf, loop=True),
        bundle,
        load_model("auto", bundle)[1],
        [],
        backend_name="auto",
        stop=threading.Event(),
        duration_s=STEPS_PLAYED * bundle.program.step_us / 1e6,
        probe=meter,
    )
    return meter.inputs


class Contenders:
    """Our streams and SpikingJelly's network; a trial of `window` steps begins from rest.

    window: None for networks that run on and on.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Prepare all."""
        self.window = bundle.readout.steps if isinstance(bundle.readout, TrialSpec) else None
        self._net = spikingjelly_network(bundle.program)
        self._streams = {name: load_model(name, bundle)[1].stream() for name in BACKENDS}
        self.steps: dict[str, Callable[[Tensor], Any]] = {
            **{f"edgesnn {name}": stream.step for name, stream in self._streams.items()},
            PEER: self.theirs,
        }

    def theirs(self, x: Tensor) -> torch.Tensor:
        """Take a step of theirs."""
        return self._net(torch.from_numpy(x)[None].float())

    def begin(self, t: int) -> None:
        """Put all to rest where step t begins a trial."""
        if self.window is not None and t % self.window == 0:
            for stream in self._streams.values():
                stream.reset()
            for module in self._net.modules():
                if module is not self._net and hasattr(module, "reset"):
                    module.reset()

    def timed_us(self, step: Callable[[Tensor], object], xs: list[Tensor]) -> list[float]:
        """Return how long each step took; beginning a trial is not counted."""
        times = []
        for t, x in enumerate(xs):
            self.begin(t)
            began = time.perf_counter_ns()
            step(x)
            times.append((time.perf_counter_ns() - began) / 1e3)
        return times


def compare(bundle: Bundle, kind: str, rounds: int) -> dict[str, list[float]]:
    """Return the times of all steps of each contender, us; exits when outputs differ."""
    program, all_ = bundle.program, Contenders(bundle)
    given = inputs(bundle, kind, 100)
    for t, x in enumerate(given):
        all_.begin(t)
        for name, step in all_.steps.items():
            y = np.asarray(step(x)).reshape(program.output_shape)
            if name == f"edgesnn {BACKENDS[0]}":
                wanted = y.copy()
            elif not np.array_equal(y, wanted):
                raise SystemExit(f"step {t}: the outputs differ, nothing to compare")
    blocks = [given[at : at + BLOCK] for at in range(0, len(given) - BLOCK + 1, BLOCK)]
    times: dict[str, list[float]] = {name: [] for name in all_.steps}
    for n in range(rounds):
        xs = blocks[n % len(blocks)]
        for name, step in all_.steps.items():
            times[name] += all_.timed_us(step, xs)
    return times


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", default="gesture", help="a model's name or a bundle's .json")
    parser.add_argument("--input", default="0.2", help="real, or the share of cells with input")
    parser.add_argument("--rounds", type=int, default=50, help="blocks of 20 steps of each")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        times = compare(load_bundle(arguments.bundle), arguments.input, arguments.rounds)
    print("outputs agree over 100 steps; one step, one thread, us:  median  fastest   ratios")
    theirs = times[PEER]
    for name, ours in times.items():
        ratios = statistics.median(theirs) / statistics.median(ours), min(theirs) / min(ours)
        shown = "" if name == PEER else f"{ratios[0]:6.1f} {ratios[1]:6.1f}"
        print(f"  {name:26s}{statistics.median(ours):28.0f} {min(ours):8.0f}   {shown}")


if __name__ == "__main__":
    main()
