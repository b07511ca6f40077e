"""How often and how early a network that fires once is right, and what it computes until then.

Every trial runs over its whole window once; the exit rule is applied to the outputs of that run, so
that the early answer is compared with the full one, and the operations are counted step by step
(`operations.py`), not estimated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.backend import Model, Stream
from edgesnn.bundle import Bundle
from edgesnn.decide.exit_rule import EXACT, NEVER, ExitRule
from edgesnn.decide.trial import TrialReadout, TrialSpec
from edgesnn.errors import InputError
from edgesnn.events import Events, Packet
from edgesnn.measure.operations import fan_out
from edgesnn.measure.progress import counted
from edgesnn.program import Add, Concat, Fire, Layer, Pool, Program, Tensor, Upsample
from edgesnn.senses.encoders import open_encoder
from edgesnn.senses.latency import latency_events
from edgesnn.sources.idx import read_images
from edgesnn.sources.reading import read_recording
from edgesnn.stream.slicer import slicer_for

from .sets import read_index


@dataclass(frozen=True, slots=True)
class Trial:
    """One labelled digit. name: of the file, or the number of the image. notes: what was mended in
    its recording, or is unusual.
    """

    name: str
    label: int
    events: Events
    size: tuple[int, int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """One trial's whole window. outputs: (T, classes); operations, spikes: per step.

    most: spikes of the busiest neuron in the trial. notes: of its recording.
    """

    label: int
    outputs: NDArray[np.int32]
    operations: NDArray[np.int64]
    spikes: NDArray[np.int64]
    most: int
    notes: tuple[str, ...] = ()


def evaluate_digits(
    bundle: Bundle, model: Model, data: Path, *, rule: ExitRule = EXACT
) -> dict[str, Any]:
    """Return the report on a data set, plain JSON values; see docs/digits.md for its fields.

    data: folder of idx files (its test split, t10k), or of N-MNIST recordings with an index file,
    or the index file itself. Raises InputError.
    """
    return report(bundle, counted_trials(bundle, model, data), rule)


def counted_trials(bundle: Bundle, model: Model, data: Path) -> list[Counted]:
    """Run every trial of a data set over its whole window; raises InputError."""
    if not isinstance(bundle.readout, TrialSpec):
        raise InputError(f"{bundle.program.name} does not answer trial by trial")
    work, stream = Work(bundle.program), model.stream()
    found = []
    for trial in counted(trials_of(bundle, data)):
        done = work.run(stream, inputs_of_trial(bundle, trial), trial.label)
        found.append(replace(done, notes=tuple(f"{trial.name}: {n}" for n in trial.notes)))
    return found


def report(bundle: Bundle, trials: list[Counted], rule: ExitRule) -> dict[str, Any]:
    """Return what `evaluate_digits` does, of trials that have run, under a rule."""
    spec = bundle.readout
    assert isinstance(spec, TrialSpec)
    classes, dense = len(spec.labels), Work(bundle.program)
    confusion = np.zeros((classes, classes), np.int64)
    early = [answered(spec, rule, trial.outputs) for trial in trials]
    full = [answered(spec, NEVER, trial.outputs)[0] for trial in trials]
    for trial, (answer, _) in zip(trials, early, strict=True):
        if answer >= 0:
            confusion[trial.label, answer] += 1
    pairs = list(zip(trials, early, strict=True))
    steps = np.array([step for _, step in early])
    done = float(np.mean([trial.operations[:step].sum() for trial, (_, step) in pairs]))
    whole = float(np.mean([trial.operations.sum() for trial in trials]))
    correct = int(np.trace(confusion))
    return {
        "accuracy": correct / len(trials),
        "n": len(trials),
        "correct": correct,
        "confusion": confusion.tolist(),
        "exit": {
            "rule": str(rule),
            "window_steps": spec.steps,
            "mean_step": float(steps.mean()),
            "mean_share": float(steps.mean() / spec.steps),
            **{f"p{q}": float(np.percentile(steps, q)) for q in (50, 90, 99)},
        },
        "changed_by_exit": sum(a != b for (a, _), b in zip(early, full, strict=True)),
        "operations": {
            "done": done,
            "whole_window": whole,
            "saved_share": 1 - done / whole if whole else 0.0,
            "dense_whole_window": dense.dense * spec.steps,
        },
        "spikes_per_inference": float(np.mean([trial.spikes.sum() for trial in trials])),
        "neurons": dense.neurons,
        "most_spikes_of_a_neuron": max(trial.most for trial in trials),
        "notes": [note for trial in trials for note in trial.notes],
    }


def holds_images(data: Path) -> bool:
    """Whether a folder holds idx files of images."""
    return data.is_dir() and any(data.glob("*idx3-ubyte*"))


def trials_of(bundle: Bundle, data: Path) -> Iterator[Trial]:
    """Yield the trials of a data set; raises InputError before the first one."""
    classes = len(bundle.readout.labels)
    if holds_images(data):
        return _images(bundle, data)
    return _recordings(bundle, read_index(data, classes))


def _images(bundle: Bundle, data: Path) -> Iterator[Trial]:
    spec = bundle.latency
    if spec is None:
        raise InputError(
            f"{data} holds images and the model {bundle.program.name} takes events of a DVS; use "
            "--model mnist or --model fashion"
        )
    images, labels = read_images(data, "t10k")
    if not len(images):
        raise InputError(f"{data} holds no images")
    if images.shape[1:] != (spec.size, spec.size):
        height, width = images.shape[1:]
        raise InputError(
            f"{data}: images of {width} x {height} pixels, wanted {spec.size} x {spec.size}"
        )
    if int(labels.max(initial=0)) >= len(bundle.readout.labels):
        raise InputError(f"{data}: a label is {labels.max()}, wanted 0 to 9")
    return (
        Trial(
            str(i),
            int(label),
            latency_events(image, spec, start_us=0, step_us=bundle.program.step_us),
            (spec.size, spec.size),
        )
        for i, (image, label) in enumerate(zip(images, labels, strict=True))
    )


def _recordings(bundle: Bundle, index: list[tuple[Path, int]]) -> Iterator[Trial]:
    if bundle.latency is not None:
        raise InputError(
            f"the model {bundle.program.name} takes images; for N-MNIST recordings use "
            "--model nmnist"
        )
    for path, label in index:
        found = read_recording(path)
        assert found.size is not None
        yield Trial(path.name, label, found.in_memory(), found.size, found.notes)


def inputs_of_trial(bundle: Bundle, trial: Trial) -> list[Tensor]:
    """Return x of each step of a trial's window, from the step that starts it; silence after."""
    spec, program = bundle.readout, bundle.program
    assert isinstance(spec, TrialSpec)
    slicer = slicer_for(program)
    inputs: list[Tensor] = []
    encoder = open_encoder(bundle.encoder, program.input_shape, trial.size, bundle.program.step_us)
    last_us = int(trial.events["t"][-1]) if len(trial.events) else 0
    for step in [*slicer.feed(Packet(trial.events, last_us, 0)), *slicer.flush()]:
        x = encoder.encode(step.events, step.start_us)
        if (inputs or encoder.used >= spec.start_events) and len(inputs) < spec.steps:
            inputs.append(x)
    silent = np.zeros(program.input_shape, np.uint8)
    return [*inputs, *[silent] * (spec.steps - len(inputs))]


