"""How often the spoken digits of labelled recordings are understood, streamed step by step.

Two questions, answered apart. Closed: which of the ten digits has most evidence when the recording
ends; no step after its end is used. Spotted: what the stream tells, silence around each recording,
"unknown" and saying nothing or two words being mistakes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.backend import Model, Stream
from edgesnn.bundle import Bundle
from edgesnn.decide.decision import NOTHING, Decision
from edgesnn.decide.exit_rule import ExitRule
from edgesnn.decide.readouts import open_readout
from edgesnn.decide.spotting import SpottingSpec
from edgesnn.errors import InputError
from edgesnn.events import Packet
from edgesnn.measure.progress import counted
from edgesnn.senses.encoders import open_encoder
from edgesnn.senses.hearing import Hearing
from edgesnn.senses.resample import Floats
from edgesnn.sources.sound_file import read_sound
from edgesnn.stream.slicer import slicer_for

from .spoken import spoken_digits

_DIGITS = 10
_AFTER_S = 0.6  # of silence, so that the stream hears the end of a word


def evaluate_keyword(
    bundle: Bundle,
    model: Model,
    data: Path,
    *,
    takes: tuple[int, int] | None = None,
    rule: ExitRule | None = None,
) -> dict[str, Any]:
    """Return the report on spoken digits (`spoken_digits`), plain JSON values; docs/keyword.md.

    rule: exit rule of the spotted part. Raises InputError.
    """
    if bundle.hearing is None or not isinstance(bundle.readout, SpottingSpec):
        raise InputError(f"{bundle.program.name} spots no words")
    open_readout(bundle.readout, rule)
    recordings = spoken_digits(data, takes)
    confusion = np.zeros((_DIGITS, _DIGITS), np.int64)
    speakers: dict[str, list[int]] = {}
    spotted, told_after_s, per_file = 0, [], []
    rested = steps = 0
    stream = model.stream()
    for item in counted(recordings, len(recordings)):
        sound = read_sound(item.path, bundle.hearing.rate_hz)
        evidence = closed_evidence(bundle, stream, sound)
        predicted = int(evidence[:_DIGITS].argmax())
        confusion[item.digit, predicted] += 1
        heard = spotted_words(bundle, stream, sound, rule)
        told, rested, steps = heard.told, rested + heard.rested, steps + heard.steps
        words = [decision.index for decision in told]
        spotted += words == [item.digit]
        if words:
            told_after_s.append(told[0].t_us / 1e6 - len(sound) / bundle.hearing.rate_hz)
        speakers.setdefault(item.speaker, []).append(int(predicted == item.digit))
        per_file.append(
            {
                "file": item.path.name,
                "label": item.digit,
                "predicted": predicted,
                "spotted": [bundle.readout.labels[index] for index in words],
            }
        )
    correct = int(np.trace(confusion))
    early = rule is not None and rule.kind == "margin"
    return {
        "accuracy": correct / len(recordings),
        "n": len(recordings),
        "correct": correct,
        "per_speaker": {name: sum(hits) / len(hits) for name, hits in sorted(speakers.items())},
        "spotted": spotted / len(recordings),
        "told_after_end_s": float(np.median(told_after_s)) if told_after_s else None,
        "exit": {"rule": str(rule), "steps_saved": rested / steps} if early else None,
        "confusion": confusion.tolist(),
        "per_file": per_file,
    }


def closed_evidence(bundle: Bundle, stream: Stream, sound: Floats) -> NDArray[np.int64]:
    """Return the sum of the outputs over a recording, int64 (classes,), from the initial state."""
    stream.reset()
    total = np.zeros(len(bundle.readout.labels), np.int64)
    for x, _, _ in inputs_of(bundle, sound):
        total += stream.step(x)
    return total


@dataclass(frozen=True, slots=True)
class Spotted:
    """What a stream told, in order, and how many of its steps the network rested."""

    told: tuple[Decision, ...]
    rested: int
    steps: int


def spotted_words(
    bundle: Bundle, stream: Stream, sound: Floats, rule: ExitRule | None = None
) -> Spotted:
    """Return what a stream tells of a sound with silence behind it."""
    assert bundle.hearing is not None
    stream.reset()
    readout = open_readout(bundle.readout, rule)
    silence = np.zeros(round(_AFTER_S * bundle.hearing.rate_hz))
    inputs = inputs_of(bundle, np.concatenate([sound, silence]))
    told, rested, end_us = [], 0, 0
    for x, events, end_us in inputs:
        turn = readout.turn(events)
        if turn == "reset":
            stream.reset()
        y = None if turn == "skip" else stream.step(x)
        rested += turn == "skip"
        told.append(readout.update(y, events, end_us))
    told.append(readout.finish(end_us))
    words = tuple(d for d in told if d is not None and d.index != NOTHING)
    return Spotted(words, rested, len(inputs))


def inputs_of(bundle: Bundle, sound: Floats) -> list[tuple[NDArray[np.uint8], int, int]]:
    """Return (x, events, end in us) of every step of a sound, as a stream gives them."""
    assert bundle.hearing is not None
    hearing = Hearing(bundle.hearing)
    packet = Packet(hearing.feed(sound), hearing.watermark_us, 0)
    encoder = open_encoder(
        bundle.encoder, bundle.program.input_shape, bundle.hearing.size, bundle.program.step_us
    )
    slicer, found = slicer_for(bundle.program), []
    for step in [*slicer.feed(packet), *slicer.flush()]:
        x = encoder.encode(step.events, step.start_us)
        found.append((x, encoder.used, step.end_us))
    return found
