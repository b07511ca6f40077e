"""NIR's nodes that integrate into neurons and potentials of a `FloatNet`.

What NIR has no place for, edgesnn's own exporter says in a node's metadata: a current, a reset by
subtraction or none and what it takes off. It is read back where the convention leaves the reset to
the graph.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from edgesnn.errors import InputError

from .conventions import Convention, Reset
from .float_stages import Floats, Neurons, Potentials
from .nir_values import by_channel, same_or_by_channel

INTEGRATING = ("IF", "LIF", "CubaLIF", "Threshold", "LI", "CubaLI", "I")
_ENDS = ("LI", "CubaLI", "I")
_RESETS: tuple[Literal["zero", "subtract", "none"], ...] = ("zero", "subtract", "none")


class NeuronReader:
    """Reads nodes; dt: of a step, s. way, reset: see `conventions.py`."""

    def __init__(self, dt: float, way: Convention, reset: Reset | None) -> None:
        self._dt, self._way, self._reset = dt, way, reset

    def stage(
        self, own: str, inputs: tuple[str, ...], node: Any, kind: str, where: str
    ) -> Neurons | Potentials:
        """Return a node of a kind of INTEGRATING as the stage `own`; raises InputError."""
        if kind == "Threshold":
            theta = by_channel(node.threshold, where, "threshold")
            return Neurons(own, inputs, theta, keep=0.0, reset="none", strict=True)
        rest = 0.0 if kind in ("IF", "I") else same_or_by_channel(node.v_leak, where, "v_leak")
        keep: float | Floats = 1.0
        gain = same_or_by_channel(node.r, where, "r")
        if kind not in ("IF", "I"):
            keep, share, of_synapse = self._leak(
                node, "tau_mem" if kind.startswith("Cuba") else "tau", where
            )
            gain = gain * share
            if kind == "LI" and self._way.gain == "rockpool":  # its synapse without neurons
                gain = gain * of_synapse
        synapse = None
        if kind.startswith("Cuba"):
            synapse, _, share = self._leak(node, "tau_syn", where)
            gain = gain * share * same_or_by_channel(getattr(node, "w_in", 1.0), where, "w_in")
        if kind in _ENDS:
            if np.any(rest):
                raise InputError(f"{where}: rests at {np.max(np.abs(rest)):g}; 0 is carried over")
            return Potentials(own, inputs, keep, gain, synapse=synapse)
        self._check_v_reset(node, rest, where)
        # Potentials are counted from where the neuron rests.
        whole = by_channel(node.v_threshold, where, "v_threshold")
        theta = whole - rest
        if (theta <= 0).any():
            raise InputError(f"{where}: v_threshold is not above where it rests (v_leak)")
        said = getattr(node, "metadata", None) or {}
        current, reset, drop = self._metadata(said, theta, where)
        if self._reset in ("subtract", "late") and np.any(rest):  # the threshold as it is written
            drop = whole / theta
        if self._reset == "late":
            if not np.all(keep):
                raise InputError(f"{where}: nothing of a potential is left; reset cannot be late")
            drop = drop / keep
        return Neurons(
            own,
            inputs,
            theta,
            keep,
            gain,
            current,
            reset=reset,
            strict=self._way.strict,
            synapse=synapse,
            drop=drop,
            most=max(self._way.most, _most(said.get("most", 1), where)),
        )

    def _check_v_reset(self, node: Any, rest: float | Floats, where: str) -> None:
        back = getattr(node, "v_reset", None)
        if back is None or self._reset in ("subtract", "late"):
            return
        begin, end = np.broadcast_arrays(same_or_by_channel(back, where, "v_reset"), rest)
        if (begin != end).any():
            off = int(np.abs(begin - end).argmax())
            raise InputError(
                f"{where}: starts from {begin.flat[off]:g} after a spike and rests at "
                f"{end.flat[off]:g}; these must be the same (or say --reset subtract)"
            )

    def _metadata(
        self, said: Any, theta: Floats, where: str
    ) -> tuple[float | Floats, Literal["zero", "subtract", "none"], float | Floats]:
        """Return current, reset and what it takes off in thresholds, as edgesnn writes them."""
        current: float | Floats = 0.0
        if np.any(np.asarray(said.get("current", 0.0))):
            current = _as_many(same_or_by_channel(said["current"], where, "current"), theta, where)
        if bool(said.get("fires_once", False)):
            raise InputError(
                f"{where}: fires once by its metadata, which is not carried over; use the bundle "
                "itself"
            )
        if self._reset is not None:
            return current, "zero" if self._reset == "zero" else "subtract", 1.0
        word = said.get("reset", "zero")
        name = word.decode(errors="replace") if isinstance(word, bytes) else str(word)
        for reset in _RESETS:
            if name == reset:
                takes = reset == "subtract" and "drop" in said
                drop: float | Floats = 1.0
                if takes:
                    taken = by_channel(said["drop"], where, "drop")
                    drop = _as_many(taken, theta, where) / theta
                    drop = 1.0 if np.allclose(drop, 1.0, rtol=1e-6) else drop
                return current, reset, drop
        raise InputError(f"{where}: reset {name[:40]!r} in its metadata is none of {_RESETS}")

    def _leak(
        self, node: Any, name: str, where: str
    ) -> tuple[float | Floats, float | Floats, float | Floats]:
        """Return what a step leaves, and what r or a synapse's input is multiplied with."""
        tau = same_or_by_channel(getattr(node, name), where, name)
        each = [self._way.keep(float(one), self._dt, where, name) for one in np.atleast_1d(tau)]
        keep = each[0] if isinstance(tau, float) else np.array(each)
        return keep, *self._way.gains(keep, tau, self._dt)


def _as_many(values: float | Floats, theta: Floats, where: str) -> Any:
    if np.size(values) not in (1, len(theta)):
        raise InputError(f"{where}: metadata of {np.size(values)} for {len(theta)} channels")
    return values


def _most(value: Any, where: str) -> int:
    """Return the spikes in a step that metadata tell."""
    found = np.asarray(value)
    if found.dtype.kind not in "iuf" or found.size != 1 or not 1 <= float(found.max()) <= 255:
        raise InputError(f"{where}: most is {value!r} in its metadata, wanted 1 to 255")
    return int(found.max())
