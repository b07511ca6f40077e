"""Integer programs for tests: random ones of every kind of node, and one of the gesture shape.

Thresholds are taken from sums that random inputs really reach, so that about every fourth neuron
fires and comparisons meet ties.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.random import Generator

from edgesnn.decide.evidence import ReadoutSpec
from edgesnn.hardware.reference import run_sequence
from edgesnn.program import (
    KEEP_UNIT,
    LEAK_UNIT,
    Add,
    Concat,
    Fire,
    Integrate,
    Layer,
    Leaky,
    Node,
    Pool,
    Program,
    Tensor,
    Upsample,
)
from edgesnn.program.kinds.integrate import RESETS
from edgesnn.senses.encoder import EncoderSpec

STEPS = 10


def frames(program: Program, steps: int, seed: int, density: float = 0.2) -> Tensor:
    """Return random inputs, uint8 (steps, *input shape): mostly 0, else 1 to input_high."""
    rng = np.random.default_rng(seed)
    shape = (steps, *program.input_shape)
    counts = rng.integers(1, program.input_high + 1, shape)
    return (counts * (rng.random(shape) < density)).astype(np.uint8)


class Builder:
    """Adds nodes one by one and gives every comparison thresholds that its sums reach."""

    def __init__(self, rng: Generator, shape: tuple[int, int, int], high: int) -> None:
        self.rng = rng
        self.shape = shape
        self.high = high
        self.nodes: list[Node] = []
        self.tensors: dict[str, Tensor] = {}

    def program(self, name: str = "random", step_us: int = 10_000) -> Program:
        return Program(
            name=name,
            step_us=step_us,
            input_shape=self.shape,
            input_high=self.high,
            nodes=tuple(self.nodes),
            output=self.nodes[-1].name,
            tensors=self.tensors,
        )

    def shape_of(self, name: str) -> tuple[int, ...]:
        return self.shape if name == "x" else self.program().values[name].shape

    def add(self, node: Node) -> str:
        self.nodes.append(node)
        return node.name

    def firing_once(self, name: str, source: str) -> str:
        """Add neurons on sums; thresholds at about the 60 % quantile of the summed sums."""
        xs = frames(self.program(), STEPS, int(self.rng.integers(2**31)))
        total = np.moveaxis(run_sequence(self.program(), xs).cumsum(axis=0), 1, -1)
        total = np.sort(total.reshape(-1, total.shape[-1]), axis=0)
        theta = np.maximum(total[len(total) * 6 // 10], 1).astype(np.int32)
        self.tensors[f"theta_{name}"] = theta
        return self.add(Fire(name, source, f"theta_{name}"))

    def leaking(self, name: str, source: str) -> str:
        """Add leaky neurons on sums; thresholds at about their 70 % quantile, random currents."""
        xs = frames(self.program(), STEPS, int(self.rng.integers(2**31)))
        sums = np.moveaxis(run_sequence(self.program(), xs), 1, -1)
        sums = np.sort(sums.reshape(-1, sums.shape[-1]), axis=0)
        theta = np.maximum(sums[len(sums) * 7 // 10], 1).astype(np.int32)
        keep = int(self.rng.choice([0, 100, 128, 192, 250]))
        most = (theta.astype(np.int64) * (LEAK_UNIT - keep) - 1) // LEAK_UNIT
        self.tensors[f"theta_{name}"] = theta
        current = self.rng.integers(-2 * most - 1, most + 1)
        self.tensors[f"current_{name}"] = current.astype(np.int32)
        return self.add(Leaky(name, source, f"theta_{name}", f"current_{name}", keep))

    def integrating(self, name: str, source: str) -> str:
        """Add neurons of any leak, reset and finer bits on sums; some fire without input."""
        xs = frames(self.program(), STEPS, int(self.rng.integers(2**31)))
        sums = np.moveaxis(run_sequence(self.program(), xs), 1, -1)
        sums = np.sort(sums.reshape(-1, sums.shape[-1]), axis=0)
        largest = self.program().values[source].largest
        tried = (*self.rng.permutation([0, 3, 6]).tolist(), 0)
        bits = next(bits for bits in tried if largest << bits < 2**27)
        theta = np.maximum(sums[len(sums) * 7 // 10].astype(np.int64) << bits, 1)
        self.tensors[f"theta_{name}"] = theta.astype(np.int32)
        current = self.rng.integers(-theta // 3, theta // 3 + 1)
        self.tensors[f"current_{name}"] = (current * self.rng.integers(0, 2)).astype(np.int32)
        keep = int(self.rng.choice([0, 1000, 3900, KEEP_UNIT, KEEP_UNIT]))
        reset = str(self.rng.choice(RESETS))
        drop = None
        if reset == "subtract" and len(theta) % 2:
            drop = f"drop_{name}"
            self.tensors[drop] = (self.tensors[f"theta_{name}"] * 3 // 2 + 1).astype(np.int32)
        if leak := f"leak_{name}" if self.rng.random() < 0.3 else None:
            keep = KEEP_UNIT
            self.tensors[leak] = self.rng.integers(0, KEEP_UNIT + 1, len(theta)).astype(np.int32)
        most = int(self.rng.choice([1, 1, 3, 200])) if drop is None else 1
        rest = keep, bits, reset, drop, leak, most
        return self.add(Integrate(name, source, f"theta_{name}", f"current_{name}", *rest))

    def spiking(self, node: Layer | Add) -> str:
        """Add the node with thresholds at about the 75 % quantile of its own sums."""
        self.add(node)
        program = self.program()
        xs = frames(program, STEPS, int(self.rng.integers(2**31)))
        sums = np.moveaxis(run_sequence(program, xs), 1, -1)
        sums = np.sort(sums.reshape(-1, sums.shape[-1]), axis=0)
        theta = np.maximum(sums[len(sums) * 3 // 4], 1).astype(np.int32)
        self.tensors[f"theta_{node.name}"] = theta
        self.nodes[-1] = replace(node, threshold=f"theta_{node.name}")
        return node.name

    def weight(self, name: str, *shape: int) -> str:
        self.tensors[name] = self.rng.integers(-127, 128, shape).astype(np.int8)
        return name

    def delays(self, name: str, *shape: int) -> str:
        self.tensors[name] = self.rng.integers(0, self.rng.integers(1, 9), shape).astype(np.int8)
        return name

    def taps(self, name: str, filters: int, order: int) -> str:
        self.tensors[name] = self.rng.integers(-7, 8, (filters, order)).astype(np.int8)
        return name


def gesture_shaped(seed: int = 0) -> Program:
    """Return a program of the gesture network's shape with random weights: 7.2 M MAC a step."""
    b = Builder(np.random.default_rng(seed), (2, 32, 32), 7)
    b.tensors["delays"] = np.eye(4, dtype=np.int8)
    b.weight("w_motion", 24, 8, 5, 5)
    name = b.spiking(Layer("motion", "x", "w_motion", "delays", stride=2, padding=2))
    for stage, channels in (("near", 24), ("far", 48)):
        if stage == "far":
            b.weight("w_down", 48, 24, 3, 3)
            b.taps("taps_down", 1, 6)
            name = b.spiking(Layer("down", name, "w_down", "taps_down", stride=2, padding=1))
        b.weight(f"w_{stage}", channels, channels, 3, 3)
        for i in (1, 2):
            taps = b.taps(f"taps_{stage}{i}", 1, 6)
            name = b.spiking(Layer(f"{stage}{i}", name, f"w_{stage}", taps, padding=1))
    b.add(Pool("pool", name, 2))
    b.add(Layer("scores", "pool", b.weight("w_scores", 11, 768), op="linear"))
    return b.program("gesture", 25_000)


