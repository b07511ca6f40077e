"""Optical flow on simulated scenes that were never trained on, beside OpenCV, by speed.

    python benchmarks/flow_scenes.py [--scenes 240]

Mean error (px/s) at places where events were seen in the last 20 ms, by true speed (px/s); each
peer at the length of pictures that suits it best over all, and edgesnn's network alone (--rounds 0)
too. Three moments of each scene. Then how fast what is told moves along the truth, as a share of it
(median), and the error by confidence c, expected (1 / c - 1) and found, over the true speed and 10
px/s: means of a fifth of the places each, from the least sure on.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgesnn.apps.flow.evaluation import FieldOf
from edgesnn.apps.flow.peers import LENGTHS_US, methods, peer_field
from edgesnn.backend import AUTO
from edgesnn.bundle import load_bundle
from edgesnn.models.flow.scenes import GRID, scene_events
from edgesnn.models.flow.surfaces import SENSOR, STEP_US

SEED = 1_000_000
MOMENTS = (12, 20, 28)
BANDS = (0, 20, 60, 150, 300, 600, 10_000)
CELL = SENSOR // GRID
SLOW = 10  # px/s
OWN = "edgesnn"


@dataclass
class Seen:
    """What was told of every place that was seen.

    truth: (2, n) px/s. told: by method, (2, n). sure: edgesnn's confidence.
    """

    truth: list[np.ndarray] = field(default_factory=list)
    told: dict[str, list[np.ndarray]] = field(default_factory=lambda: defaultdict(list))
    sure: list[np.ndarray] = field(default_factory=list)


def measured(scenes: int) -> Seen:
    """Return what each method tells of the moments of so many scenes."""
    size = SENSOR, SENSOR
    own = {
        OWN: FieldOf(load_bundle("flow"), size, AUTO),
        "network alone": FieldOf(load_bundle("flow"), size, AUTO, rounds=0),
    }
    peers, all_seen = methods(), Seen()
    for number in range(scenes):
        events, flow = scene_events(np.random.default_rng((SEED, 2, number)))
        if not len(events):
            continue
        for step in MOMENTS:
            until_us = step * STEP_US
            recent = events[(events["t"] >= until_us - 2 * STEP_US) & (events["t"] < until_us)]
            seen = np.zeros((GRID, GRID), bool)
            seen[recent["y"] // CELL, recent["x"] // CELL] = True
            if seen.sum() < 30:
                continue
            all_seen.truth.append(flow[step - 1][:, seen].astype(float) / (STEP_US * 1e-6))
            before = events[events["t"] < until_us]
            places = {name: model.of_places(before, until_us) for name, model in own.items()}
            fields: dict[str, Any] = {name: one.at_pixels(size)[0] for name, one in places.items()}
            side = places[OWN].place // CELL
            confidence = np.kron(places[OWN].confidence, np.ones((side, side)))
            all_seen.sure.append(confidence[:GRID, :GRID][seen])
            for name, method in peers.items():
                for length in LENGTHS_US if name != "zero" else LENGTHS_US[:1]:
                    found = peer_field(method, events, until_us, length, size)
                    none = np.zeros((2, SENSOR, SENSOR))
                    fields[f"{name} {length // 1000} ms"] = none if found is None else found
            for name, dense in fields.items():
                coarse = dense.reshape(2, GRID, CELL, GRID, CELL).mean((2, 4))
                all_seen.told[name].append(coarse[:, seen])
    return all_seen


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=240)
    seen = measured(parser.parse_args().scenes)
    truth = np.concatenate(seen.truth, axis=1)
    told = {name: np.concatenate(parts, axis=1) for name, parts in seen.told.items()}
    v = np.hypot(*truth)
    errors = {name: np.hypot(*(found - truth)) for name, found in told.items()}
    best: dict[str, str] = {}
    for name, error in errors.items():
        kind = name.removesuffix(" ms").rstrip("0123456789 ")
        if kind not in best or error.mean() < errors[best[kind]].mean():
            best[kind] = name
    print(f"{len(v):,} places; px/s".ljust(26) + "all".rjust(8), end="")
    spans = list(zip(BANDS, BANDS[1:], strict=False))
    bands = [(v >= low) & (v < high) for low, high in spans]
    print("".join(f"{f'{low}-{high}' if high < 10_000 else f'{low}+':>10}" for low, high in spans))
    for name in best.values():
        means = "".join(f"{errors[name][band].mean():10.1f}" for band in bands)
        print(f"{name:26}{errors[name].mean():8.1f}{means}")
    print("along the truth, share of its speed, median")
    for name in best.values():
        along = (told[name] * truth).sum(0) / np.maximum(v, 1e-6) ** 2
        shares = "".join(f"{np.median(along[band]):10.2f}" for band in bands)
        print(f"{name:26}{np.median(along[v > SLOW]):8.2f}{shares}")
    sure = np.concatenate(seen.sure)
    order = np.array_split(sure.argsort(kind="stable"), 5)
    print("relative error by confidence, a fifth of the places each")
    for what, value in (("expected", 1 / sure - 1), ("found", errors[OWN] / (v + SLOW))):
        print(f"{what:26}" + "".join(f"{value[part].mean():8.2f}" for part in order))


if __name__ == "__main__":
    main()
