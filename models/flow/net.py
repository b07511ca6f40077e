"""The flow network: time in the first layer's windows, spikes between layers, sums that add up.

x          (2 BINS, H, W)           event counts of the two halves of a step of 10 ms, 7 at most
windows    sums over 1 (eight times), 2, 4, 4 and 6 steps of growing age   taps of 0 and 1: 240 ms
near       5x5 stride 2             -> (32, H/2, W/2)
middle     3x3 stride 2 on near now, 2 and 4 steps ago     -> (48, H/4, W/4)
far        3x3 stride 2 on middle now, 2 and 4 steps ago   -> (96, H/8, W/8)
deep1,2    3x3, one kernel for both -> (96, H/8, W/8)
middle_up  3x3 on middle and deep2  -> (48, H/4, W/4)
near_up    3x3 on near and middle_up-> (32, H/2, W/2)
flow       3x3 of deep2 + 3x3 of middle_up + 1x1 of near_up -> (3, H/2, W/2) integer sums

After Cuadrado et al. 2023: a U-Net of binary activations whose temporal filters take the place of
recurrence, and predictions from coarse to fine that add up. The three predictors share one unit, so
that their sums can be added as integers, and have no bias: no spikes, no flow.

Motion spans three decades, and sums of spikes do not: the first two outputs are the motion v (cells
per step) with its length compressed,

    g = asinh(|v| / SLOW) v / |v|          v = SLOW sinh(|g|) g / |g|

linear for slow motion and logarithmic for fast. The third is the evidence c: the error of g to
expect is exp(-c). What is told is smoothed by it, see `smoothed`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesnn.decide.motion_field import FASTEST_G, UNSEEN
from edgesnn.quantize.straight_through import round_through

from ..layers.psn import WEIGHT_LIMIT, QuantWeight, SpikingConv, Threshold

BINS = 2
Windows = tuple[tuple[int, int], ...]
WIDE: Windows = ((0, 1), (1, 2), (2, 4), (4, 8), (8, 14), (14, 24))
"""First and last age (exclusive) of the inputs that a window sums, in steps, when a training
begins."""
MIDDLE: Windows = ((0, 1), (1, 2), (2, 3), (3, 4), (4, 6), (6, 8), (8, 14), (14, 24))
"""Parts of them, with which it goes on."""
WINDOWS: Windows = (*((age, age + 1) for age in range(8)), (8, 10), (10, 14), (14, 18), (18, 24))
"""Parts of these, with which it ends."""
DELAYS = (0, 2, 4)
"""Ages of the spikes that `middle` and `far` read, in steps."""
AGES = tuple(sorted({a + b for a in DELAYS for b in DELAYS}))
"""Ages at which `near` must have seen the input for one output."""
MEMORY = WINDOWS[-1][1] + AGES[-1]
SLOW = 0.05
"""Cells per step below which motion is told in proportion and above which by its logarithm."""
REACH = 3.0
"""Standard deviation of what is smoothed over, in places."""
OUTPUTS = 3
LAYERS = ("near", "middle", "far", "deep1", "deep2", "middle_up", "near_up")


def compressed(flow: Tensor) -> Tensor:
    """Return g of motion (B, 2, h, w) in cells per step; see the module's head."""
    speed = (flow.square().sum(1, keepdim=True) + 1e-12).sqrt()
    return flow * (torch.asinh(speed / SLOW) / speed)


def expanded(g: Tensor) -> Tensor:
    """Return the motion of g, (B, 2, h, w), cells per step."""
    length = (g.square().sum(1, keepdim=True) + 1e-12).sqrt()
    return g * (SLOW * torch.sinh(length) / length)


def smoothed(y: Tensor, seen: Tensor) -> Tensor:
    """Return motion (B, 2, h, w), cells per step, of y (B, 3, h, w) as it is told.

    Normalised convolution (Knutsson and Westin 1993) with a Gaussian of REACH places; a place
    counts as exp(2c), the inverse of the square of the error that it expects, and as little as
    UNSEEN where seen (B, h, w) is 0. `edgesnn.decide.motion_field` does the same live.
    """
    weight = torch.exp(2 * y[:, 2:].clamp(-2, 4)) * seen[:, None].clamp_min(UNSEEN)
    motion = expanded(y[:, :2].clamp(-FASTEST_G, FASTEST_G))
    rows, columns = (_gaussian(side, y) for side in y.shape[2:])
    total: Tensor = rows @ torch.cat([motion * weight, weight], 1) @ columns
    return total[:, :2] / total[:, 2:]


