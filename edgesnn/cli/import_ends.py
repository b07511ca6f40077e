"""What feeds an imported network, and how its output becomes decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgesnn.errors import InputError
from edgesnn.options import Option
from edgesnn.text import shown

if TYPE_CHECKING:
    from edgesnn.program import Program
    from edgesnn.senses.encoder import EncoderSpec
    from edgesnn.senses.hearing import HearingSpec
    from edgesnn.senses.latency import LatencySpec

STEPS = 16
READOUTS = ("evidence", "spikes", "trial")
OPTIONS = (
    Option("--input", "events, events:WxH, sound or image.", default="events", metavar="WHAT"),
    Option("--readout", "How output decides: evidence, spikes or trial.", default="evidence"),
    Option("--steps", "Steps of a trial or an image (16).", int, least=1, most=4096),
)


@dataclass(frozen=True, slots=True)
class Input:
    """kind: events, sound or image. size: (width, height) that was given, None: the graph's."""

    kind: str
    size: tuple[int, int] | None = None


def input_typed(text: str) -> Input:
    """Read --input; raises InputError."""
    from edgesnn.cli.source import size_typed

    kind, colon, size = text.partition(":")
    wrong = f"--input {shown(text)} is none; give events, events:WxH, sound, image or image:NxN"
    if kind in ("events", "image") and (size or not colon):
        try:
            return Input(kind, size_typed(size) if size else None)
        except InputError as error:
            raise InputError(wrong) from error
    if text == "sound":
        return Input("sound")
    raise InputError(wrong)


def encoder_of(program: Program) -> EncoderSpec:
    """Return what counts events for a program; raises InputError for other than two channels."""
    from edgesnn.senses.encoder import EncoderSpec

    channels, height, width = program.input_shape
    if channels != 2:
        raise InputError(
            f"the network {program.name} takes x of {channels} x {height} x {width}; events have "
            "two channels, OFF and ON"
        )
    levels = tuple(min(count, program.input_high) for count in range(256))
    return EncoderSpec((width, height), levels)


def hearing_of(program: Program) -> HearingSpec:
    """Return how sound becomes events for a row of bands; raises InputError."""
    from edgesnn.errors import BundleError
    from edgesnn.senses.hearing import HearingSpec

    _, height, bands = program.input_shape
    if height != 1:
        raise InputError(
            f"--input sound is for features, a band each; {program.name} takes an image"
        )
    usual = HearingSpec()
    hop, rest = divmod(usual.rate_hz * program.step_us, 1_000_000)
    try:
        if rest or not hop:
            raise BundleError("no whole samples")
        return HearingSpec(hop=hop, window=max(usual.window, hop), bands=bands)
    except BundleError as error:
        raise InputError(
            f"--step-us {program.step_us} is no whole number of samples at {usual.rate_hz} Hz; "
            f"take {usual.step_us}, or a multiple of {1_000_000 // usual.rate_hz}"
        ) from error


def latency_of(program: Program, steps: int) -> LatencySpec:
    """Return how an image becomes events, bright pixels first; raises InputError."""
    from edgesnn.senses.latency import LatencySpec

    _, height, width = program.input_shape
    if height != width or height < 2:
        raise InputError(
            f"--input image is for square images; {program.name} takes {width} x {height} "
            "(features: --input image:28x28)"
        )
    return LatencySpec(steps=steps, dark=False, size=width)


def readout_of(kind: str, program: Program, labels: tuple[str, ...], steps: int) -> Any:
    """Return how a program's output decides; raises InputError."""
    from edgesnn.decide.evidence import ReadoutSpec
    from edgesnn.decide.trial import TrialSpec

    value = program.values[program.output]
    if kind != "evidence" and value.dtype != "uint8":
        raise InputError(f"--readout {kind} counts spikes; {program.name} ends in sums")
    if kind == "trial":
        most = steps * value.high
        # All spikes count nearly alike: the first weighs a thousandth more than the last.
        return TrialSpec(labels, steps, most, scale=4000.0 * steps, last=1000 * steps)
    return ReadoutSpec(
        labels=labels,
        scale=4.0 if kind == "evidence" else 1.0,
        decay_shift=8 if kind == "evidence" else 3,  # about the last eight steps
        enter=0.9,
        leave=0.5,
        quiet_events=5,
        quiet_us=200_000,
    )
