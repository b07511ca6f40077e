"""Where events can come from: a line for each live source, and one for each format of recordings.

Nothing is imported here: a module is, when its source is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgesnn.options import Option

PANEL = "Where events come from"


@dataclass(frozen=True, slots=True)
class Live:
    """A live source: an option of `edgesnn run`, and the module that opens it.

    module: has `open_live(value, wanted)` (see `wanted.py`), and `listed()` where devices can be
    looked for (see `devices.py`). settings: options that only this source takes.
    """

    option: Option
    module: str
    settings: tuple[Option, ...] = ()


LIVE = (
    Live(
        Option(
            "--camera",
            "A live DVS camera: the first, or by serial number.",
            metavar="[SERIAL]",
            bare="",
            panel=PANEL,
        ),
        "edgesnn.sources.camera",
    ),
    Live(
        Option(
            "--webcam", "An ordinary camera, turned into events.", int, metavar="N", panel=PANEL
        ),
        "edgesnn.sources.webcam",
    ),
    Live(
        Option(
            "--mic",
            "A microphone: the default, or by number or name.",
            metavar="[DEVICE]",
            bare="",
            panel=PANEL,
        ),
        "edgesnn.sources.microphone",
    ),
    Live(
        Option(
            "--stdin", "Raw 16-bit mono PCM on standard input.", bool, default=False, panel=PANEL
        ),
        "edgesnn.sources.pcm_stream",
        settings=(
            Option(
                "--rate",
                "Samples per second of --stdin (16000).",
                int,
                metavar="HZ",
                least=1000,
                most=384_000,
                panel=PANEL,
            ),
        ),
    ),
    Live(
        Option("--demo", "A synthetic camera.", bool, default=False, panel=PANEL),
        "edgesnn.sources.demo",
    ),
)

FORMATS = {
    ".bs2": "edgesnn.sources.bs2:events_from_bs2",
    ".bin": "edgesnn.sources.bs2:events_from_bs2",
    ".npz": "edgesnn.sources.npz:events_from_npz",
    ".aedat4": "edgesnn.sources.aedat4:events_from_aedat4",
}
"""Recordings of events by suffix: "module:function", which takes a path and returns the events and
the sensor's (width, height)."""
FILE = Option(
    "--file",
    "A recording: .aedat4, .npz, .bs2 or .bin; sound; a picture.",
    Path,
    metavar="PATH",
    panel=PANEL,
)
PLAYING = (
    Option(
        "--speed",
        "Of a recording: 1.0 is real time, 0.25 slow, max.",
        metavar="FACTOR",
        panel=PANEL,
    ),
    Option("--loop", "Play the recording again.", bool, default=False, panel=PANEL),
    Option("--sensor", "Size of the recording's sensor.", metavar="WxH", panel=PANEL),
)
"""What is to be said of a recording."""
