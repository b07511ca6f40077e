"""Eleven hand and arm gestures seen by an event camera (the classes of DVS128 Gesture)."""

from edgesnn.app import App

APP = App(
    name="gesture",
    summary="Recognises eleven hand and arm gestures in the events of a DVS camera.",
    model="gesture",
    sample="sample_gesture.bs2",
    sources=("--camera", "--webcam", "--file", "--demo"),
    evaluation="edgesnn.cli.recordings",
    training="edgesnn.models.gesture.command",
    demo="edgesnn.models.gesture.demo",
    examples=(
        ("edgesnn run gesture", "the bundled recording, live"),
        ("edgesnn run gesture --camera", "the first DVS camera"),
        ("edgesnn run gesture --camera DXA00093 --record a.aedat4", "keep what it saw"),
        ("edgesnn run gesture --webcam 0 --view", "any camera, and a window"),
        ("edgesnn run gesture --file a.aedat4 --loop", "over and over"),
        ("edgesnn run gesture --file a.npz --speed max --json", "for other programs"),
    ),
)
