"""How often a model is right on labelled recordings, at full speed, deterministically.

A folder with `labels.csv` (columns file, label, name) and the recordings it names. Accuracy is
reported in two ways: the state reset before each recording, or carried over as in life, where the
recordings follow one another as one stream.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesnn.backend import Model, Stream
from edgesnn.bundle import Bundle
from edgesnn.decide.decision import NOTHING
from edgesnn.decide.exit_rule import ExitRule
from edgesnn.decide.readouts import AnyReadout, open_readout
from edgesnn.errors import InputError
from edgesnn.events import Events, Packet
from edgesnn.measure.progress import counted
from edgesnn.program import Program
from edgesnn.senses.denoise import Denoiser
from edgesnn.senses.encoders import AnyEncoder, open_encoder
from edgesnn.sources.reading import read_recording
from edgesnn.stream.slicer import Step, slicer_for


@dataclass(frozen=True, slots=True)
class Labelled:
    """A recording and its class, as labels.csv gives them."""

    path: Path
    label: int
    name: str


@dataclass(slots=True)
class _Verdict:
    """What a stream says about one recording, as it goes.

    decided: the last class decided on, NOTHING before. since_us: when, from the recording's start.
    steps: taken, of_steps in the recording. notes: what was mended in it, or is unusual.
    """

    decided: int
    since_us: int | None
    steps: int = 0
    of_steps: int = 0
    notes: tuple[str, ...] = ()

    def hear(self, index: int, at_us: int) -> None:
        # Giving a decision up and coming back to it is the same decision.
        if index not in (NOTHING, self.decided):
            self.decided, self.since_us = index, at_us


def evaluate(
    bundle: Bundle,
    model: Model,
    directory: str | Path,
    *,
    carry_state: bool = False,
    rule: ExitRule | None = None,
    size: tuple[int, int] | None = None,
    unit: str | None = None,
) -> dict[str, Any]:
    """Return the report on all recordings of a folder, plain JSON values.

    {"accuracy": float, "n": int, "correct": int, "confusion": [[int]] (row = label, column =
    predicted), "exit": None or {"rule", "steps_saved"},
    "per_file": [{"file", "label", "predicted", "decided_at_us", "notes"}]}

    predicted: the last class decided on. When the readout was never sure it is the best guess at
    the end (-1 when there was no evidence at all) and decided_at_us is null; else decided_at_us is
    event time from the first event to the end of the step that decided (0: carried over).
    rule margin:X: the first class to lead by X is the answer, and the rest of the recording is not
    stepped through; steps_saved: the share of all steps that this left out.
    size, unit: of the recordings' sensor and times, where they do not say; see `read_recording`.
    An undecided -1 counts as wrong and has no column in the confusion matrix.

    Raises InputError for a missing or unusable labels.csv or recording; names file and line.
    """
    recordings = read_labels(Path(directory), len(bundle.readout.labels))
    classes = len(bundle.readout.labels)
    confusion = [[0] * classes for _ in range(classes)]
    per_file: list[dict[str, Any]] = []
    stream, readout, clock_us = model.stream(), open_readout(bundle.readout, rule), 0
    early = rule is not None and rule.kind == "margin"
    taken = whole = 0
    for recording in counted(recordings, len(recordings)):
        if not carry_state:
            stream.reset()
            readout.reset()
        verdict, clock_us = _play(recording, bundle, stream, readout, clock_us, early, size, unit)
        taken, whole = taken + verdict.steps, whole + verdict.of_steps
        predicted = readout.best() if verdict.decided == NOTHING else verdict.decided
        if predicted != NOTHING:
            confusion[recording.label][predicted] += 1
        per_file.append(
            {
                "file": recording.name,
                "label": recording.label,
                "predicted": predicted,
                "decided_at_us": verdict.since_us,
                "notes": list(verdict.notes),
            }
        )
    correct = sum(confusion[label][label] for label in range(classes))
    return {
        "accuracy": correct / len(recordings),
        "n": len(recordings),
        "correct": correct,
        "exit": {"rule": str(rule), "steps_saved": 1 - taken / max(1, whole)} if early else None,
        "per_file": per_file,
        "confusion": confusion,
    }


def _play(
    recording: Labelled,
    bundle: Bundle,
    stream: Stream,
    readout: AnyReadout,
    clock_us: int,
    early: bool,
    size: tuple[int, int] | None,
    unit: str | None,
) -> tuple[_Verdict, int]:
    """Run one recording on from clock_us; return the verdict and the clock at its end.

    early: stop at the first class decided on.
    """
    steps, encoder, notes = _open(recording, bundle, size, unit)
    held = readout.held.index
    since_us = None if held == NOTHING else 0
    verdict = _Verdict(held, since_us, notes=notes)
    first_us, at_us, over = None, 0, False
    for step in steps:
        first_us = step.start_us if first_us is None else first_us
        at_us = step.end_us - first_us
        verdict.of_steps += 1
        if over:
            continue
        x = encoder.encode(step.events, step.start_us)
        turn = readout.turn(encoder.used)
        if turn == "reset":
            stream.reset()
        y = None if turn == "skip" else stream.step(x)
        change = readout.update(y, encoder.used, clock_us + at_us)
        verdict.steps += 1
        if change is not None:
            verdict.hear(change.index, at_us)
            over = early and change.index != NOTHING
    return verdict, clock_us + at_us


def _open(
    recording: Labelled, bundle: Bundle, size: tuple[int, int] | None, unit: str | None
) -> tuple[Iterator[Step], AnyEncoder, tuple[str, ...]]:
    found = read_recording(recording.path, size, unit)
    assert found.size is not None
    try:
        encoder = open_encoder(
            bundle.encoder, bundle.program.input_shape, found.size, bundle.program.step_us
        )
    except InputError as error:
        raise InputError(f"{recording.path}: {error}") from error
    kept = Denoiser(found.size).feed(found.in_memory())
    return slice_recording(kept, bundle.program), encoder, found.notes


def slice_recording(events: Events, program: Program) -> Iterator[Step]:
    """Cut a whole recording into steps, the last one partial; each is made when it is asked for."""
    if len(events):
        slicer = slicer_for(program)
        yield from slicer.steps(Packet(events, int(events["t"][-1]), 0))
        yield from slicer.flush()


def read_labels(directory: Path, classes: int) -> list[Labelled]:
    """Return the recordings a folder's labels.csv names; raises InputError (file and line)."""
    table = directory / "labels.csv"
    if not table.is_file():
        raise InputError(
            f"{directory} has no labels.csv; wanted is a folder of recordings with a labels.csv "
            "whose first line is file,label"
            if directory.is_dir()
            else f"there is no folder {directory}"
        )
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            rows = csv.DictReader(lines)
            missing = [name for name in ("file", "label") if name not in (rows.fieldnames or ())]
            if missing:
                raise InputError(
                    f"{table} has no column {missing[0]!r}; its first line must be file,label"
                )
            found = [_recording(directory, row, rows.line_num, classes) for row in rows]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table} is not a text table ({error}); save it as CSV, UTF-8") from error
    if not found:
        raise InputError(f"{table} names no recording; wanted one line file,label for each")
    return found


def _recording(directory: Path, row: dict[str, str], line: int, classes: int) -> Labelled:
    where = f"{directory / 'labels.csv'}, line {line}"
    text = (row["label"] or "").strip()
    if not (text.isascii() and text.isdecimal() and len(text) < 10) or int(text) >= classes:
        raise InputError(
            f"{where}: label {text[:40]!r} is not a class of this model; its classes are 0 to "
            f"{classes - 1}"
        )
    name = (row["file"] or "").strip()
    path = directory / name
    if not path.is_file():
        raise InputError(f"{where}: {path} does not exist")
    return Labelled(path, int(text), name)