def _gaussian(side: int, like: Tensor) -> Tensor:
    at = torch.arange(side, dtype=like.dtype, device=like.device)
    return torch.exp(-0.5 * ((at[:, None] - at) / REACH).square())


@dataclass(frozen=True, slots=True)
class FlowShape:
    """What the study varies; the network that ships is the default.

    windows: see WINDOWS. shared: one kernel for the residual pair. separable: the first layer's
    weights are the product of a kernel in space and one in time. scales: predictions that are added
    up, the finest first. graded: activations are rectified instead of spikes; such a network is no
    integer program.
    """

    windows: Windows = WINDOWS
    shared: bool = True
    separable: bool = False
    scales: int = 3
    graded: bool = False


AS_SHIPPED = FlowShape()


def split_windows(weight: Tensor, wide: Windows, narrow: Windows) -> Tensor:
    """Return a first layer's weights (out, windows * inputs, kh, kw) for windows that are parts.

    Each window of `narrow` lies in one of `wide` and takes its weights, so the layer computes what
    it did: a sum over a window is the sum of its parts'.
    """
    of_window = dict(zip(wide, weight.chunk(len(wide), 1), strict=True))
    parts = [
        next(w for (begin, end), w in of_window.items() if begin <= first and last <= end)
        for first, last in narrow
    ]
    return torch.cat(parts, 1)


class SeparableWeight(QuantWeight):
    """int8 weights (out, windows * inputs, kh, kw): a kernel in space times one in time."""

    def __init__(self, out: int, windows: int, inputs: int, size: int) -> None:
        nn.Module.__init__(self)
        self.per_channel = True
        self.space = nn.Parameter(torch.empty(out, 1, inputs, size, size))
        nn.init.kaiming_uniform_(self.space, a=math.sqrt(3.0))
        self.time = nn.Parameter(torch.randn(out, windows, 1, 1, 1))

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """The product of the two: (out, windows * inputs, kh, kw)."""
        return (self.time * self.space).flatten(1, 2)


class BusyThreshold(Threshold):
    """Batch norm and comparison whose statistics are those of the cells where something happens.

    Most cells of most moments are silent and stay so, whatever the threshold; counted among the
    others they would make it depend on how empty a scene is. graded: rectified instead of compared.
    """

    def __init__(self, channels: int, graded: bool = False) -> None:
        super().__init__(channels)
        if graded:
            self.activation = torch.relu

    def forward(self, h: Tensor) -> Tensor:
        """Take h, (..., channels), integers in float32; return spikes of the same shape."""
        flat = h.reshape(-1, h.shape[-1])
        busy = (flat != 0).any(1).nonzero()[:, 0]
        if self.training and len(busy) < 2:
            return torch.zeros_like(h)
        spikes = torch.zeros_like(flat).index_copy(0, busy, super().forward(flat[busy]))
        return spikes.view(h.shape)


