"""`edgesnn import NET.nir --out NAME.json`: another framework's network becomes a bundle."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesnn.cli.import_clips import answers_on, labelled_clips
from edgesnn.cli.import_ends import OPTIONS as ENDS
from edgesnn.cli.import_ends import (
    READOUTS,
    STEPS,
    encoder_of,
    hearing_of,
    input_typed,
    latency_of,
    readout_of,
)
from edgesnn.cli.options import JSON
from edgesnn.cli.parsing import Given
from edgesnn.errors import BundleError, InputError, MissingDependency
from edgesnn.options import Option
from edgesnn.sinks.whole_file import check_output
from edgesnn.sources.found import check_read
from edgesnn.text import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgesnn.bundle import Bundle
    from edgesnn.quantize.conversion import Converted
    from edgesnn.quantize.float_net import FloatNet

_COMPARED = 20
"""Recordings on which every spike is compared; answers are, on all."""
_WEIGHTS = ("8", "14", "auto")
_ENOUGH = 0.95
"""Share of spikes equal to the float network's, in any layer, below which auto tries more bits."""
_WORTH = 0.05
"""What more bits must gain: neurons without leak differ on random spikes whatever the weights."""
_EPOCHS = 3
OPTIONS = (
    Option("--out", "The bundle to write: NAME.json.", Path, default=..., metavar="NAME.json"),
    Option("--step-us", "Length of a step.", int, default=1000, least=1, most=1_000_000),
    Option("--labels", "A file with a class's name on each line.", Path, metavar="FILE"),
    Option("--calibrate", "Labelled recordings to compare on.", Path, metavar="DIR"),
    Option(
        "--convention",
        "Whose graph it is: nir, sinabs, rockpool, snntorch or norse.",
        default="nir",
    ),
    Option("--reset", "After a spike: zero, subtract or late (the convention's).", metavar="HOW"),
    Option(
        "--weights",
        "Bits: 8, 14 (two layers of int8), or auto: 14 where 8 change too many spikes.",
        default="auto",
    ),
    Option(
        "--highest",
        "Largest count of events at a pixel and step.",
        int,
        default=15,
        least=1,
        most=255,
    ),
    Option("--tune", "Labelled recordings to train weights of 8 bits on.", Path, metavar="DIR"),
    Option("--epochs", "How often --tune goes through them (3 times).", int, least=1, most=1000),
    *ENDS,
    JSON,
)


def import_net(given: Given) -> None:
    """Read, convert, compare, write and tell; raises InputError, and then nothing is written."""
    from edgesnn.bundle import FILES
    from edgesnn.cli.import_report import row_of, show_report
    from edgesnn.quantize.nir_read import read_nir

    path, out = Path(given["app"]), Path(given["out"])
    if out.suffix != ".json" or not out.stem.isidentifier():
        raise InputError(f"--out {shown(str(out))}: give NAME.json, of letters, numbers and _")
    check_output(out, "--out", [".json"])
    for kind in ("json", *FILES):
        if (there := out.with_suffix(f".{kind}")).exists():
            raise InputError(f"{shown(str(there))} is there already; give --out another name")
    if given["weights"] not in _WEIGHTS:
        raise InputError(f"--weights {shown(given['weights'])} is none; give {', '.join(_WEIGHTS)}")
    if given["readout"] not in READOUTS:
        raise InputError(f"--readout {shown(given['readout'])} is none; give {', '.join(READOUTS)}")
    check_read(path, "")
    fed = input_typed(given["input"])
    for option in ("calibrate", "tune"):
        if fed.kind != "events" and given[option] is not None:
            raise InputError(
                f"--{option} takes recordings of events; leave it out with --input {fed.kind}"
            )
    if given["tune"] is None and given["epochs"] is not None:
        raise InputError("--epochs is of --tune DIR, which is not given")
    if given["steps"] is not None and given["readout"] != "trial" and fed.kind != "image":
        raise InputError("--steps is of --readout trial or --input image, and neither is given")
    if given["tune"] is not None and _same(given["tune"], given["calibrate"]):
        raise InputError("--tune and --calibrate name one folder; judge by other recordings")
    if given["tune"] is not None and given["weights"] == "14":
        raise InputError("--tune trains weights of 8 bits; leave --weights 14 out")
    net = read_nir(
        path,
        step_us=given["step_us"],
        convention=given["convention"],
        reset=given["reset"],
        size=fed.size,
    )
    labels = _labels(given["labels"], int(np.prod(net.shapes()[net.stages[-1].name])))
    trained = net if given["tune"] is None else _tuned(net, out.stem, given)
    made, clips = _converted(trained, out.stem, given)
    answers = answers_on(net, made.program, clips) if clips else None
    bundle = _saved(out, made, labels, net, answers, given)
    report = {
        "bundle": str(out),
        "layers": [row_of(layer) for layer in made.layers],
        "compared_on": "recordings" if clips else "random spikes",
        "approximations": list(made.approximations),
        "tuned": given["tune"] is not None,
        "answers": answers,
        "bytes": sum(f.stat().st_size for f in out.parent.glob(f"{out.stem}.*")),
    }
    if given["json"]:
        from edgesnn.measure.tables import print_json

        print_json(report)
    else:
        show_report(report, len(bundle.readout.labels), out)


