"""A layer's weights, repacked for the events engine: one run of outputs per input and kernel cell.

A temporal filter of several taps or several filters becomes terms, sums over the events of one past
step each:  H[t] = sum over terms of coefficient * W_set x[t - lag].  Lags at which the filters have
the same taps share a set; what does not fit 16 bits when added up stays apart.

Where there is memory for it a ring holds W_set x of all sets for each past step, so that an event
is added once, to all sets side by side. Else, where neighbouring lags have the same taps, as in
windows, the sums run on from step to step and the terms are what changes at a lag: the taps there
less those of the lag before; those of the oldest are taken off one step after it. Else the events
of the past are added anew in every step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.program import Layer, Program

_Ints = NDArray[np.int32]
LANES = 16
"""What the engine adds at once, see its engine.h."""
_RING_BYTES = 1 << 20
"""Of a layer's ring, in a stream: what a processor's second cache holds."""


@dataclass(frozen=True, slots=True)
class PackedWeights:
    """sets: int16 (n, input channel (linear: input), kernel row, rest modulo the stride, run).

    A run holds (kernel column, output) and is filled up to a multiple of LANES with zeros. Of a
    ring n is 1 and the outputs are those of all sets, one set after the other.

    kernel: (rows, columns of a run). wide: outputs, of all sets in a ring. first, last: int32 (n,
    input channels), the outputs that a channel reaches. terms: int32 (n, 4): lag, set, coefficient,
    and which of the banks of sums it is added to. narrow: whether no sum of a bank, or of a past
    step, can leave 16 bits. ring, running: see above.
    """

    sets: NDArray[np.int16]
    kernel: tuple[int, int]
    wide: int
    first: _Ints
    last: _Ints
    terms: _Ints
    banks: int
    narrow: bool
    ring: bool
    running: bool


@dataclass(frozen=True, slots=True)
class DelayedSynapses:
    """place: delay * outputs + output, those of an input in order. first: int32 (inputs, rows + 1),
    where those of each delay begin in place and weight, and where the input's end.

    rows: steps that one input reaches. taps: int32 (k,).
    """

    first: _Ints
    place: _Ints
    weight: NDArray[np.int16]
    rows: int
    taps: _Ints


def packed_weights(program: Program, node: Layer) -> PackedWeights:
    """Return the weights of a layer without delays."""
    taps = program.taps_of(node)
    filters = [_dense(program, node, m, len(taps)) for m in range(len(taps))]
    stride = stride_of(program, node)
    rows, columns = filters[0].shape[1:3] if node.op == "conv" else (1, 1)
    packed, terms = _terms(taps, filters)
    several = len(packed) > 1
    ring = len(terms) > 1 and (not several or _may_widen(program, node, len(packed)))
    running = False
    if not ring:
        changes = np.diff(taps, axis=1, prepend=0, append=0)
        fewer, changing = _terms(changes, filters)
        high = program.values[node.input].high
        running = len(changing) < len(terms) and _stays_small(fewer, changing, high)
        if running:
            packed, terms, several = fewer, changing, len(fewer) > 1
    channels = program.values[node.input].shape[0]
    reached = np.ones((len(packed), channels, packed.shape[-1]), bool)
    if node.op == "conv":
        reached = (packed != 0).any(axis=(2, 3))
    first, last = _ranges(reached)
    bank_of, narrow = _banks(packed, [] if ring else terms, program.values[node.input].high)
    if running:  # one bank; what was taken off and what is added do not keep to bounds by term
        bank_of, narrow = [], False
    bank_of = bank_of or [0] * len(terms)
    if ring and several:
        packed = _side_by_side(packed)
        first, last = np.zeros((1, channels), np.int32), np.full((1, channels), packed.shape[-1])
    return PackedWeights(
        sets=_runs(packed, columns // stride),
        kernel=(rows, columns // stride),
        wide=packed.shape[-1],
        first=first,
        last=np.ascontiguousarray(last, np.int32),
        terms=np.c_[np.array(terms, np.int32).reshape(-1, 3), bank_of].astype(np.int32),
        banks=0 if ring else int(max(bank_of, default=0)) + 1,
        narrow=narrow,
        ring=ring,
        running=running,
    )


def stride_of(program: Program, node: Layer) -> int:
    """Return the stride that a layer is packed with: 1 without a kernel.

    A longer one than the padded image has one output in that direction, whatever it is.
    """
    if node.op != "conv":
        return 1
    _, height, width = program.values[node.input].shape
    return min(node.stride, max(height, width) + 2 * node.padding)


def _terms(
    taps: _Ints, filters: list[NDArray[np.int32]]
) -> tuple[NDArray[np.int16], list[tuple[int, int, int]]]:
    """Return the sets, and terms (lag, set, factor), of taps (filters, lags)."""
    sets: list[NDArray[np.int32]] = []
    terms: list[tuple[int, int, int]] = []
    known: dict[tuple[int, ...], int] = {}
    for lag, column in enumerate(taps.astype(np.int32).T):
        if not column.any():
            continue
        for share in _shares(column, filters):
            one = np.flatnonzero(share)
            # A single filter keeps its weights and is multiplied on the way.
            factor = int(share[one[0]]) if len(one) == 1 else 1
            key = tuple(int(v) for v in (share // factor if len(one) == 1 else share))
            if key not in known:
                known[key] = len(sets)
                sets.append(_added(filters, np.array(key)))
            terms.append((lag, known[key], factor))
    if not sets:
        sets.append(filters[0])
    return np.ascontiguousarray(np.stack(sets), np.int16), terms


def _stays_small(sets: NDArray[np.int16], terms: list[tuple[int, int, int]], high: int) -> bool:
    """Whether a running sum, and what it is on the way, fits 32 bits."""
    each = np.abs(sets.astype(np.int64)).reshape(len(sets), -1, sets.shape[-1]).sum(axis=1)
    changed = sum(abs(factor) * each[of] for _, of, factor in terms)
    lags = terms[-1][0] + 1
    return bool(high * lags * np.max(changed) < 2**31)


def _may_widen(program: Program, node: Layer, sets: int) -> bool:
    """Whether a ring may hold the sums of several sets: there is memory, and no groups."""
    if node.groups > 1:
        return False  # a channel of theirs reaches a part of each set's outputs
    slots = program.history_of(node) + 1
    return slots * sets * math.prod(program.values[node.name].shape) * 4 <= _RING_BYTES


def _side_by_side(sets: NDArray[np.int16]) -> NDArray[np.int16]:
    """Lay all sets' outputs after each other: (1, ..., sets * outputs)."""
    joined: NDArray[np.int16] = np.concatenate(list(sets), axis=-1)
    return np.ascontiguousarray(joined[None])