def answered(spec: TrialSpec, rule: ExitRule, outputs: NDArray[np.int32]) -> tuple[int, int]:
    """Return the answer to a trial's outputs under a rule, and after how many steps it came."""
    readout = TrialReadout(spec, rule=rule)
    for t, y in enumerate(outputs):
        decision = readout.update(y, 1, t + 1)
        if decision is not None:
            return decision.index, t + 1
    raise AssertionError("a trial is answered in its last step at the latest")


class Work:
    """Counts what a program of neurons that fire once does.

    dense: operations of one step of the dense network. neurons: that may fire.
    """

    def __init__(self, program: Program) -> None:
        """Prepare the fan-out of every input."""
        self._program = program
        self._layers = [node for node in program.nodes if isinstance(node, Layer)]
        self._fires = [node for node in program.nodes if isinstance(node, Fire)]
        self._fans = {layer.name: fan_out(program, layer) for layer in self._layers}
        dense = [fan_out(program, layer, dense=True) for layer in self._layers]
        self.dense = int(sum(fan.sum() for fan in dense))
        self.neurons = int(sum(np.prod(program.values[f.name].shape) for f in self._fires))

    def run(self, stream: Stream, inputs: list[Tensor], label: int) -> Counted:
        """Run a trial from the initial state."""
        stream.reset()
        before = stream.snapshot()
        outputs, operations, spikes = [], [], []
        total = {fire.name: np.zeros(1, np.int64) for fire in self._fires}
        for x in inputs:
            outputs.append(stream.step(x).copy())
            after = stream.snapshot()
            values = {"x": x}
            for fire in self._fires:
                name = f"fired_{fire.name}"
                values[fire.name] = after[name] - before[name]
                total[fire.name] = total[fire.name] + values[fire.name]
            self._derive(values)
            operations.append(
                sum(int(self._fans[n.name][values[n.input] != 0].sum()) for n in self._layers)
            )
            spikes.append(sum(int(values[fire.name].sum()) for fire in self._fires))
            before = after
        most = max(int(times.max()) for times in total.values())
        return Counted(label, np.array(outputs), np.array(operations), np.array(spikes), most)

    def _derive(self, values: dict[str, Tensor]) -> None:
        """Add the outputs of pools and the like, which follow from the spikes."""
        for node in self._program.nodes:
            if isinstance(node, (Pool, Upsample, Concat)):
                given = [values[name][None] for name in node.reads]
                values[node.name] = node.run(self._program, given, {})[0][0]
            else:
                assert not (isinstance(node, Add) and node.threshold), "fires more than once"