def fitting(program: Program) -> tuple[EncoderSpec, ReadoutSpec]:
    """Return an encoder and a readout that a bundle of any program may have."""
    levels = tuple(min(n, program.input_high, 7) for n in range(256))
    labels = tuple(f"class {i}" for i in range(int(np.prod(program.output_shape))))
    return replace(ENCODER, levels=levels), replace(READOUT, labels=labels)


def random_program(seed: int) -> Program:
    """Return a program of four to eight nodes; over the seeds every kind and setting occurs."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 4)), int(rng.choice([4, 6, 8])), int(rng.choice([4, 6, 7])))
    b = Builder(rng, shape, int(rng.choice([1, 7, 15, 255])))
    last = _conv(b, "x", 0)
    for i in range(1, int(rng.integers(3, 6))):
        last = _grown(b, last, i)
    return _ended(b, last)


def _order(rng: Generator) -> int:
    return int(rng.choice([1, 2, 4, 6, 8]))


def _taps(b: Builder, source: str, name: str) -> tuple[str | None, int]:
    """Return taps for a layer on `source`, or none, and their number of filters."""
    filters, order = int(b.rng.choice([1, 1, 2, 3])), _order(b.rng)
    if filters == 1 and order == 1 and b.rng.random() < 0.5:
        return None, 1
    if b.rng.random() < 0.3:
        b.tensors[f"taps_{name}"] = np.eye(filters, max(order, filters), dtype=np.int8)
        return f"taps_{name}", filters
    return b.taps(f"taps_{name}", filters, order), filters


def _conv(b: Builder, source: str, i: int, out: int | None = None) -> str:
    """Add a spiking convolution of random size, stride, padding and groups."""
    name = f"conv{i}"
    taps, filters = _taps(b, source, name)
    channels, height, width = b.shape_of(source)
    groups = int(b.rng.choice([1, 1, filters * channels]))
    kernel = int(b.rng.choice([1, 2, 3])) if min(height, width) > 2 else 1
    stride = int(b.rng.choice([1, 1, 2])) if min(height, width) > 3 else 1
    out = (out or int(b.rng.integers(1, 4))) * groups
    weight = b.weight(f"w_{name}", out, filters * channels // groups, kernel, kernel)
    return b.spiking(
        Layer(name, source, weight, taps, stride=stride, padding=kernel // 2, groups=groups)
    )


def _grown(b: Builder, last: str, i: int) -> str:
    """Add one node, or a small motif, on top of `last`, which gives spikes."""
    channels, height, width = b.shape_of(last)
    match int(b.rng.integers(10)):
        case 0 if height % 2 == 0 and width % 2 == 0:
            b.add(Pool(f"or{i}", last, 2, "or"))
            return f"or{i}"
        case 1 if height % 2 == 0 and width % 2 == 0:
            return _conv(b, b.add(Pool(f"sum{i}", last, 2, "sum")), i)
        case 2 if max(height, width) <= 4:
            return b.add(Upsample(f"up{i}", last, 2))
        case 3:
            weight = b.weight(f"w_same{i}", channels, channels, 3, 3)
            for part in "ab":
                taps = b.taps(f"taps_same{i}{part}", 1, _order(b.rng))
                last = b.spiking(Layer(f"same{i}{part}", last, weight, taps, padding=1))
            return last
        case 4:
            parts = []
            for part in "ab":
                weight = b.weight(f"w_part{i}{part}", channels, channels, 1, 1)
                taps = b.taps(f"taps_part{i}{part}", 1, _order(b.rng))
                parts.append(b.add(Layer(f"part{i}{part}", last, weight, taps)))
            return b.spiking(Add(f"add{i}", tuple(parts)))
        case 6 | 8 | 9 as kind:
            taps, filters = _taps(b, last, f"sums{i}")
            weight = b.weight(f"w_sums{i}", 3, filters * channels, 1, 1)
            b.add(Layer(f"sums{i}", last, weight, taps))
            if kind == 8:
                return b.leaking(f"leaky{i}", f"sums{i}")
            if kind == 9:
                return b.integrating(f"integrate{i}", f"sums{i}")
            return b.firing_once(f"once{i}", f"sums{i}")
        case 5:
            weight = b.weight(f"w_side{i}", 2, channels, 1, 1)
            side = b.spiking(Layer(f"side{i}", last, weight))
            return b.add(Concat(f"cat{i}", (last, side)))
    return _conv(b, last, i)


def _ended(b: Builder, last: str) -> Program:
    """Add an output: linear or convolutional, sums or spikes."""
    shape = b.shape_of(last)
    if b.rng.random() < 0.3:
        size = (6, int(np.prod(shape)))
        taps = b.taps("taps_late", 1, _order(b.rng)) if b.rng.random() < 0.5 else None
        delays = b.delays("delays_late", *size)
        late = Layer("late", last, b.weight("w_late", *size), taps, op="linear", delays=delays)
        last, shape = b.spiking(late), (6,)
        end = Layer("end", last, b.weight("w_end", 5, 6), None, op="linear")
        b.add(replace(end, delays=b.delays("delays_end", 5, 6)))
        return b.program()
    taps, filters = _taps(b, last, "end")
    if b.rng.random() < 0.5:
        weight = b.weight("w_end", 5, filters * int(np.prod(shape)))
        end = Layer("end", last, weight, taps, op="linear")
    else:
        weight = b.weight("w_end", 5, filters * shape[0], 1, 1)
        end = Layer("end", last, weight, taps)
    if b.rng.random() < 0.3:
        b.spiking(end)
    else:
        b.add(end)
    return b.program()


LABELS = (
    "hand clapping",
    "right hand wave",
    "left hand wave",
    "right arm clockwise",
    "right arm counter-clockwise",
    "left arm clockwise",
    "left arm counter-clockwise",
    "arm roll",
    "air drums",
    "air guitar",
    "other gestures",
)
ENCODER = EncoderSpec(sensor=(128, 128), levels=tuple(min(n, 7) for n in range(256)))
READOUT = ReadoutSpec(LABELS, 20_000.0, 4, 0.7, 0.4, 150, 200_000, "no gesture")


if __name__ == "__main__":  # python -m tests.programs DIR: a bundle to run before training is done
    from edgesnn.quantize.save import save_bundle

    save_bundle(Path(sys.argv[1]), "gesture", gesture_shaped(), ENCODER, READOUT, {"task": "none"})
