"""How often the keyword model hears a digit where none was said.

    python benchmarks/false_alarms.py DIR... [--leave-out WORD...] [--minutes 10] [--json]

Plays the sounds below the folders one after another as one stream, half a second of silence in
between, again from the start until the minutes are full, and counts the digits that are told.
Sounds that hold digits are left out by their names.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from edgesnn.apps.keyword.words import inputs_of
from edgesnn.backend import backend
from edgesnn.bundle import load_bundle
from edgesnn.decide.exit_rule import exit_rule
from edgesnn.decide.readouts import open_readout
from edgesnn.sources.catalog import SOUNDS
from edgesnn.sources.sound_file import read_sound

DIGITS = "zero one two three four five six seven eight nine numbers".split()


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--match", default="*", help="pattern of file names")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--model", default="keyword")
    parser.add_argument("--exit", default=None)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    bundle = load_bundle(given.model)
    assert bundle.hearing is not None
    rate_hz = bundle.hearing.rate_hz
    paths = [
        path
        for folder in given.folders
        for path in sorted(folder.rglob(given.match))
        if path.suffix.lower() in SOUNDS and not any(d in path.stem for d in DIGITS)
    ]
    if not paths or not given.minutes > 0:
        where = " ".join(map(str, given.folders))
        parser.error(f"nothing to play: no sound below {where} matches, or no minutes")
    gap = np.zeros(rate_hz // 2)
    wanted, sound, used = round(given.minutes * 60 * rate_hz), [], 0
    while used < wanted:
        for path in paths:
            sound += [read_sound(path, rate_hz), gap]
            used += len(sound[-2]) + len(gap)
            if used >= wanted:
                break
    stream = backend("onnx_cpu").load(bundle).stream()
    readout = open_readout(bundle.readout, given.exit and exit_rule(given.exit))
    told: dict[str, int] = {}
    for x, events, end_us in inputs_of(bundle, np.concatenate(sound)[:wanted]):
        if readout.turn(events) == "reset":
            stream.reset()
        decision = readout.update(stream.step(x), events, end_us)
        if decision is not None and decision.index >= 0:
            told[decision.label] = told.get(decision.label, 0) + 1
    unknown = told.pop("unknown", 0)
    alarms = sum(told.values())
    report = {
        "minutes": given.minutes,
        "files": len(paths),
        "digits_told": told,
        "unknown_told": unknown,
        "false_alarms_per_hour": alarms * 60 / given.minutes,
    }
    if given.json:
        print(json.dumps(report))
        return
    print(f"{given.minutes:g} minutes of {len(paths)} sounds without digits")
    print(f"digits told: {alarms} {told}; told as unknown: {unknown}")
    print(f"false alarms: {report['false_alarms_per_hour']:.0f} per hour")


if __name__ == "__main__":
    main()
