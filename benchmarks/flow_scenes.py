"""Optical flow on simulated scenes that were never trained on, beside OpenCV, by speed.

    python benchmarks/flow_scenes.py [--scenes 60]

Mean error (px/s) at places where events were seen in the last 20 ms, by true speed (px/s); each
peer at the length of pictures that suits it best over all, and edgesnn's network alone (--rounds 0)
too. Three moments of each scene. At last the relative error by confidence: a fifth of the places
each, from the least sure on (over the true speed and 10 px/s).
"""

from __future__ import annotations

import argparse
from collections import defaultdict
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


def measured(
    scenes: int,
) -> tuple[dict[str, list[np.ndarray]], list[np.ndarray], list[np.ndarray]]:
    """Return errors by method, true speeds, and confidences at every place that was seen."""
    size = SENSOR, SENSOR
    own = {
        "edgesnn": FieldOf(load_bundle("flow"), size, AUTO),
        "network alone": FieldOf(load_bundle("flow"), size, AUTO, rounds=0),
    }
    peers = methods()
    errors: dict[str, list[np.ndarray]] = defaultdict(list)
    speeds: list[np.ndarray] = []
    sure: list[np.ndarray] = []
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
            truth = flow[step - 1].astype(float) / (STEP_US * 1e-6)
            speeds.append(np.hypot(*truth)[seen])
            before = events[events["t"] < until_us]
            fields: dict[str, Any] = {}
            told = {name: model.of_places(before, until_us) for name, model in own.items()}
            fields |= {name: places.at_pixels(size)[0] for name, places in told.items()}
            places = told["edgesnn"]
            confidence = np.kron(places.confidence, np.ones([places.place // CELL] * 2))
            sure.append(confidence[:GRID, :GRID][seen])
            for name, method in peers.items():
                for length in LENGTHS_US if name != "zero" else LENGTHS_US[:1]:
                    told = f"{name} {length // 1000} ms"
                    found = peer_field(method, events, until_us, length, (SENSOR, SENSOR))
                    fields[told] = np.zeros((2, SENSOR, SENSOR)) if found is None else found
            for name, field in fields.items():
                coarse = field.reshape(2, GRID, CELL, GRID, CELL).mean((2, 4))
                errors[name].append(np.hypot(*(coarse - truth))[seen])
    return errors, speeds, sure


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=60)
    errors, speeds, sure = measured(parser.parse_args().scenes)
    v = np.concatenate(speeds)
    means = {name: np.concatenate(parts) for name, parts in errors.items()}
    best: dict[str, str] = {}
    for name in means:
        kind = name.removesuffix(" ms").rstrip("0123456789 ")
        if kind not in best or means[name].mean() < means[best[kind]].mean():
            best[kind] = name
    print(f"{len(v):,} places; px/s".ljust(26) + "all".rjust(8), end="")
    spans = list(zip(BANDS, BANDS[1:], strict=False))
    print("".join(f"{f'{low}-{high}' if high < 10_000 else f'{low}+':>10}" for low, high in spans))
    for name in best.values():
        e = means[name]
        bands = [e[(v >= low) & (v < high)].mean() for low, high in spans]
        print(f"{name:26}{e.mean():8.1f}" + "".join(f"{b:10.1f}" for b in bands))
    relative = (means["edgesnn"] / (v + SLOW))[np.concatenate(sure).argsort(kind="stable")]
    fifths = ", ".join(f"{part.mean():.2f}" for part in np.array_split(relative, 5))
    print(f"relative error by confidence, a fifth of the places each: {fifths}")


if __name__ == "__main__":
    main()