class FlowNet(nn.Module):
    """See the module's head.

    Input: the windows' sums (B, AGES, windows * 2 BINS, H, W) now and at earlier ages, newest
    first and filter-major. So a batch is of single moments. H, W: multiples of 8. Output: the
    running sums from coarse to fine, each (B, 3, H/2, W/2).
    """

    def __init__(
        self, near: int = 32, middle: int = 48, far: int = 96, shape: FlowShape = AS_SHIPPED
    ) -> None:
        super().__init__()
        self.sizes, self.shape = (near, middle, far), shape
        windows, inputs = shape.windows, 2 * BINS
        if shape.separable:
            first: QuantWeight = SeparableWeight(near, len(windows), inputs, 5)
        else:
            first = QuantWeight(near, inputs * len(windows), 5, 5)
        with torch.no_grad():  # a window of n steps holds n times the events
            for m, (begin, end) in enumerate(windows):
                if isinstance(first, SeparableWeight):
                    first.time[:, m] /= end - begin
                else:
                    first.weight[:, inputs * m : inputs * (m + 1)] /= end - begin
        deep = QuantWeight(far, far, 3, 3)
        deep2 = deep if shape.shared else QuantWeight(far, far, 3, 3)
        self.layers = nn.ModuleDict(
            {
                "near": SpikingConv(first, stride=2),
                "middle": SpikingConv(QuantWeight(middle, len(DELAYS) * near, 3, 3), stride=2),
                "far": SpikingConv(QuantWeight(far, len(DELAYS) * middle, 3, 3), stride=2),
                "deep1": SpikingConv(deep),
                "deep2": SpikingConv(deep2),
                "middle_up": SpikingConv(QuantWeight(middle, middle + far, 3, 3)),
                "near_up": SpikingConv(QuantWeight(near, near + middle, 3, 3)),
            }
        )
        for layer in self.layers.values():
            assert isinstance(layer, SpikingConv)
            layer.threshold = BusyThreshold(layer.shared.weight.shape[0], shape.graded)
        kernels = ((far, 3), (middle, 3), (near, 1))
        self.predictors = nn.ModuleList([QuantWeight(OUTPUTS, c, k, k) for c, k in kernels])
        with torch.no_grad():
            for predictor in self.predictors:
                predictor.weight.mul_(0.2)  # type: ignore[operator]

    def forward(self, windows: Tensor) -> list[Tensor]:
        """Take the windows' sums; return the predictions' running sums, coarse to fine."""
        near = self._at_ages("near", dict(zip(AGES, windows.unbind(1), strict=True)))
        middle = self._at_ages("middle", _delayed(near))
        far = self._at_ages("far", _delayed(middle))
        deep = self._layer("deep2", self._layer("deep1", far[0]))
        middle_up = self._layer("middle_up", torch.cat([middle[0], _up(deep, 2)], 1))
        near_up = self._layer("near_up", torch.cat([near[0], _up(middle_up, 2)], 1))
        coarse, fine, finest = (
            F.conv2d(x, w, padding=w.shape[-1] // 2)
            for x, w in zip((deep, middle_up, near_up), self.predictor_integers(), strict=True)
        )
        parts = [_up(coarse, 4), _up(fine, 2), finest][-self.shape.scales :]
        return [s * self.unit() for s in accumulate(parts)]

    def _at_ages(self, name: str, inputs: dict[int, Tensor]) -> dict[int, Tensor]:
        """Run a layer at several ages at once, as one batch: its threshold is the same for all."""
        spikes: Tensor = self.layers[name](torch.stack(tuple(inputs.values())))
        return dict(zip(inputs, spikes, strict=True))

    def _layer(self, name: str, x: Tensor) -> Tensor:
        spikes: Tensor = self.layers[name](x[None])[0]
        return spikes

    def predictor_integers(self) -> list[Tensor]:
        """The predictors' weights in their one unit, integers in [-127, 127], straight-through."""
        unit = self.unit()
        return [round_through(weight / unit) for weight in self._predictor_weights()]

    def unit(self) -> Tensor:
        """Value of one integer of the output."""
        peaks = [weight.detach().abs().amax() for weight in self._predictor_weights()]
        return torch.stack(peaks).amax().clamp_min(1e-8) / WEIGHT_LIMIT

    def _predictor_weights(self) -> list[Tensor]:
        return [p.weight for p in self.predictors if isinstance(p, QuantWeight)]

    def rates(self) -> list[Tensor]:
        """Spikes per neuron of each layer at the last forward pass."""
        return [layer.rate for layer in self.layers.values()]  # type: ignore[misc]


def _delayed(spikes: dict[int, Tensor]) -> dict[int, Tensor]:
    """Stack the spikes of DELAYS along the channels, wherever all of them are known."""
    ages = [age for age in spikes if all(age + delay in spikes for delay in DELAYS)]
    return {age: torch.cat([spikes[age + delay] for delay in DELAYS], 1) for age in ages}


def _up(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="nearest")