def _runs(packed: NDArray[np.int16], columns: int) -> NDArray[np.int16]:
    """Join the last axis and `columns` of the one before it to runs of a multiple of LANES."""
    if packed.ndim == 3:  # linear: an input's outputs are a run
        runs = packed
    else:
        runs = packed.reshape(*packed.shape[:3], -1, columns * packed.shape[-1])
    more = -runs.shape[-1] % LANES
    filled: NDArray[np.int16] = np.pad(runs, [(0, 0)] * (runs.ndim - 1) + [(0, more)])
    return np.ascontiguousarray(filled)


def delayed_synapses(program: Program, node: Layer) -> DelayedSynapses:
    """Return the synapses of a linear layer with delays, those of one input side by side."""
    delays, taps = program.delays_of(node), program.taps_of(node)[0]
    assert delays is not None
    order = _channels_last(program.values[node.input].shape)
    weight = program.tensors[node.weight][:, order].T
    delay = delays[:, order].T
    inputs, outputs = np.nonzero(weight)
    place = delay[inputs, outputs] * weight.shape[1] + outputs
    order = np.lexsort((place, inputs))
    inputs, outputs, place = inputs[order], outputs[order], place[order]
    rows = int(delays.max()) + len(taps)
    found = inputs * rows + delay[inputs, outputs]
    begins = np.searchsorted(found, np.arange(len(weight) * rows)).reshape(-1, rows)
    ends = np.searchsorted(found, np.arange(1, len(weight) + 1) * rows)
    return DelayedSynapses(
        first=np.ascontiguousarray(np.c_[begins, ends], np.int32),
        place=place.astype(np.int32),
        weight=weight[inputs, outputs].astype(np.int16),
        rows=rows,
        taps=np.ascontiguousarray(taps, np.int32),
    )


