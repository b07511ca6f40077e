"""Where the time and the work of a model go, measured on a recording, or live.

A recording is played as fast as possible, again and again if it is short, so that every stage
runs warm and often enough for a 99.9th percentile to mean something. Live, a source gives what it
gives, and latency is what a user would see.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgesnn.errors import InputError
from edgesnn.stream.meter import LatencyMeter

if TYPE_CHECKING:  # imported when the time of starting is measured
    from edgesnn.backend import Model
    from edgesnn.bundle import Bundle
    from edgesnn.decide.decision import Decision
    from edgesnn.events import Packet, Source
    from edgesnn.measure.compare import Side
    from edgesnn.program import Program, Tensor
    from edgesnn.stream.sink import Monitor, RunInfo, Summary

STAGES = ("read", "slice", "encode", "step", "readout", "show")
STEPS = 2000  # of the timed run: two values lie above the 99.9th percentile
_LIVE = ("events", "dropped", "late", "queued", "late_steps")
COUNTED = 200  # steps whose operations are counted


class StageMeter:
    """A pipeline probe: a histogram per stage, and the inputs of the network's first steps.

    inputs: uint8 arrays, at most COUNTED. begins: for each, whether the network was reset before
    it. steps: how many it took. first_step_ns: `time.monotonic_ns()` after the first; 0 before.
    """

    def __init__(self) -> None:
        self.stages = {name: LatencyMeter() for name in STAGES}
        self.inputs: list[Tensor] = []
        self.begins: list[bool] = []
        self.steps = self.first_step_ns = 0

    def stage(self, name: str, elapsed_ns: int) -> None:
        """Take one duration."""
        self.stages[name].add(elapsed_ns)

    def step(self, x: Tensor, y: Tensor, begins: bool) -> None:
        """Keep the inputs whose operations are counted later."""
        self.steps += 1
        if len(self.inputs) < COUNTED:
            self.first_step_ns = self.first_step_ns or time.monotonic_ns()
            self.inputs.append(x.copy())
            self.begins.append(begins)


class _Decisions:
    """A sink that counts what a user would have been told."""

    name = "the profile"

    def __init__(self) -> None:
        self.count = 0

    def open(self, info: RunInfo, monitor: Monitor) -> None:
        pass

    def packet(self, packet: Packet) -> None:
        pass

    def decision(self, decision: Decision) -> None:
        self.count += 1

    def close(self, summary: Summary | None) -> None:
        pass


def profile(
    model_name: Callable[[], str],
    open_source: Callable[[Bundle], Source],
    backend_name: str = "auto",
    steps: int = STEPS,
    energy: bool = False,
    cells: int | None = None,
    live_s: float | None = None,
    rounds: int | None = None,
) -> dict[str, Any]:
    """Measure a model on a source; return plain JSON values, see docs/profile.md.

    model_name: says which bundle. open_source: opens what is measured on, for a loaded bundle: a
    recording that plays for ever, at full speed; or, with live_s, any source, for so many seconds.
    steps: how many are timed. energy: what a step takes, too (see `energy`). cells, rounds: see
    `Bundle.fitted`. The first two import what they need themselves: that is
    the start-up time. Raises InputError for a model, backend or recording that cannot be used.
    """
    began_ns = time.monotonic_ns()
    from edgesnn.backend import load_model
    from edgesnn.bundle import load_bundle
    from edgesnn.stream.pipeline import run

    bundle = load_bundle(model_name())
    backend_name, model = load_model(backend_name, bundle)
    loaded_ns = time.monotonic_ns()
    source = open_source(bundle)
    stored, bundle = bundle, bundle.fitted(source.size, cells, rounds)
    if bundle is not stored:
        backend_name, model = load_model(backend_name, bundle)
    meter, told = StageMeter(), _Decisions()
    step_s = bundle.program.step_us / 1e6
    summary = run(
        source,
        bundle,
        model,
        [told],
        backend_name=backend_name,
        stop=threading.Event(),
        duration_s=steps * step_s if live_s is None else live_s,
        probe=meter,
    )
    if not meter.steps:
        raise InputError(f"{summary.source} gave nothing to measure: the network took no step")
    memory = peak_memory_bytes()
    work = _work(bundle.program, meter)
    answers = told.count if summary.answers is None else summary.answers
    report = {
        "model": summary.model,
        "backend": summary.backend,
        "source": summary.source,
        "steps": summary.steps,
        "step_us": bundle.program.step_us,
        "stages_us": {name: asdict(meter.stages[name].percentiles()) for name in STAGES},
        "stages_histogram_us": {name: meter.stages[name].histogram_us() for name in STAGES},
        "steps_per_second": summary.realtime_factor / step_s,
        "realtime_factor": summary.realtime_factor,
        "startup_ms": {
            "load": (loaded_ns - began_ns) / 1e6,
            "first_step": max(0, meter.first_step_ns - began_ns) / 1e6,
        },
        "peak_memory_bytes": memory,
        "steps_per_decision": summary.steps / answers if answers else None,
        "network_steps_per_decision": meter.steps / answers if answers else None,
        **work,
    }
    if live_s is not None:
        report["live"] = {
            "latency_us": None if summary.latency_us is None else asdict(summary.latency_us),
            **{name: getattr(summary, name) for name in _LIVE},
        }
    if energy:
        report["energy"] = _energy(bundle.program, model, meter, report)
    return report


def side(
    model_name: str,
    open_source: Callable[[Bundle], Source],
    backend_name: str,
    cells: int | None = None,
) -> Side:
    """Return a network and its inputs on a recording, ready to be compared; see `profile`."""
    from edgesnn.backend import load_model
    from edgesnn.bundle import load_bundle
    from edgesnn.measure.compare import Side
    from edgesnn.stream.pipeline import run

    bundle = load_bundle(model_name)
    source = open_source(bundle)
    bundle = bundle.fitted(source.size, cells)
    backend_name, model = load_model(backend_name, bundle)
    meter = StageMeter()
    duration_s = COUNTED * bundle.program.step_us / 1e6
    stop = threading.Event()
    run(
        source,
        bundle,
        model,
        [],
        backend_name=backend_name,
        stop=stop,
        duration_s=duration_s,
        probe=meter,
    )
    return Side(backend_name, bundle, model, meter.inputs, meter.begins)


def _energy(
    program: Program, model: Model, meter: StageMeter, work: dict[str, Any]
) -> dict[str, Any]:
    from edgesnn.measure.energy import estimates, neurons_of, per_decision
    from edgesnn.measure.power import measured

    stream = model.stream()

    def run_for(seconds: float) -> int:
        """Step over the inputs again and again; return how many steps it took."""
        steps, until = 0, time.monotonic() + seconds
        while time.monotonic() < until:
            for x, begins in zip(meter.inputs, meter.begins, strict=True):
                if begins:
                    stream.reset()
                stream.step(x)
            steps += len(meter.inputs)
        return steps

    found = {"measured": measured(run_for), **estimates(work, neurons_of(program))}
    return per_decision(found, work["network_steps_per_decision"])


def _work(program: Program, meter: StageMeter) -> dict[str, Any]:
    from edgesnn.measure.operations import count_work, neurobench

    layers, over_time = count_work(program, meter.inputs, meter.begins)
    totals = {
        f"{which}_{kind}": sum(getattr(layer, which) for layer in layers if layer.kind == kind)
        for which in ("effective", "dense")
        for kind in ("ACs", "MACs")
    }
    return {
        "counted_steps": len(meter.inputs),
        "spikes_per_step": sum(layer.spikes for layer in layers),
        "operations_per_step": totals,
        "layers": [asdict(layer) for layer in layers],
        "spikes_over_time": over_time,
        "neurobench": neurobench(program, layers, over_time),
    }


def peak_memory_bytes() -> int | None:
    """Return the most memory this process has held; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
