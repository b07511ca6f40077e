"""Eleven hand and arm gestures seen by an event camera (the classes of DVS128 Gesture)."""

from edgesnn.app import App

APP = App(
    name="gesture",
    summary="Recognises eleven hand and arm gestures in the events of a DVS camera.",
    model="gesture",
    sample="sample_gesture.bs2",
)
