"""A network of SpikingJelly's, trained on MNIST here, in floats and as the integers it becomes.

    python benchmarks/import_mnist.py --data DIR [--epochs 2] [--limit 10000]

DIR holds MNIST's four IDX files (or FashionMNIST's). The network, with a spike-element-wise
residual block, is trained in multi-step mode with SpikingJelly on the 60,000 training images:
pixels are counts of 0 to 3 events in each of 8 steps. Printed: how many of the test images the
module itself and the integer program on the event engine get right, and how often they agree. Needs
the extras `bench` and `test`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import Tensor, nn

from edgesnn.hardware.events import EventsModel
from edgesnn.quantize import from_spikingjelly
from edgesnn.sources.idx import read_idx

STEPS, HIGHEST, BATCH = 8, 3, 128
SHAPE = (1, 28, 28)


class Net(nn.Module):  # type: ignore[misc]
    """Two strided convolutions, a residual block (ADD), a linear readout of neurons."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = layer.Conv2d(1, 12, 5, stride=2, padding=2, bias=False)
        self.conv2 = layer.Conv2d(12, 24, 3, stride=2, padding=1, bias=False)
        self.conv3 = layer.Conv2d(24, 24, 3, padding=1, bias=False)
        self.norm1, self.norm2, self.norm3 = (layer.BatchNorm2d(n) for n in (12, 24, 24))
        self.fc = layer.Linear(24 * 49, 10, bias=False)
        self.fires = nn.ModuleList(neuron.LIFNode(tau=2.0, v_reset=None) for _ in range(4))

    def forward(self, x: Tensor) -> Any:
        """Take (T, B, 1, 28, 28) in multi-step mode, (B, 1, 28, 28) in single steps."""
        x = self.fires[0](self.norm1(self.conv1(x)))
        x = self.fires[1](self.norm2(self.conv2(x)))
        out = self.fires[2](self.norm3(self.conv3(x)))
        out = out + x
        return self.fires[3](self.fc(out.flatten(-3)))


def images(folder: Path, which: str) -> tuple[Tensor, Tensor]:
    """Return counts (n, 1, 28, 28) and labels."""
    found = [
        next(iter(sorted(folder.glob(f"{which}-{name}*"))))
        for name in ("images-idx3", "labels-idx1")
    ]
    counts = np.rint(read_idx(found[0], 3) / 255.0 * HIGHEST).astype(np.float32)
    return torch.from_numpy(counts[:, None]), torch.from_numpy(read_idx(found[1], 1).astype(int))


def trained(folder: Path, epochs: int) -> Net:
    """Train on all of the training images."""
    torch.manual_seed(0)
    net, (xs, labels) = Net(), images(folder, "train")
    functional.set_step_mode(net, "m")
    optimiser = torch.optim.Adam(net.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * len(xs) // BATCH)
    for epoch in range(epochs):
        losses = []
        for at in torch.randperm(len(xs)).split(BATCH):
            functional.reset_net(net)
            spikes = net(xs[at].expand(STEPS, *xs[at].shape)).sum(0)
            loss = nn.functional.cross_entropy(spikes, labels[at])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
        print(f"epoch {epoch + 1} of {epochs}: loss {np.mean(losses):.3f}", flush=True)
    functional.reset_net(net)
    return net.eval()


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--limit", type=int, default=10_000)
    given = parser.parse_args()
    net = trained(given.data, given.epochs)
    xs, labels = images(given.data, "t10k")
    xs, labels = xs[: given.limit], labels[: given.limit]
    answers = []
    with torch.no_grad():
        for part in xs.split(500):
            functional.reset_net(net)
            answers.append(net(part.expand(STEPS, *part.shape)).sum(0).argmax(1))
    told = torch.cat(answers).numpy()
    made = from_spikingjelly(net, SHAPE, name="mnist_sj", step_us=1000, highest=HIGHEST)
    stream, found = EventsModel(made.program).stream(), []
    for x in xs.numpy().astype(np.uint8):
        stream.reset()
        found.append(sum(stream.step(x).astype(np.int64) for _ in range(STEPS)).argmax())
    right = [100 * float(np.mean(one == labels.numpy())) for one in (told, np.array(found))]
    same = 100 * float(np.mean(told == np.array(found)))
    shares = f"module {right[0]:.2f} % right, integers {right[1]:.2f} %"
    print(f"{len(labels):,} images: {shares}, the same answer {same:.2f} %")


if __name__ == "__main__":
    main()
