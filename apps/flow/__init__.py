"""Optical flow: how everything in view moves, in the events of a camera of any size."""

from pathlib import Path

from edgesnn.app import App
from edgesnn.options import Option
from edgesnn.sinks.catalog import PANEL, Asked

APP = App(
    name="flow",
    summary="Sees how everything moves in the events of a DVS camera, place by place.",
    model="flow",
    sample="sample_flow.npz",
    sources=("--camera", "--webcam", "--file", "--demo"),
    evaluation="edgesnn.apps.flow.evaluation",
    training="edgesnn.models.flow.command",
    demo="edgesnn.models.flow.demo",
    sinks=(
        Asked(
            Option(
                "--flow-out", "Dense fields: .npz, .flo, .png.", Path, metavar="DIR", panel=PANEL
            ),
            "edgesnn.apps.flow.fields",
            motion=True,
        ),
        Asked(
            Option("--record-video", "The view: .mp4 or .gif.", Path, metavar="OUT", panel=PANEL),
            "edgesnn.apps.flow.video",
            motion=True,
        ),
    ),
    examples=(
        ("edgesnn run flow --camera --view", "live dense optical flow"),
        ("edgesnn run flow --file a.npz --record-video a.gif", "keep what it shows"),
    ),
)
