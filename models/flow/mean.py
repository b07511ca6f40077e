"""The mean of networks that come of one another, which errs less than each of them.

Wortsman et al. 2022, "Model soups: averaging weights of multiple fine-tuned models improves
accuracy without increasing inference time".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ..checkpoints import write_checkpoint
from .checkpoint import begin_with
from .data import Moments
from .net import FlowNet
from .recipe import SEVENTH
from .scenes import Mix

SETTLED = 400
"""Batches from which an averaged network's statistics are taken."""
_SEED, _EACH = 8, 24


def settle(net: FlowNet, batches: Iterable[Tensor]) -> None:
    """Take the statistics of thresholds anew, the mean over all batches (Wu and Johnson 2021).

    Those of an average of networks are no average of theirs, and what a training keeps is that of
    its last few batches: another draw of these moved the error on recordings by a tenth.
    """
    net.train()
    thresholds = [layer.threshold for layer in net.layers.values()]
    with torch.no_grad():
        for done, windows in enumerate(batches):
            for threshold in thresholds:
                threshold.momentum = 1 / (done + 1)  # type: ignore[union-attr]
            net(windows.float())


def write_mean(checkpoints: Sequence[Path], out: Path, mix: Mix = SEVENTH.mix) -> None:
    """Write the mean of checkpoints to OUT/last.pt; windows of earlier stages are split."""
    nets = [FlowNet() for _ in checkpoints]
    for net, path in zip(nets, checkpoints, strict=True):
        begin_with(net, path)
    states = [net.state_dict() for net in nets]
    mean = FlowNet()
    mean.load_state_dict({name: sum(s[name] for s in states) / len(states) for name in states[0]})
    batches = DataLoader(Moments(_SEED, mix=mix, each=_EACH), batch_size=SEVENTH.batch)
    settle(mean, (windows for windows, _, _ in islice(batches, SETTLED)))
    windows = [list(window) for window in mean.shape.windows]
    state = {"net": mean.state_dict(), "sizes": list(mean.sizes), "windows": windows}
    write_checkpoint(out, state | {"mean_of": [path.parent.name for path in checkpoints]})
