"""One training step, forward and backward: our sliding-PSN layers and SpikingJelly's, side by side.

    python benchmarks/training_vs_spikingjelly.py [--steps 8 32 128] [--rounds 15] [--threads 1]

Both train the same network: three convolutions of 3 x 3 (the last of stride 2), each with a sliding
PSN of order 6 behind it, and a linear map, on one batch. SpikingJelly runs as its authors recommend
on a CPU: multi-step mode, batch norm, SlidingPSN. Ours also rounds weights and taps to the integers
that they become. SpikingJelly has no synaptic delays: a layer of them, 128 to 128 with up to 25
steps, is compared with its authors' package (dcls) on the same spikes. Rounds alternate; medians,
and the ratio with its quartiles. Needs the extras `bench` and `test`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from edgesnn.models.layers.delays import DelayedWeight
from edgesnn.models.layers.psn import QuantWeight, SpikingConv

CHANNELS, SIDE, BATCH, ORDER, CLASSES = 24, 16, 8, 6, 10
WIDE, SPAN = 128, 25


class Ours(nn.Module):
    """Layers of models/layers/psn.py; (T, B, 2, SIDE, SIDE) to scores (B, CLASSES)."""

    def __init__(self) -> None:
        super().__init__()
        shapes = ((2, 1), (CHANNELS, 1), (CHANNELS, 2))
        self.layers = nn.Sequential(
            *(
                SpikingConv(QuantWeight(CHANNELS, inputs, 3, 3), order=ORDER, stride=stride)
                for inputs, stride in shapes
            )
        )
        self.scores = nn.Linear(CHANNELS * (SIDE // 2) ** 2, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of the scores over time."""
        scores: Tensor = self.scores(self.layers(x).flatten(2)).mean(0)
        return scores


def theirs() -> tuple[nn.Module, Callable[[], None]]:
    """Return SpikingJelly's network, and what makes it forget."""
    from spikingjelly.activation_based import functional, layer, neuron

    parts: list[nn.Module] = []
    for inputs, stride in ((2, 1), (CHANNELS, 1), (CHANNELS, 2)):
        parts += [
            layer.Conv2d(inputs, CHANNELS, 3, stride=stride, padding=1, bias=False),
            layer.BatchNorm2d(CHANNELS),
            neuron.SlidingPSN(k=ORDER, step_mode="m"),
        ]
    net = nn.Sequential(*parts, layer.Flatten(), layer.Linear(CHANNELS * (SIDE // 2) ** 2, CLASSES))
    functional.set_step_mode(net, "m")
    return net, lambda: functional.reset_net(net)


class DelaysOurs(nn.Module):
    """A layer of models/layers/delays.py with its bumps still wide; (T, B, WIDE) to the same."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = DelayedWeight(WIDE, WIDE, SPAN, delays="learned")
        self.layer.sigma = SPAN / 2

    def forward(self, x: Tensor) -> Tensor:
        """Return the currents."""
        currents: Tensor = self.layer(x)
        return currents


class DelaysTheirs(nn.Module):
    """The same with dcls."""

    def __init__(self) -> None:
        from DCLS.construct.modules import Dcls1d

        super().__init__()
        self.layer = Dcls1d(
            WIDE, WIDE, kernel_count=1, dilated_kernel_size=SPAN, bias=False, version="gauss"
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the currents."""
        padded = nn.functional.pad(x.permute(1, 2, 0), (SPAN - 1, 0))
        currents: Tensor = self.layer(padded).permute(2, 0, 1)
        return currents


def seconds(net: nn.Module, x: Tensor, loss_of: Callable[[Tensor], Tensor]) -> float:
    """Return how long a step takes, forward and backward."""
    began = time.perf_counter()
    net.zero_grad()
    loss_of(net(x)).backward()
    return time.perf_counter() - began


def told(name: str, steps: int, times: list[tuple[float, float]]) -> str:
    """Return a line of the table; the first two rounds warm up."""
    a, b = np.array(times[2:]).T * 1e3
    low, middle, high = np.percentile(b / a, [25, 50, 75])
    return (
        f"{name:<12} {steps:>4} {np.median(a):>9.1f} {np.median(b):>8.1f}   "
        f"{middle:.2f} ({low:.2f} to {high:.2f})"
    )


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs="+", default=[8, 32, 128])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(given.threads)
    ours, (other, forget) = Ours(), theirs()
    delays, others_delays = DelaysOurs(), DelaysTheirs()
    print(f"batch {BATCH}, {given.threads} threads; ms")
    print(f"{'':<12} {'T':>4} {'edgesnn':>9} {'peer':>8}   peer / edgesnn (quartiles)")
    for steps in given.steps:
        x = (torch.rand(steps, BATCH, 2, SIDE, SIDE) < 0.1).float()
        labels = torch.randint(0, CLASSES, (BATCH,))

        def loss(scores: Tensor, labels: Tensor = labels) -> Tensor:
            of_batch = scores.mean(0) if scores.ndim == 3 else scores
            return nn.functional.cross_entropy(of_batch, labels)

        times = []
        for _ in range(given.rounds + 2):
            forget()
            times.append((seconds(ours, x, loss), seconds(other, x, loss)))
        print(told("sliding PSN", steps, times))
        s = (torch.rand(steps, BATCH, WIDE) < 0.1).float()
        times = [
            (seconds(delays, s, Tensor.sum), seconds(others_delays, s, Tensor.sum))
            for _ in range(given.rounds + 2)
        ]
        print(told("delays", steps, times))


if __name__ == "__main__":
    main()
