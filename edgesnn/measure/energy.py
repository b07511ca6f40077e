"""Energy in three columns that are never added or mixed: measured, arithmetic, whole boards.

1. measured: by sensors of this machine (`power`), idle subtracted; None with the reason where there
   is no sensor.
2. estimated, arithmetic only: effective operations, neuron updates and spikes times what one of
   each was published to cost; memory is a line of its own.
3. estimated, all included: the same network as dense INT8 arithmetic on boards that were measured
   whole, on a network of its kind.

Every constant stands in `energy.json` with unit, technology, year, what it includes and its source.
"""

from __future__ import annotations

import json
import math
from importlib.resources import files
from typing import Any

from edgesnn.program import Program

_WEIGHT_BITS, _SUM_BITS = 8, 32


def constants() -> dict[str, Any]:
    """Return the tables, as `energy.json` has them."""
    text = files("edgesnn.measure").joinpath("energy.json").read_text(encoding="utf-8")
    tables: dict[str, Any] = json.loads(text)
    return tables


def neurons_of(program: Program) -> int:
    """Return how many neurons compare something with a threshold in every step."""
    return sum(
        math.prod(program.values[node.name].shape)
        for node in program.nodes
        if getattr(node, "threshold", None) is not None
    )


def estimates(work: dict[str, Any], neurons: int) -> dict[str, Any]:
    """Return columns 2 and 3 for one step, nanojoules, each with its constants.

    work: `operations_per_step` (effective and dense ACs and MACs) and `spikes_per_step`, as
    `profile` reports them. {"arithmetic": [...], "memory": {...}, "boards": [...], "unknown": {}}.
    dense_int8_nJ: the same network as dense INT8 arithmetic; break_even_share: the share of
    operations that may be effective until both cost the same (above 1: always cheaper).
    """
    tables, counted = constants(), work["operations_per_step"]
    spikes = work["spikes_per_step"]
    effective = counted["effective_ACs"] + counted["effective_MACs"]
    dense = counted["dense_ACs"] + counted["dense_MACs"]
    arithmetic = []
    for table in tables["operations"]:
        synaptic = (
            counted["effective_ACs"] * table["AC_pJ"] + counted["effective_MACs"] * table["MAC_pJ"]
        )
        updates = neurons * table["update_pJ"] + spikes * table["spike_pJ"]
        as_dense, whole = None, 0.0
        if table.get("dense"):  # the others are of machines without dense arithmetic
            as_dense = dense * table["MAC_pJ"]
            whole = counted["dense_ACs"] * table["AC_pJ"] + counted["dense_MACs"] * table["MAC_pJ"]
        arithmetic.append(
            {
                "name": table["name"],
                "energy_per_step_nJ": (synaptic + updates) / 1e3,
                "synaptic_nJ": synaptic / 1e3,
                "neurons_nJ": updates / 1e3,
                "dense_int8_nJ": None if as_dense is None else as_dense / 1e3,
                # Of the operations, how many may be effective until both cost the same.
                "break_even_share": as_dense / whole if as_dense and whole else None,
                "constants": table,
            }
        )
    bits = _WEIGHT_BITS + 2 * _SUM_BITS
    per_operation = bits / 64 * tables["memory"]["pJ_per_64_bit"]
    return {
        "neuron_updates_per_step": neurons,
        "arithmetic": arithmetic,
        "memory": {
            "energy_per_step_nJ": effective * per_operation / 1e3,
            "dense_int8_nJ": dense * per_operation / 1e3,
            "constants": tables["memory"],
        },
        "boards": [
            {
                "name": board["name"],
                "dense_int8_nJ": dense * board["pJ_per_MAC"] / 1e3,
                "constants": board,
            }
            for board in tables["boards"]
        ],
        "unknown": tables["unknown"],
    }


def per_decision(energy: dict[str, Any], steps: float | None) -> dict[str, Any]:
    """Return columns 1 and 2 with what a decision takes beside what a step does.

    steps: of a decision, on the average; None: there was none, and the figures are None.
    """
    n = None if steps is None else float(steps)

    def times(value: float | None) -> float | None:
        return None if value is None or n is None else value * n

    sensors = [
        {
            **row,
            "energy_per_decision_uJ": times(row["energy_per_step_uJ"]),
            "decision_standard_error_uJ": times(row["standard_error_uJ"]),
        }
        for row in energy["measured"]["sensors"]
    ]
    arithmetic = [
        {**row, "energy_per_decision_nJ": times(row["energy_per_step_nJ"])}
        for row in energy["arithmetic"]
    ]
    measured = {**energy["measured"], "sensors": sensors}
    return {**energy, "measured": measured, "arithmetic": arithmetic}
