"""How many units of an integer score are worth one nat, so that confidence is honest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def calibrated_scale(evidence: NDArray[np.int64], labels: NDArray[np.int64], unit: float) -> float:
    """Return score units per nat that minimise the mean cross entropy (temperature scaling).

    evidence: (examples, moments, classes); labels: (examples,); unit: value of one score unit in
    logits, from training. Guo et al., ICML 2017, "On calibration of modern neural networks".
    """
    logits = evidence.astype(float) * unit
    target = np.broadcast_to(labels[:, None, None], (*logits.shape[:2], 1))

    def cross_entropy(temperature: float) -> float:
        z = logits / temperature
        z = z - z.max(axis=2, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(axis=2, keepdims=True))
        return float(-np.take_along_axis(log_p, target, 2).mean())

    temperature = min(np.geomspace(0.25, 16, 49), key=cross_entropy)
    return float(round(temperature / unit, 1))
