"""From nothing to a live network: bars that move over a sensor, told by how they lean.

    python docs/examples/bars.py recordings      # 4 x 60 to train on, 4 x 25 others
    python docs/examples/bars.py snntorch        # trains, writes bars.nir
    python docs/examples/bars.py spikingjelly    # trains, writes bars_sj.json and its files

docs/your-network.md goes on from here. Everything is written to the folder bars.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgesnn.events import Events, events_from_arrays
from edgesnn.senses.encoder import Encoder, EncoderSpec
from edgesnn.sources.npz_write import npz_from_events
from edgesnn.sources.reading import read_recording

LABELS = ("upright", "leans right", "lies", "leans left")
SIDE, STEP_US, STEPS, HIGHEST = 32, 10_000, 50, 3
THRESHOLD = 0.3  # low enough that spikes reach the last layer before anything was learned
OUT = Path("bars")


def bar(rng: np.random.Generator, label: int) -> Events:
    """Return the events of a bar that moves at right angles to itself for half a second."""
    angle = np.deg2rad(45 * label + rng.normal(0, 6))
    along, across = (np.sin(angle), -np.cos(angle)), (np.cos(angle), np.sin(angle))
    length, speed = rng.uniform(8, 14), rng.uniform(30, 70) * rng.choice([-1, 1])
    middle = rng.uniform(-4, 4, 2) + SIDE / 2
    y, x = np.mgrid[:SIDE, :SIDE]
    x, y = x - middle[0], y - middle[1]
    covered, found = np.zeros((SIDE, SIDE), bool), []
    for ms in range(500):
        away = x * across[0] + y * across[1] - speed * (ms / 1e3 - 0.25)
        now = (abs(away) < 1.5) & (abs(x * along[0] + y * along[1]) < length)
        noise = rng.random(now.shape) < 2e-4
        rows, columns = np.nonzero((now != covered) | noise)
        us = 1000 * ms + rng.integers(1, 1000, len(rows))
        found.append(np.stack([us, columns, rows, now[rows, columns]]))
        covered = now
    t, x, y, p = np.concatenate(found, axis=1)
    order = np.argsort(t, kind="stable")
    return events_from_arrays(t[order], x[order], y[order], p[order])


def write_recordings(train: int = 60, test: int = 25) -> None:
    """Write so many of each label, and the labels.csv that calibration and `eval` read."""
    if OUT.exists():
        sys.exit(f"{OUT} is there already: delete it to begin anew")
    rng = np.random.default_rng(0)
    for folder, each in ((OUT / "train", train), (OUT / "test", test)):
        folder.mkdir(parents=True)
        lines = ["file,label"]
        for number in range(each * len(LABELS)):
            label = number % len(LABELS)
            npz_from_events(folder / f"{number}.npz", bar(rng, label), (SIDE, SIDE))
            lines.append(f"{number}.npz,{label}")
        (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    (OUT / "labels.txt").write_text("\n".join(LABELS) + "\n")
    print(f"{OUT}: recordings of {', '.join(LABELS)}")


def clips(folder: Path) -> tuple[Tensor, Tensor]:
    """Return x, (T, recordings, 2, SIDE, SIDE), as edgesnn counts it, and labels."""
    levels = tuple(min(count, HIGHEST) for count in range(256))
    encoder = Encoder(EncoderSpec((SIDE, SIDE), levels), (2, SIDE, SIDE), (SIDE, SIDE))
    xs, labels = [], []
    for line in (folder / "labels.csv").read_text().splitlines()[1:]:
        name, label = line.split(",")
        events = read_recording(folder / name).in_memory()
        step = (events["t"] - 1) // STEP_US
        xs.append(np.stack([encoder.encode(events[step == t]) for t in range(STEPS)]))
        labels.append(int(label))
    return torch.tensor(np.stack(xs, axis=1), dtype=torch.float32), torch.tensor(labels)


def trained(net: nn.Module, forget: Any, epochs: int) -> nn.Module:
    """Train on how often each of the last neurons fires."""
    (xs, labels), (other, wanted) = clips(OUT / "train"), clips(OUT / "test")
    optimiser = torch.optim.Adam(net.parameters(), lr=2e-3)
    for epoch in range(epochs):
        for batch in torch.randperm(len(labels)).split(40):
            forget(net)
            spikes = sum(net(x) for x in xs[:, batch])
            loss = nn.functional.cross_entropy(spikes / 3, labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            forget(net)
            right = (sum(net(x) for x in other).argmax(1) == wanted).float().mean()
        print(f"epoch {epoch + 1}: loss {loss:.3f}, others {100 * right:.0f} % right")
    forget(net)
    return net


def with_snntorch(epochs: int) -> None:
    """Train with snnTorch and export a NIR graph."""
    import nir
    import snntorch as snn
    from snntorch import utils
    from snntorch.export_nir import export_to_nir

    def neurons(*shape: int) -> snn.Leaky:
        # The exporter wants parameters of the neurons' own shape.
        beta, threshold = torch.full(shape, 0.8), torch.full(shape, THRESHOLD)
        return snn.Leaky(beta, threshold=threshold, init_hidden=True)

    net = nn.Sequential(
        nn.Conv2d(2, 8, 5, stride=2),
        neurons(8, 14, 14),
        nn.Conv2d(8, 16, 3, stride=2),
        neurons(16, 6, 6),
        nn.Flatten(),
        nn.Linear(16 * 6 * 6, len(LABELS)),
        neurons(len(LABELS)),
    )
    trained(net, utils.reset, epochs)
    graph = export_to_nir(net, torch.zeros(1, 2, SIDE, SIDE), ignore_dims=[0])
    nir.write(OUT / "bars.nir", graph)
    print(f"{OUT / 'bars.nir'}: now edgesnn import, as docs/your-network.md says")


def with_spikingjelly(epochs: int) -> None:
    """Train with SpikingJelly and write a bundle without a file between."""
    from spikingjelly.activation_based import functional, layer, neuron

    from edgesnn.decide.evidence import ReadoutSpec
    from edgesnn.quantize import from_spikingjelly
    from edgesnn.quantize.save import save_bundle

    def neurons() -> neuron.LIFNode:
        return neuron.LIFNode(tau=5.0, decay_input=False, v_threshold=THRESHOLD, v_reset=None)

    net = nn.Sequential(
        layer.Conv2d(2, 8, 5, stride=2),
        neurons(),
        layer.Conv2d(8, 16, 3, stride=2),
        neurons(),
        layer.Flatten(),
        layer.Linear(16 * 6 * 6, len(LABELS)),
        neurons(),
    )
    trained(net, functional.reset_net, epochs)
    shape = (2, SIDE, SIDE)
    made = from_spikingjelly(net.eval(), shape, name="bars_sj", step_us=STEP_US, highest=HIGHEST)
    for row in made.layers:
        print(f"{row.was}: {row.became}")
    levels = tuple(min(count, HIGHEST) for count in range(256))
    readout = ReadoutSpec(  # a label holds from 70 % on and until it falls below 40 %
        LABELS,
        scale=1.0,
        decay_shift=5,
        enter=0.7,
        leave=0.4,
        quiet_events=20,
        quiet_us=100_000,
        nothing="no bar",
    )
    encoder = EncoderSpec((SIDE, SIDE), levels)
    save_bundle(OUT, "bars_sj", made.program, encoder, readout, {"task": "how a bar leans"})
    print(f"{OUT / 'bars_sj.json'}: edgesnn run {OUT / 'bars_sj.json'} --file {OUT}/test/0.npz")


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["recordings", "snntorch", "spikingjelly"])
    parser.add_argument("--epochs", type=int, default=16)
    given = parser.parse_args()
    torch.manual_seed(0)
    if given.what == "recordings":
        write_recordings()
    else:
        try:
            (with_snntorch if given.what == "snntorch" else with_spikingjelly)(given.epochs)
        except ImportError as error:
            sys.exit(f"{error}: docs/your-network.md says what to install")


if __name__ == "__main__":
    main()