def _converted(
    net: FloatNet, name: str, given: Given
) -> tuple[Converted, list[tuple[NDArray[np.uint8], int]]]:
    """Return the conversion, compared with the float network, and the recordings, if any."""
    from edgesnn.quantize.agreement import compared, random_clip
    from edgesnn.quantize.export import export
    from edgesnn.quantize.from_float import converted

    tried, clips = [], None
    bits = "8" if given["tune"] is not None else given["weights"]
    for wide in {"8": (False,), "14": (True,), "auto": (False, True)}[bits]:
        try:
            made = converted(
                net, name=name, step_us=given["step_us"], highest=given["highest"], wide=wide
            )
            if wide:  # sums of finer weights are larger, and may leave what is exact
                export(made.program)
        except (InputError, BundleError) as error:
            if not wide:
                raise
            if bits == "14":
                raise InputError(f"--weights 14 do not fit, 8 may: {error}") from error
            break
        if clips is None:
            folder = given["calibrate"]
            clips = [] if folder is None else labelled_clips(folder, made)
        shown_to = [x for x, _ in clips[:_COMPARED]] or [random_clip(made)]
        tried.append(compared(net, made, shown_to))
        if _worst(tried[-1]) >= _ENOUGH:
            break
    assert clips is not None
    better = _worst(tried[-1]) - _worst(tried[0]) >= _WORTH
    return tried[-1 if better else 0], clips


def _same(one: Path, other: Path | None) -> bool:
    return other is not None and one.resolve() == other.resolve()


def _tuned(net: FloatNet, name: str, given: Given) -> FloatNet:
    """Return the network with weights trained as they will be rounded, on labelled recordings."""
    from edgesnn.quantize.from_float import converted

    try:
        from edgesnn.quantize.tune import tuned
    except ImportError as error:
        raise MissingDependency('--tune needs torch: pip install ".[train]"') from error
    untrained = converted(net, name=name, step_us=given["step_us"], highest=given["highest"])
    clips, epochs = labelled_clips(given["tune"], untrained), given["epochs"] or _EPOCHS
    found = tuned(net, clips, epochs=epochs, tell=lambda line: print(line, file=sys.stderr))
    times = "once" if epochs == 1 else f"{epochs} times"
    note = f"weights were trained on {len(clips):,} recordings, {times} through"
    return replace(found, approximations=(*found.approximations, note))


def _worst(made: Converted) -> float:
    """Return the agreement of the layer that agrees least."""
    return min((a for layer in made.layers if (a := layer.agreement) is not None), default=1.0)


def _labels(path: Path | None, classes: int) -> tuple[str, ...]:
    if path is None:
        return tuple(f"class {i}" for i in range(classes))
    check_read(path, "--labels")
    try:
        text = path.read_text("utf-8-sig")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(f"--labels {path} is no text") from error
    except OSError as error:
        raise InputError(f"--labels {path} cannot be read: {error.strerror}") from error
    if len(lines) != classes:
        raise InputError(f"--labels {path} names {len(lines)} classes; the network has {classes}")
    if comma := next((line for line in lines if "," in line), None):
        raise InputError(
            f"--labels {path}: {shown(comma[:40])!r} has a comma, and the exported graph lists the "
            "names with commas between them"
        )
    return tuple(shown(line) for line in lines)


def _saved(
    out: Path,
    made: Converted,
    labels: tuple[str, ...],
    net: FloatNet,
    answers: dict[str, Any] | None,
    given: Given,
) -> Bundle:
    from edgesnn.cli.import_report import row_of
    from edgesnn.quantize.card import program_facts
    from edgesnn.quantize.save import save_bundle

    card = {
        "task": f"imported from {shown(net.about)}",
        "licence": "that of the network",
        "approximations": list(made.approximations),
        "layers": [row_of(layer) for layer in made.layers],
        "answers": answers,
        **program_facts(made.program),
    }
    program, kind = made.program, input_typed(given["input"]).kind
    steps = given["steps"] or STEPS
    return save_bundle(
        out.parent,
        out.stem,
        program,
        encoder_of(program),
        readout_of(given["readout"], program, labels, steps),
        card,
        hearing=hearing_of(program) if kind == "sound" else None,
        latency=latency_of(program, steps) if kind == "image" else None,
    )