def _channels_last(shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Return, for each index of a value as the engine keeps it, its index in the program."""
    at = np.arange(int(np.prod(shape))).reshape(shape[0], -1)
    return at.T.ravel()


def _dense(program: Program, node: Layer, m: int, filters: int) -> NDArray[np.int32]:
    """Return filter m's weights: (channel, row, column, output) or (input, output)."""
    weight = program.tensors[node.weight].astype(np.int32)
    given = program.values[node.input]
    if node.op == "linear":
        part = weight.reshape(len(weight), filters, -1)[:, m]
        return np.ascontiguousarray(part[:, _channels_last(given.shape)].T)
    outputs, inputs, rows, columns = weight.shape
    channels, each = given.shape[0], outputs // node.groups
    order = kernel_columns(columns, stride_of(program, node))
    kept = np.flatnonzero(order >= 0)
    dense = np.zeros((filters * channels, rows, len(order), outputs), np.int32)
    for group in range(node.groups):
        own = slice(group * each, (group + 1) * each)
        part = weight[own][..., order[kept]].transpose(1, 2, 3, 0)
        dense[group * inputs : (group + 1) * inputs, :, kept, own] = part
    return dense[m * channels : (m + 1) * channels]


def _banks(
    sets: NDArray[np.int16], terms: list[tuple[int, int, int]], high: int
) -> tuple[list[int], bool]:
    """Spread terms over banks whose sums fit 16 bits; all in one bank where a term alone does not.

    What adds up and what takes away are bounded apart, so that no order of events can leave them.
    """
    wide = sets.astype(np.int64).reshape(len(sets), -1, sets.shape[-1])
    up, down = (high * np.maximum(sign * wide, 0).sum(axis=1) for sign in (1, -1))
    if not terms:  # the ring of sums of past steps
        return [], bool(max(up.max(), down.max()) < 2**15)
    filled: list[NDArray[np.int64]] = []
    found = []
    for _, of, factor in terms:
        own = abs(factor) * np.stack([up[of], down[of]])[:: 1 if factor > 0 else -1]
        if own.max() >= 2**15:
            return [0] * len(terms), False
        bank = next((b for b, f in enumerate(filled) if (f + own).max() < 2**15), len(filled))
        if bank == len(filled):
            filled.append(np.zeros_like(own))
        filled[bank] += own
        found.append(bank)
    return found, True


def kernel_columns(columns: int, stride: int) -> NDArray[np.int32]:
    """Return a kernel's columns in the order in which they lie on neighbouring outputs.

    By their rest modulo the stride, from last to first, as many for each: -1 is one of zeros.
    """
    each = -(-columns // stride)
    order = [rest + stride * k for rest in range(stride) for k in range(each - 1, -1, -1)]
    return np.array([k if k < columns else -1 for k in order], np.int32)


def _added(filters: list[NDArray[np.int32]], factors: NDArray[Any]) -> NDArray[np.int32]:
    """Return the sum of the filters' weights, each times its factor."""
    total = np.zeros_like(filters[0])
    for weights, factor in zip(filters, factors, strict=True):
        total += weights * np.int32(factor)
    return total


def _shares(column: _Ints, filters: list[NDArray[np.int32]]) -> list[_Ints]:
    """Cut the taps of one lag into shares whose weights, added up, fit 16 bits."""
    if np.abs(_added(filters, column)).max(initial=0) < 2**15:
        return [column]
    alone = []
    for m in np.flatnonzero(column):
        share = np.zeros_like(column)
        share[m] = column[m]
        alone.append(share)
    return alone


def _ranges(reached: NDArray[np.bool_]) -> tuple[_Ints, _Ints]:
    """Return the first output and the one behind the last that are reached, over the last axis.

    All of them where most are: a whole run is added faster than the half of it.
    """
    outputs = reached.shape[-1]
    first = np.where(reached.any(-1), reached.argmax(-1), 0)
    last = np.where(reached.any(-1), outputs - reached[..., ::-1].argmax(-1), 0)
    most = 2 * (last - first) > outputs
    first, last = np.where(most, 0, first), np.where(most, outputs, last)
    return np.ascontiguousarray(first, np.int32), np.ascontiguousarray(last, np.int32)
