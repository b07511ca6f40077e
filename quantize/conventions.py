"""What the same NIR graph means to the frameworks that write it.

A graph holds continuous neurons, tau dv/dt = (v_leak - v) + r I, and frameworks step them in ways
of their own. With dt = one step:

    nir       by Euler, as the paper does (Pedersen et al., Nature Communications 2024):
              keep = 1 - dt / tau, gain = r dt / tau; a potential at the threshold fires
    sinabs    time constants are in steps: keep = exp(-1 / tau), gain = r (it reads norm_input as
              False, which no graph says); as many spikes as fit, reset by subtraction
    rockpool  keep = exp(-dt / tau); inputs of a synapse decay with it, I = keep_syn (I + X); r is
              what its exporter makes of a gain of 1, tau exp(-dt / tau) / dt; spikes as sinabs
    snntorch  by Euler in steps of 100 us, whatever a step is here: its exporter writes beta so;
              only a potential above the threshold fires, and the reset comes a step late
    norse     by Euler; only a potential above the threshold fires

After a spike a neuron starts from v_reset; with reset "subtract" lower by the threshold; with reset
"late" that a step later, which is snnTorch's way unless it was told otherwise, and no graph says:

    H[t] = keep H[t-1] - theta S[t-1] + gain I[t]     which is a reset by theta / keep at once
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from edgesnn.errors import InputError
from edgesnn.text import shown

from .float_stages import Floats

Reset = Literal["zero", "subtract", "late"]
RESETS: tuple[Reset, ...] = get_args(Reset)


@dataclass(frozen=True, slots=True)
class Convention:
    """euler: or exactly. strict: whether a potential at the threshold is too low. reset: None: to
    v_reset, as the graph says. dt: what leaks are written with, in s; None: one step. gain: of r:
    that of what leaks, all of it, or Rockpool's way. most: spikes in a step."""

    euler: bool = True
    strict: bool = False
    reset: Reset | None = None
    dt: float | None = None
    gain: Literal["leaking", "whole", "rockpool"] = "leaking"
    most: int = 1

    def keep(self, tau: float, step: float, where: str, name: str) -> float:
        """Return what a step of so many seconds leaves; raises InputError.

        where, name: the node and its time constant, for the sentence.
        """
        dt = self.dt or step
        least = dt * (1 - 1e-6) if self.euler else dt / 50  # of what is left nothing could be told
        if not tau > 0 or tau < least:
            shorter = "; take shorter steps (--step-us)" if tau > 0 else "; it must be above 0"
            if self.dt and tau > 0:
                shorter = ", as this --convention counts time; it may be another's graph"
            raise InputError(f"{where}: {name} is {tau:g} s and a step {dt:g} s{shorter}")
        return max(0.0, 1 - dt / tau if self.euler else math.exp(-dt / tau))

    def gains(
        self, keep: float | Floats, tau: float | Floats, step: float
    ) -> tuple[float | Floats, float | Floats]:
        """Return what r is multiplied with, and a synapse's input, by what each keeps of itself."""
        if self.gain == "leaking":
            return 1 - keep, 1 - keep
        if self.gain == "whole":
            return 1.0, keep
        return (self.dt or step) / (tau * np.maximum(keep, 1e-12)), keep


COUNTED = 15
"""Spikes in a step of frameworks that know no limit: more in one are as good as never there."""
CONVENTIONS = {
    "nir": Convention(),
    "sinabs": Convention(euler=False, reset="subtract", dt=1.0, gain="whole", most=COUNTED),
    "rockpool": Convention(euler=False, reset="subtract", gain="rockpool", most=COUNTED),
    "snntorch": Convention(strict=True, reset="late", dt=1e-4),
    "norse": Convention(strict=True),
}


def convention_of(name: str, reset: str | None) -> tuple[Convention, Reset | None]:
    """Return a convention and the reset that holds; raises InputError for names that are none."""
    if name not in CONVENTIONS:
        known = ", ".join(CONVENTIONS)
        raise InputError(f"--convention {shown(name)} is none; give one of {known}")
    if reset is None:
        return CONVENTIONS[name], CONVENTIONS[name].reset
    for known_reset in RESETS:
        if reset == known_reset:
            return CONVENTIONS[name], known_reset
    raise InputError(f"--reset {shown(reset)} is none; give one of {', '.join(RESETS)}")
