"""The recordings that an imported network is compared and judged on: `--calibrate`, `--tune`."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesnn.cli.import_ends import encoder_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgesnn.program import Program
    from edgesnn.quantize.conversion import Converted
    from edgesnn.quantize.float_net import FloatNet

_LONGEST_STEPS = 2000


def labelled_clips(folder: Path, made: Converted) -> list[tuple[NDArray[np.uint8], int]]:
    """Return x over time and the class of each recording that labels.csv lists."""
    from edgesnn.measure.evaluate import read_labels, slice_recording
    from edgesnn.measure.progress import counted
    from edgesnn.senses.encoder import Encoder
    from edgesnn.sources.reading import read_recording

    program = made.program
    spec = encoder_of(program)
    encoder = Encoder(spec, program.input_shape, spec.sensor)
    found = []
    recordings = read_labels(folder, int(np.prod(program.output_shape)))
    for recording in counted(recordings, len(recordings)):
        events = read_recording(recording.path, spec.sensor).in_memory()
        steps = islice(slice_recording(events, program), _LONGEST_STEPS)
        found.append((np.stack([encoder.encode(step.events) for step in steps]), recording.label))
    return found


def answers_on(
    net: FloatNet, program: Program, clips: list[tuple[NDArray[np.uint8], int]]
) -> dict[str, Any]:
    """Return how often the float and the integer network are right, and how often they agree.

    The answer is the class with the most output over a recording, whatever the readout.
    """
    from edgesnn.hardware.events import EventsModel, can_run
    from edgesnn.hardware.reference import Reference
    from edgesnn.measure.progress import counted

    last = net.stages[-1].name
    stream = (EventsModel if can_run(program) else Reference)(program).stream()
    right = {"float": 0, "integer": 0}
    same = 0
    for xs, label in counted(clips, len(clips)):
        stream.reset()
        sums = sum((stream.step(x).ravel().astype(np.int64) for x in xs), np.int64(0))
        told = {
            "float": int(net.run(xs)[last].reshape(len(xs), -1).sum(0).argmax()),
            "integer": int(np.argmax(sums)),
        }
        same += told["float"] == told["integer"]
        for which, answer in told.items():
            right[which] += answer == label
    n = len(clips)
    return {
        "n": n,
        "float_right": right["float"] / n,
        "integer_right": right["integer"] / n,
        "same_answer": same / n,
    }
