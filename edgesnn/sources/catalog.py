"""Where events can come from: a line for each live source, and one for each format of recordings.

Nothing is imported here: a module is, when its source is opened.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from edgesnn.options import Option

PANEL = "Where events come from"


@dataclass(frozen=True, slots=True)
class Live:
    """A live source: an option of `edgesnn run`, and the module that opens it.

    module: has `open_live(value, wanted)` (see `wanted.py`), and `listed()` where devices can be
    looked for (see `devices.py`). settings: options that only this source takes. like: another
    source; whoever takes that one takes this one too.
    """

    option: Option
    module: str
    settings: tuple[Option, ...] = ()
    like: str = ""

    def stands_for(self, names: Container[str]) -> bool:
        """Whether it is one of these sources, or like one."""
        return self.option.name in names or self.like in names


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
            "--webcam",
            "An ordinary camera, turned into events: the first, by number, or a video.",
            metavar="[N|VIDEO]",
            bare="0",
            panel=PANEL,
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
    ".npy": "edgesnn.sources.npy:events_from_npy",
    ".aedat4": "edgesnn.sources.aedat4:events_from_aedat4",
    ".raw": "edgesnn.sources.raw:events_from_raw",
    ".dat": "edgesnn.sources.dat:events_from_dat",
    ".es": "edgesnn.sources.es:events_from_es",
    ".aedat": "edgesnn.sources.aedat:events_from_aedat",
    ".txt": "edgesnn.sources.text_events:events_from_text",
    ".csv": "edgesnn.sources.text_events:events_from_text",
    ".h5": "edgesnn.sources.hdf5_events:events_from_hdf5",
    ".hdf5": "edgesnn.sources.hdf5_events:events_from_hdf5",
}
"""Recordings of events by suffix: "module:function", which takes a path, the sensor's size and the
unit of its times (None where the user told neither) and returns a `Found`."""
SOUNDS = (".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".pgm")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
UNSAID = (
    Option("--sensor", "Size of the recording's sensor.", metavar="WxH", panel=PANEL),
    Option(
        "--time-unit",
        "Of the recording's times: us, ns, ms or s.",
        metavar="UNIT",
        panel=PANEL,
    ),
)
"""What is to be said of a recording that does not say it itself."""
PACE = (
    Option(
        "--speed",
        "Of a recording: 1.0 is real time, 0.25 slow, max.",
        metavar="FACTOR",
        panel=PANEL,
    ),
    Option("--loop", "Play the recording again.", bool, default=False, panel=PANEL),
)
"""How a recording is played."""
PLAYING = (*PACE, *UNSAID)
"""What is to be said of a recording."""


def file_option() -> Option:
    """Return --file, with the formats that there are."""
    formats = ", ".join(FORMATS)
    about = f"A recording: {formats}; sound; a picture; a video."
    return Option("--file", about, Path, metavar="PATH", panel=PANEL)
